package upstream_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"opendev.org/zuul/zuul-registry/server/oci"
	"opendev.org/zuul/zuul-registry/server/upstream"
)

const (
	latest = "GET /v2/org/app/manifests/latest"
	token  = "GET /token"
)

// demanding is a registry that wants a token of a user (empty: of anybody), or the
// user's password, where it is told so.
func demanding(t *testing.T, scheme, user string) *there {
	var s *there
	issued := 0
	s = serve(t, func(w http.ResponseWriter, r *http.Request) {
		name, password, _ := r.BasicAuth()
		known := name+":"+password == user || user == "" && r.Header.Get("Authorization") == ""
		switch {
		case r.URL.Path == "/token" && (!known || r.URL.Query().Get("scope") != "repository:org/app:pull" || r.URL.Query().Get("service") != "here"):
			w.WriteHeader(http.StatusUnauthorized)
		case r.URL.Path == "/token":
			issued++
			_, _ = fmt.Fprintf(w, `{"token":"%d"}`, issued)
		case scheme == "Basic" && known, scheme == "Bearer" && issued > 0 && r.Header.Get("Authorization") == fmt.Sprintf("Bearer %d", issued):
			sendsImage(w, r)
		default:
			w.Header().Set("WWW-Authenticate", scheme+` realm="`+s.URL+`/token",service="here",scope="repository:org/app:pull"`)
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
	return s
}

func TestLogin(t *testing.T) {
	const user = "me:a secret:with colons"
	for _, tt := range []struct {
		what, scheme, user, ours string
		first                    []string
		good                     bool
	}{
		{"tokens for everybody", "Bearer", "", "", []string{latest, token, latest}, true},
		{"a token for a user", "Bearer", user, user, []string{latest, token, latest}, true},
		{"a password", "Basic", user, user, []string{latest, latest}, true},
		{"no token without a user", "Bearer", user, "", []string{latest, token}, false},
		{"no token with a wrong password", "Bearer", user, "me:wrong", []string{latest, token}, false},
		{"no password", "Basic", user, "", []string{latest}, false},
		{"a wrong password", "Basic", user, "me:wrong", []string{latest, latest}, false},
	} {
		t.Run(tt.what, func(t *testing.T) {
			t.Parallel()
			s, log := demanding(t, tt.scheme, tt.user), &record{}
			users := map[string]string{"elsewhere.example.org": "not:for you"}
			if tt.ours != "" {
				users[s.address()] = tt.ours
			}
			r := s.open(logging(log), credentials(t, authFile(t, "", users)))
			if !tt.good {
				_, err := r.GetManifest(t.Context(), "org/app", tag(t, "latest"))
				is(t, err, oci.ManifestUnknown)
				s.wasAsked(tt.first...)
				for _, part := range []string{"level=WARN", "example.org", "org/app", s.address(), "UPSTREAM_AUTH_FILE"} {
					if !strings.Contains(log.String(), part) {
						t.Errorf("the log does not name %s: %s", part, log)
					}
				}
				return
			}
			gives(t, r, "latest")
			s.wasAsked(tt.first...)
			gives(t, r, "latest")
			s.wasAsked(latest) // what opened it is known
			if strings.Contains(log.String(), "level=WARN") {
				t.Errorf("the log complains: %s", log)
			}
		})
	}
}

func TestExpiredTokenIsRenewed(t *testing.T) {
	t.Parallel()
	valid := ""
	var s *there
	s = serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/token":
			valid += "x"
			_, _ = fmt.Fprintf(w, `{"token":%q}`, valid)
		case valid != "" && r.Header.Get("Authorization") == "Bearer "+valid:
			sendsImage(w, r)
		default:
			w.Header().Set("WWW-Authenticate", `Bearer realm="`+s.URL+`/token"`)
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
	r := s.open()
	gives(t, r, "latest")
	s.wasAsked(latest, token, latest)
	valid = "something else"
	gives(t, r, "latest")
	s.wasAsked(latest, token, latest)
}

// A registry that says 403 to the tokens of others does not ask for a new one.
func TestChangedCredentialsAreUsed(t *testing.T) {
	t.Parallel()
	var s *there
	s = serve(t, func(w http.ResponseWriter, r *http.Request) {
		name, _, _ := r.BasicAuth()
		switch {
		case r.URL.Path == "/token":
			_, _ = fmt.Fprintf(w, `{"token":"for %s"}`, name)
		case r.Header.Get("Authorization") == "":
			w.Header().Set("WWW-Authenticate", `Bearer realm="`+s.URL+`/token"`)
			w.WriteHeader(http.StatusUnauthorized)
		case r.Header.Get("Authorization") == "Bearer for friend":
			sendsImage(w, r)
		default:
			w.WriteHeader(http.StatusForbidden)
		}
	})
	path := authFile(t, "", map[string]string{s.address(): "stranger:x"})
	r := s.open(credentials(t, path))
	_, err := r.GetManifest(t.Context(), "org/app", tag(t, "latest"))
	is(t, err, oci.ManifestUnknown)
	authFile(t, path, map[string]string{s.address(): "friend:of mine"})
	gives(t, r, "latest")
}

func TestCredentialsThatCannotBeUsed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.json")
	for _, tt := range []struct{ text, reason string }{
		{"", "no such file"},
		{`{"auths":`, "JSON"},
		{`{"auths":{"quay.io":{"auth":"aHVudGVyMg=="}}}`, "quay.io"}, // hunter2, without a user
		{`{"auths":{"quay.io":{"auth":"?"}}}`, "quay.io"},
	} {
		if tt.text != "" {
			if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		_, err := upstream.OpenCredentials(path, slog.New(slog.DiscardHandler))
		if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), tt.reason) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", tt.text, err)
		}
	}
}

// Whoever has the upstream redirect gets no credentials, on the first hop or on
// the next, also on another port of the same host.
func TestRedirectsLoseCredentials(t *testing.T) {
	t.Parallel()
	for _, host := range []string{"127.0.0.1", "localhost"} {
		store := serve(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/one" {
				http.Redirect(w, r, "/two", http.StatusFound)
				return
			}
			_, _ = w.Write([]byte("{}"))
		})
		s := serve(t, func(w http.ResponseWriter, r *http.Request) {
			if _, _, ok := r.BasicAuth(); !ok {
				fails(http.StatusUnauthorized, "WWW-Authenticate", "Basic")(w, r)
				return
			}
			http.Redirect(w, r, strings.Replace(store.URL, "127.0.0.1", host, 1)+"/one", http.StatusTemporaryRedirect)
		})
		r := s.open(credentials(t, authFile(t, "", map[string]string{s.address(): "me:secret"})))
		b, err := r.OpenBlob(t.Context(), "org/app", oci.SHA256.Sum([]byte("{}")))
		if err != nil {
			t.Fatal(err)
		}
		_ = b.Content.Close()
		requests := store.requests()
		if len(requests) != 2 {
			t.Errorf("%s was asked %d times, want twice", host, len(requests))
		}
		for _, q := range requests {
			if sent := q.Header.Get("Authorization"); sent != "" {
				t.Errorf("%s%s was sent %q", host, q.URL, sent)
			}
		}
		s.requests()
	}
}
