package swift_test

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"opendev.org/zuul/zuul-registry/server/storage/storagetest"
	"opendev.org/zuul/zuul-registry/server/storage/swift"
	"opendev.org/zuul/zuul-registry/server/storage/swift/pretend"
)

const login = "GET /v1.0"

// A token ends, or Swift forgets it.
func TestTokensAreRenewed(t *testing.T) {
	t.Parallel()
	for _, op := range operations {
		t.Run(op.name, func(t *testing.T) {
			t.Parallel()
			s := pretend.New(t)
			d := prepared(t, s, 0)
			var mu sync.Mutex
			var tokens []string
			s.Between(func(w http.ResponseWriter, r *http.Request) bool {
				mu.Lock()
				defer mu.Unlock()
				if !is(called(r), op.meant) {
					return false
				}
				if tokens = append(tokens, r.Header.Get("X-Auth-Token")); len(tokens) > 1 {
					return false
				}
				fails(401)(s, w, r)
				return true
			})
			if err := op.do(t.Context(), d); err != nil {
				t.Error(err)
			}
			if logins := count(s.Asked(), login); logins != 1 {
				t.Errorf("it logged in %d times, want 1", logins)
			}
			if !slices.ContainsFunc(tokens, func(token string) bool { return token != tokens[0] }) {
				t.Errorf("the tokens are %q, want another after the first", tokens)
			}
			if again(s) != 0 {
				t.Errorf("the log is %q: want nothing of what is no fault", s.Log())
			}
		})
	}
}

// A part is sent anew from its first byte.
func TestTokenEndsAmidAnUpload(t *testing.T) {
	t.Parallel()
	s := pretend.New(t)
	d := open(t, s, retries(0))
	content := random(3*mebibyte + 5)
	var parts atomic.Int64
	s.Between(func(w http.ResponseWriter, r *http.Request) bool {
		if !is(called(r), "PUT images/parts/") || parts.Add(1) != 2 {
			return false
		}
		fails(401)(s, w, r)
		return true
	})
	link(t, d, "object", content)
	has(t, d, "object", content)
	if logins := count(s.Asked(), login); logins != 2 {
		t.Errorf("it logged in %d times, want 2", logins)
	}
}

// A connection that is cut does not use up what there is for tokens.
func TestTokenEndsAfterAFault(t *testing.T) {
	t.Parallel()
	s := pretend.New(t)
	d := prepared(t, s, 1)
	var asked atomic.Int64
	s.Between(func(w http.ResponseWriter, r *http.Request) bool {
		if called(r) != "HEAD images/d/object" {
			return false
		}
		switch asked.Add(1) {
		case 1:
			cut(s, w, r)
		case 2:
			fails(401)(s, w, r)
		default:
			return false
		}
		return true
	})
	if _, err := d.Stat(t.Context(), "d/object"); err != nil {
		t.Error(err)
	}
}

// That nobody is where one logs in says nothing of an object.
func TestLoginThatIsNotThere(t *testing.T) {
	t.Parallel()
	for _, op := range operations {
		t.Run(op.name, func(t *testing.T) {
			t.Parallel()
			s := pretend.New(t)
			d := prepared(t, s, 0)
			var ended atomic.Bool
			s.Between(func(w http.ResponseWriter, r *http.Request) bool {
				switch {
				case called(r) == login:
					fails(404)(s, w, r)
				case ended.Load() || is(called(r), op.meant):
					ended.Store(true)
					fails(401)(s, w, r)
				default:
					return false
				}
				return true
			})
			if err := op.do(t.Context(), d); err == nil || errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "/v1.0") || !strings.Contains(err.Error(), "404") {
				t.Errorf("%v, want a fault of the login", err)
			}
		})
	}
}

func TestTokenThatIsNeverGoodEnough(t *testing.T) {
	t.Parallel()
	s := pretend.New(t)
	d := prepared(t, s, 3)
	meet(s, "HEAD images/d/object", always, fails(401))
	if _, err := d.Stat(t.Context(), "d/object"); err == nil || !strings.Contains(err.Error(), "401") {
		t.Errorf("%v, want 401", err)
	}
	if asked := s.Asked(); len(asked) != 3 {
		t.Errorf("Swift was asked %q, want it to be asked, a login, and the same again", asked)
	}
}

// Nobody is locked out by attempts that are of no use, and nobody reads the key.
func TestWrongCredentials(t *testing.T) {
	t.Parallel()
	for _, status := range []int{401, 403} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			s := pretend.New(t)
			if status != 401 { // as the key is
				meet(s, login, always, fails(status))
			}
			o := s.Options()
			o.Account.ApiKey = "SECRET"
			_, err := swift.New(t.Context(), o)
			if err == nil || !strings.Contains(err.Error(), "images") || !strings.Contains(err.Error(), "/v1.0") {
				t.Errorf("%v, want one of the container and the login", err)
			}
			if asked := s.Asked(); len(asked) < 1 || len(asked) > 2 || count(asked, login) != len(asked) {
				t.Errorf("Swift was asked %q, want one login or two", asked)
			}
			if text := fmt.Sprint(err, s.Log()); strings.Contains(text, "SECRET") {
				t.Errorf("the key is told: %s", text)
			}
		})
	}
}

func TestNobodyToLogInWith(t *testing.T) {
	t.Parallel()
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := nobody.Close(); err != nil {
		t.Fatal(err)
	}
	s := pretend.New(t)
	o := s.Options()
	o.Account.AuthUrl, o.Account.ApiKey, o.Retries = fmt.Sprintf("http://user:SECRET@%s/v1.0", nobody.Addr()), "SECRET", 1
	_, err = swift.New(t.Context(), o)
	if err == nil || !strings.Contains(err.Error(), nobody.Addr().String()) {
		t.Errorf("%v, want one that names %s", err, nobody.Addr())
	}
	if text := fmt.Sprint(err, s.Log()); strings.Contains(text, "SECRET") || again(s) != 1 {
		t.Errorf("the error and the log are %s", text)
	}
}

// A Keystone may be away for a moment, as a Swift may.
func TestLoginThatFailsOnce(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]fault{"503": fails(503), "429": fails(429), "cut": cut} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := pretend.New(t)
			meet(s, login, 1, f)
			has := open(t, s, retries(1))
			put(t, has, "object", "content")
			if again(s) != 1 || !strings.Contains(s.Log(), "HEAD of images") {
				t.Errorf("the log is %q", s.Log())
			}
		})
	}
}

// When a token ends for many at once, one logs in.
func TestManyRenewATokenAtOnce(t *testing.T) {
	t.Parallel()
	s := pretend.New(t)
	d := open(t, s, retries(0))
	put(t, d, "object", "content")
	var mu sync.Mutex
	var refused []string
	s.Between(func(w http.ResponseWriter, r *http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		token := r.Header.Get("X-Auth-Token")
		if called(r) == login || len(refused) > 0 && !slices.Contains(refused, token) {
			return false
		}
		refused = append(refused, token)
		fails(401)(s, w, r)
		return true
	})
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if _, err := d.Stat(t.Context(), "object"); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if _, err := storagetest.Append(t.Context(), d, "parts", nil, strings.NewReader("x")); err != nil {
		t.Error(err)
	}
	if logins := count(s.Asked(), login); logins != 2 {
		t.Errorf("it logged in %d times, want that one does so for all", logins)
	}
}

// Who is asked to log in elsewhere does not tell the key there.
func TestLoginIsNotRedirected(t *testing.T) {
	t.Parallel()
	var told atomic.Value
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { told.Store(r.Header.Get("X-Auth-Key")) }))
	t.Cleanup(elsewhere.Close)
	s := pretend.New(t)
	meet(s, login, always, fails(302, "Location", elsewhere.URL))
	o := s.Options()
	o.Retries = 0
	if _, err := swift.New(t.Context(), o); err == nil {
		t.Error("no error")
	}
	if key := told.Load(); key != nil {
		t.Errorf("somebody else was told %q", key)
	}
}
