package token

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"opendev.org/zuul/zuul-registry/server/access"
	"opendev.org/zuul/zuul-registry/server/oci"
)

const maxForm = 64 << 10 // bytes of a POST

// request is somebody asking for a token.
type request struct {
	grant  access.Grant
	scopes []access.Scope
}

// Endpoint gives out tokens, to GET with Basic credentials or without any, and
// to POST with an OAuth2 password grant. Who a request comes from is in its
// context (access.WithGrant). Its errors are an oci.Error or faults.
func (s *Service) Endpoint(w http.ResponseWriter, r *http.Request) error {
	asked, err := s.read(w, r)
	if err != nil {
		return err
	}
	granted, err := s.decide(asked)
	if err != nil {
		return err
	}
	now := time.Now()
	text, err := s.issue(asked.grant.User, granted, now)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	return json.NewEncoder(w).Encode(map[string]any{
		"token":        text,
		"access_token": text, // the name that OAuth2 clients look for
		"expires_in":   int(s.Lifetime.Seconds()),
		"issued_at":    now.UTC().Format(time.RFC3339),
		"scope":        printScopes(granted),
	})
}

func (s *Service) read(w http.ResponseWriter, r *http.Request) (request, error) {
	form := r.URL.Query()
	grant := access.GrantOf(r.Context())
	if grant.ByToken { // which is no password, or nobody would ever have to give one again
		grant = s.nobody()
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead:
	case http.MethodPost:
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		if err := r.ParseForm(); err != nil {
			return request{}, oci.Errorf(oci.NameInvalid, "the form cannot be read: %v", err)
		}
		form = r.PostForm
		// Other grants carry credentials of other registries: a daemon logged
		// in elsewhere sends a refresh token. They are nobody's here.
		if form.Get("grant_type") == "password" {
			grant = s.login(r.Context(), form.Get("username"), form.Get("password"))
		}
	default:
		w.Header().Set("Allow", "GET, HEAD, POST")
		return request{}, oci.Errorf(oci.Unsupported, "%s is not supported: GET and POST give a token", r.Method)
	}
	scopes, err := parseScopes(form)
	return request{grant, scopes}, err
}

// decide is what a token will allow. To ask for more than reading, or for
// nothing in particular, which is a login, is to say that one's password is
// right.
func (s *Service) decide(asked request) ([]access.Scope, error) {
	g := asked.grant
	granted := g.Narrow(asked.scopes)
	writes := slices.ContainsFunc(asked.scopes, func(s access.Scope) bool {
		return slices.Contains(s.Actions, access.Push) || slices.Contains(s.Actions, access.Delete)
	})
	switch {
	case g.Refused != "":
		return nil, oci.Errorf(oci.Unauthorized, "%s", g.Refused)
	case g.Authenticated:
		return granted, nil
	case len(asked.scopes) == 0 || writes || !s.AnonymousRead:
		return nil, oci.Errorf(oci.Unauthorized, "wrong user name or password, or none")
	}
	return granted, nil
}

// parseScopes reads scope parameters, each of which may name several.
func parseScopes(form url.Values) ([]access.Scope, error) {
	var scopes []access.Scope
	for _, text := range strings.Fields(strings.Join(form["scope"], " ")) {
		scope, err := parseScope(text)
		if err != nil {
			return nil, err
		}
		scopes = append(scopes, scope)
	}
	return scopes, nil
}

// parseScope reads "type:name:action,action". Types and actions that mean
// nothing here grant nothing.
func parseScope(text string) (access.Scope, error) {
	kind, rest, _ := strings.Cut(text, ":")
	colon := strings.LastIndexByte(rest, ':')
	if kind == "" || colon < 1 {
		return access.Scope{}, badScope(text)
	}
	scope := access.Scope{Type: kind, Name: rest[:colon], Actions: strings.Split(rest[colon+1:], ",")}
	if kind == access.TypeRepository {
		if _, err := oci.ParseName(scope.Name); err != nil {
			return access.Scope{}, err
		}
	}
	return scope, nil
}

func badScope(text string) error {
	return oci.Errorf(oci.NameInvalid, "malformed scope %.100q: repository:<name>:<actions> and registry:catalog:* are understood", text)
}

func printScopes(scopes []access.Scope) string {
	var all []string
	for _, s := range scopes {
		all = append(all, s.Type+":"+s.Name+":"+strings.Join(s.Actions, ","))
	}
	return strings.Join(all, " ")
}

// Challenges are the values of WWW-Authenticate that send a client to the
// endpoint for a token of that scope (RFC 6750, Docker's token specification).
// An empty scope is for logins. The catalog is asked for by simple clients, too,
// which know no more than Basic.
func (s *Service) Challenges(r *http.Request, scope string) []string {
	challenge := fmt.Sprintf("Bearer realm=%q,service=%q", s.base(r)+Path, name)
	if scope != "" {
		challenge += fmt.Sprintf(",scope=%q", scope)
	}
	if access.GrantOf(r.Context()).Refused != "" {
		challenge += `,error="invalid_token"` // RFC 6750, section 3.1: without it containerd sends the same one again
	}
	if strings.HasPrefix(scope, access.TypeRegistry+":") {
		return []string{challenge, BasicChallenge()}
	}
	return []string{challenge}
}

// BasicChallenge asks for Basic credentials.
func BasicChallenge() string { return fmt.Sprintf("Basic realm=%q", name) }

func (s *Service) base(r *http.Request) string {
	switch {
	case s.PublicURL != "":
		return s.PublicURL
	case r.TLS != nil, r.URL.Scheme == "https": // as a proxy in front has told us
		return "https://" + r.Host
	}
	return "http://" + r.Host
}
