package conformance

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// identity is who asks.
type identity interface {
	// authorization is the header that goes with a request, or empty.
	authorization() string
	// challenged is told of an answer with status 401. It says whether the
	// request is worth another try.
	challenged(s *server, a *answer) (bool, error)
}

// credentials is an identity that always sends the same Authorization header.
type credentials string

func (c credentials) authorization() string                     { return string(c) }
func (c credentials) challenged(*server, *answer) (bool, error) { return false, nil }

// nobody sends no credentials.
const nobody = credentials("")

func basic(user, password string) credentials {
	return credentials("Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password)))
}

func bearer(token string) credentials { return credentials("Bearer " + token) }

// asWriter sends the right password with each request.
func asWriter() credentials { return basic(writerName, writerPassword) }

// login is a user whose client does as real ones do: it asks without
// credentials, and with a token for what the challenge names after that.
type login struct {
	user, password string

	mu    sync.Mutex
	token string
}

func (l *login) authorization() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.token == "" {
		return ""
	}
	return string(bearer(l.token))
}

func (l *login) challenged(s *server, a *answer) (bool, error) {
	c, err := a.challenge("Bearer")
	if err != nil {
		return false, err
	}
	q := s.request(a.t, http.MethodGet, c["realm"]).as(basic(l.user, l.password)).query("service", c["service"])
	if c["scope"] != "" {
		q.query("scope", c["scope"])
	}
	granted, err := q.attempt()
	if err != nil || granted.status != http.StatusOK {
		return false, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.token = granted.token()
	return true, nil
}

// One challenge of possibly several in WWW-Authenticate headers.
var (
	challengePattern = regexp.MustCompile(`(?i)(Bearer|Basic)((?:\s*,?\s*[a-z]+="[^"]*")*)`)
	parameterPattern = regexp.MustCompile(`(?i)([a-z]+)="([^"]*)"`)
)

// challenge is the parameters of the answer's challenge of that scheme.
func (a *answer) challenge(scheme string) (map[string]string, error) {
	all := strings.Join(a.response.Header.Values("WWW-Authenticate"), ", ")
	for _, found := range challengePattern.FindAllStringSubmatch(all, -1) {
		if !strings.EqualFold(found[1], scheme) {
			continue
		}
		parameters := map[string]string{}
		for _, p := range parameterPattern.FindAllStringSubmatch(found[2], -1) {
			parameters[strings.ToLower(p[1])] = p[2]
		}
		return parameters, nil
	}
	return nil, fmt.Errorf("%s: the challenge %q offers no %s", a.request, all, scheme)
}

// demands asserts that the answer is a challenge for a token with one of the
// actions on the scope's resource, such as "repository:app" and "push".
func (a *answer) demands(resource, action string) *answer {
	a.t.Helper()
	c, err := a.challenge("Bearer")
	if err != nil {
		a.t.Error(err)
		return a
	}
	if want := "https://" + a.response.Request.URL.Host + "/auth/token"; c["realm"] != want {
		a.t.Errorf("%s: the challenge's realm is %q, want %q", a.request, c["realm"], want)
	}
	for _, scope := range strings.Fields(c["scope"]) {
		actions, found := strings.CutPrefix(scope, resource+":")
		if found && slices.Contains(strings.Split(actions, ","), action) {
			return a
		}
	}
	a.t.Errorf("%s: the challenge's scope is %q, want %s:…%s…", a.request, c["scope"], resource, action)
	return a
}

// token is the token that /auth/token has granted. Docker reads the first
// field, containerd after a POST the second.
func (a *answer) token() string {
	var granted struct {
		Token       string `json:"token"`
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal(a.body, &granted); err != nil || granted.Token != granted.AccessToken {
		return ""
	}
	return granted.Token
}

// overhear notes what of an Authorization header must not be logged.
func (s *server) overhear(authorization string) {
	scheme, value, _ := strings.Cut(authorization, " ")
	s.keepSecret(value)
	if scheme != "Basic" {
		return
	}
	if plain, err := base64.StdEncoding.DecodeString(value); err == nil {
		_, password, _ := strings.Cut(string(plain), ":")
		s.keepSecret(password)
	}
}
