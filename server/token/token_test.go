package token_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"opendev.org/zuul/zuul-registry/server/access"
	"opendev.org/zuul/zuul-registry/server/oci"
	"opendev.org/zuul/zuul-registry/server/token"
)

const secret = "a secret of thirty-two characters"

func service(t *testing.T, anonymousRead bool) *token.Service {
	t.Helper()
	return &token.Service{Secret: []byte(secret), Lifetime: time.Hour, Users: access.NewUsers("zuul", "right"), AnonymousRead: anonymousRead}
}

// ask asks for a token and returns it with its scope.
func ask(s *token.Service, r *http.Request) (text, scope string, err error) {
	w := httptest.NewRecorder()
	r = r.WithContext(access.WithGrant(r.Context(), s.Identify(r)))
	if err := s.Endpoint(w, r); err != nil {
		return "", "", err
	}
	var answer struct {
		Token, Scope string
		AccessToken  string `json:"access_token"`
		ExpiresIn    int    `json:"expires_in"`
	}
	err = json.Unmarshal(w.Body.Bytes(), &answer)
	if answer.Token != answer.AccessToken || answer.ExpiresIn != 3600 {
		err = &oci.Error{Message: "an answer that clients do not understand: " + w.Body.String()}
	}
	return answer.Token, answer.Scope, err
}

func get(query, user, password string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "https://registry.test"+token.Path+"?"+query, nil)
	if user != "" {
		r.SetBasicAuth(user, password)
	}
	return r
}

func post(form string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, token.Path, strings.NewReader(form))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

func bearer(text string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/v2/", nil)
	r.Header.Set("Authorization", "Bearer "+text)
	return r
}

func TestEndpoint(t *testing.T) {
	const nothing = oci.Unauthorized
	for what, tt := range map[string]struct {
		request        *http.Request
		open, closed   string   // the scope with and without anonymous reading
		openNo, closNo oci.Code // or the refusal
	}{
		"a login":                             {get("service=x&account=zuul", "zuul", "right"), "", "", "", ""},
		"a login with a wrong password":       {get("service=x", "zuul", "wrong"), "", "", nothing, nothing},
		"a login of nobody":                   {get("", "", ""), "", "", nothing, nothing},
		"pull":                                {get("scope=repository:a/b:pull", "zuul", "right"), "repository:a/b:pull", "repository:a/b:pull", "", ""},
		"pull, nobody":                        {get("scope=repository:a/b:pull", "", ""), "repository:a/b:pull", "", "", nothing},
		"pull, credentials of Docker Hub":     {get("scope=repository:a/b:pull", "hub", "hub's"), "repository:a/b:pull", "", "", nothing},
		"push":                                {get("scope=repository:a/b:pull,push", "zuul", "right"), "repository:a/b:pull,push", "repository:a/b:pull,push", "", ""},
		"push with a wrong password":          {get("scope=repository:a/b:pull,push", "zuul", "wrong"), "", "", nothing, nothing},
		"push, nobody":                        {get("scope=repository:a/b:push", "", ""), "", "", nothing, nothing},
		"delete, nobody":                      {get("scope=repository:a/b:delete", "", ""), "", "", nothing, nothing},
		"anything":                            {get("scope=repository:a/b:*", "zuul", "right"), "repository:a/b:pull,push,delete", "repository:a/b:pull,push,delete", "", ""},
		"anything, nobody":                    {get("scope=repository:a/b:*", "", ""), "repository:a/b:pull", "", "", nothing},
		"the catalog":                         {get("scope=registry:catalog:*", "zuul", "right"), "registry:catalog:*", "registry:catalog:*", "", ""},
		"the catalog, nobody":                 {get("scope=registry:catalog:*", "", ""), "registry:catalog:*", "", "", nothing},
		"two scopes":                          {get("scope=repository:a:pull&scope=repository:b:push", "zuul", "right"), "repository:a:pull repository:b:push", "repository:a:pull repository:b:push", "", ""},
		"two scopes in one":                   {get("scope=repository:a:pull+repository:b:push", "zuul", "right"), "repository:a:pull repository:b:push", "repository:a:pull repository:b:push", "", ""},
		"a scope of another kind":             {get("scope=aws:thing:do", "zuul", "right"), "", "", "", ""},
		"actions that mean nothing, nobody":   {get("scope=repository:a:burn", "", ""), "", "", "", nothing},
		"a scope without actions":             {get("scope=repository:a", "zuul", "right"), "", "", oci.NameInvalid, oci.NameInvalid},
		"a scope of a bad name":               {get("scope=repository:A/../b:pull", "zuul", "right"), "", "", oci.NameInvalid, oci.NameInvalid},
		"a scope for everything":              {get("scope=repository:*:pull", "zuul", "right"), "", "", oci.NameInvalid, oci.NameInvalid},
		"POST, a password grant":              {post("grant_type=password&username=zuul&password=right&scope=repository:a/b:push"), "repository:a/b:push", "repository:a/b:push", "", ""},
		"POST, a wrong password":              {post("grant_type=password&username=zuul&password=wrong&scope=repository:a/b:push"), "", "", nothing, nothing},
		"POST, a wrong password, for reading": {post("grant_type=password&username=zuul&password=wrong&scope=repository:a/b:pull"), "repository:a/b:pull", "", "", nothing},
		"POST, another registry's refresh":    {post("grant_type=refresh_token&refresh_token=x&scope=repository:a/b:pull"), "repository:a/b:pull", "", "", nothing},
		"POST, too long":                      {post("scope=" + strings.Repeat("x", 1<<17)), "", "", oci.NameInvalid, oci.NameInvalid},
		"PUT":                                 {httptest.NewRequest(http.MethodPut, token.Path, nil), "", "", oci.Unsupported, oci.Unsupported},
	} {
		body := tt.request.Body
		for _, side := range []struct {
			open  bool
			scope string
			code  oci.Code
		}{{true, tt.open, tt.openNo}, {false, tt.closed, tt.closNo}} {
			if tt.request.Method == http.MethodPost && !side.open {
				continue // its body has been read
			}
			tt.request.Body = body
			_, scope, err := ask(service(t, side.open), tt.request)
			var code oci.Code
			if fault, ok := oci.AsError(err); ok {
				code = fault.Code
			}
			if code != side.code || scope != side.scope {
				t.Errorf("%s (anonymous reading %v): %q, %v; want %q, %q", what, side.open, scope, err, side.scope, side.code)
			}
		}
	}
}

func TestTokensAreGoodForWhatTheySay(t *testing.T) {
	s := service(t, false)
	text, _, err := ask(s, get("scope=repository:org/app:pull,push", "zuul", "right"))
	if err != nil {
		t.Fatal(err)
	}
	g := s.Identify(bearer(text))
	if g.User != "zuul" || !g.Authenticated || g.Refused != "" || len(g.Scopes) != 1 || g.Scopes[0].Name != "org/app" {
		t.Errorf("the token gives %+v", g)
	}
	renewal := get("scope=repository:org/app:pull,push", "", "")
	renewal.Header.Set("Authorization", "Bearer "+text)
	if _, scope, err := ask(s, renewal); err == nil {
		t.Errorf("a token buys another one for %q", scope)
	}
	other := service(t, false)
	if g := other.Identify(bearer(text)); g.Refused != "" {
		t.Errorf("a replica with the same secret refuses: %s", g.Refused)
	}
	other.Secret = []byte("another secret of thirty-two letters")
	if g := other.Identify(bearer(text)); g.Refused == "" {
		t.Error("a registry with another secret accepts the token")
	}
}

func sign(t *testing.T, method jwt.SigningMethod, key any, c jwt.MapClaims) string {
	t.Helper()
	text, err := jwt.NewWithClaims(method, c).SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestBadTokensAreRefused(t *testing.T) {
	s := service(t, true)
	good := func() jwt.MapClaims {
		return jwt.MapClaims{"iss": "zuul-registry", "aud": "zuul-registry", "exp": time.Now().Add(time.Hour).Unix()}
	}
	with := func(key string, value any) jwt.MapClaims { c := good(); c[key] = value; return c }
	without := func(key string) jwt.MapClaims { c := good(); delete(c, key); return c }
	hs256 := jwt.SigningMethodHS256
	if g := s.Identify(bearer(sign(t, hs256, []byte(secret), good()))); g.Refused != "" {
		t.Fatalf("a good token is refused: %s", g.Refused)
	}
	valid := sign(t, hs256, []byte(secret), good())
	for what, text := range map[string]string{
		"empty":                 "",
		"no token":              "x.y.z",
		"cut":                   valid[:len(valid)-4],
		"expired":               sign(t, hs256, []byte(secret), with("exp", time.Now().Add(-time.Second).Unix())),
		"without expiry":        sign(t, hs256, []byte(secret), without("exp")),
		"of another issuer":     sign(t, hs256, []byte(secret), with("iss", "x")),
		"for another service":   sign(t, hs256, []byte(secret), with("aud", "x")),
		"of another key":        sign(t, hs256, []byte("x"), good()),
		"of another method":     sign(t, jwt.SigningMethodHS512, []byte(secret), good()),
		"not signed":            sign(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, good()),
		"with odd access claim": sign(t, hs256, []byte(secret), with("access", "everything")),
	} {
		if g := s.Identify(bearer(text)); g.Refused == "" || g.Authenticated || g.Scopes != nil {
			t.Errorf("a token that is %s gives %+v", what, g)
		}
	}
}

func TestIdentifyBasic(t *testing.T) {
	header := func(value string) *http.Request {
		r := httptest.NewRequest(http.MethodGet, "/v2/", nil)
		r.Header.Set("Authorization", value)
		return r
	}
	s := service(t, true)
	if g := s.Identify(get("", "zuul", "right")); !g.Authenticated || g.User != "zuul" {
		t.Errorf("good credentials give %+v", g)
	}
	if g := s.Identify(get("", "hub", "hub's")); g.Authenticated || g.User != "" || g.Refused != "" || len(g.Scopes) == 0 {
		t.Errorf("wrong credentials give %+v: want nobody's", g)
	}
	for _, bad := range []string{"Basic %%%", "Basic", "Digest x", "Basic bm9jb2xvbg=="} {
		if g := s.Identify(header(bad)); g.Refused == "" {
			t.Errorf("%q is not refused: %+v", bad, g)
		}
	}
}

func TestChallenges(t *testing.T) {
	r := httptest.NewRequest(http.MethodGet, "https://registry.test:9000/v2/", nil)
	plain := httptest.NewRequest(http.MethodGet, "/v2/", nil)
	plain.Host = "registry.test:80"
	proxied := plain.Clone(t.Context())
	proxied.URL = &url.URL{Scheme: "https", Path: "/v2/"}
	refused := r.Clone(access.WithGrant(t.Context(), access.Grant{Refused: "the token has expired"}))
	public := service(t, true)
	public.PublicURL = "https://public.test"
	for _, tt := range []struct {
		service *token.Service
		request *http.Request
		scope   string
		want    string
	}{
		{service(t, true), r, "", `Bearer realm="https://registry.test:9000/auth/token",service="zuul-registry"`},
		{service(t, true), refused, "", `Bearer realm="https://registry.test:9000/auth/token",service="zuul-registry",error="invalid_token"`},
		{service(t, true), plain, "", `Bearer realm="http://registry.test:80/auth/token",service="zuul-registry"`},
		{service(t, true), proxied, "", `Bearer realm="https://registry.test:80/auth/token",service="zuul-registry"`},
		{public, r, "repository:a/b:pull", `Bearer realm="https://public.test/auth/token",service="zuul-registry",scope="repository:a/b:pull"`},
		{public, r, "registry:catalog:*", `Bearer realm="https://public.test/auth/token",service="zuul-registry",scope="registry:catalog:*"; Basic realm="zuul-registry"`},
	} {
		if got := strings.Join(tt.service.Challenges(tt.request, tt.scope), "; "); got != tt.want {
			t.Errorf("challenge is %s, want %s", got, tt.want)
		}
	}
}
