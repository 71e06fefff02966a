package conformance

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// askToken is the request for a token that Docker's token protocol describes.
func (s *server) askToken(t *testing.T, who identity, scopes ...string) *request {
	q := s.request(t, http.MethodGet, "/auth/token").as(who).query("service", "zuul-registry")
	for _, scope := range scopes {
		q.query("scope", scope)
	}
	return q
}

// granted is an identity with a token for the scopes.
func (s *server) granted(t *testing.T, who identity, scopes ...string) credentials {
	t.Helper()
	return bearer(s.askToken(t, who, scopes...).expect(http.StatusOK).token())
}

// Reading needs no password and takes a wrong one, since a Docker daemon sends
// what it has for Docker Hub; whatever goes further needs the right one.
func TestTokenIsGranted(t *testing.T) {
	t.Parallel()
	const app = "repository:conformance/app:"
	stranger := basic("docker-hub-user", "docker-hub-password")
	mistaken := basic(writerName, "a wrong password")
	tests := []struct {
		rule    string
		scopes  []string
		writers int // the status for the right password
		others  int // for none and for wrong ones
	}{
		{"a login", nil, http.StatusOK, http.StatusUnauthorized},
		{"pull", []string{app + "pull"}, http.StatusOK, http.StatusOK},
		{"push", []string{app + "push"}, http.StatusOK, http.StatusUnauthorized},
		{"pull and push", []string{app + "pull,push"}, http.StatusOK, http.StatusUnauthorized},
		{"delete", []string{app + "delete"}, http.StatusOK, http.StatusUnauthorized},
		{"pull and delete", []string{app + "pull,delete"}, http.StatusOK, http.StatusUnauthorized},
		{"anything, of which everybody has a part", []string{app + "*"}, http.StatusOK, http.StatusOK},
		{"the catalog", []string{"registry:catalog:*"}, http.StatusOK, http.StatusOK},
		{"pull here, push there", []string{app + "pull", "repository:conformance/other:push"}, http.StatusOK, http.StatusUnauthorized},
		{"the same in one parameter", []string{app + "pull repository:conformance/other:push"}, http.StatusOK, http.StatusUnauthorized},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			public.askToken(t, asWriter(), tt.scopes...).expect(tt.writers)
			for _, who := range []identity{nobody, stranger, mistaken} {
				public.askToken(t, who, tt.scopes...).expect(tt.others)
			}
		})
	}
}

// The answer has the fields that Docker's clients read, and those of OAuth 2.
func TestTokenAnswer(t *testing.T) {
	t.Parallel()
	a := public.askToken(t, nobody, "repository:conformance/app:pull").expect(http.StatusOK)
	var granted struct {
		Token       string    `json:"token"`
		AccessToken string    `json:"access_token"`
		ExpiresIn   int       `json:"expires_in"`
		IssuedAt    time.Time `json:"issued_at"`
	}
	a.json(&granted)
	if granted.Token == "" || granted.Token != granted.AccessToken {
		t.Errorf("token %q and access_token %q: want the same", granted.Token, granted.AccessToken)
	}
	if granted.ExpiresIn != 3600 {
		t.Errorf("expires_in is %d, want the default TOKEN_LIFETIME of one hour in seconds", granted.ExpiresIn)
	}
	if age := time.Since(granted.IssuedAt); age.Abs() > time.Minute {
		t.Errorf("issued_at is %s, want now", granted.IssuedAt)
	}
}

// Clients that know OAuth 2 send the password in a form.
func TestTokenByPasswordGrant(t *testing.T) {
	t.Parallel()
	repo := newRepository(t, public)
	pull, push := "repository:conformance/other:pull", "repository:"+repo.name+":pull,push"
	tests := []struct {
		rule            string
		grant, password string
		scope           string
		want            []int
	}{
		{"a writer may push", "password", writerPassword, push, []int{http.StatusOK}},
		{"a writer may push here and pull there", "password", writerPassword, push + " " + pull, []int{http.StatusOK}},
		{"a writer may log in", "password", writerPassword, "", []int{http.StatusOK}},
		{"with a wrong password one may not push", "password", "a wrong password", push, []int{http.StatusUnauthorized}},
		{"nor log in", "password", "a wrong password", "", []int{http.StatusUnauthorized}},
		{"but read", "password", "a wrong password", pull, []int{http.StatusOK}},
		{"there are no other grants", "refresh_token", writerPassword, push, []int{http.StatusBadRequest, http.StatusUnauthorized}},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			a := public.request(t, http.MethodPost, "/auth/token").form(url.Values{
				"grant_type": {tt.grant}, "service": {"zuul-registry"}, "client_id": {"conformance"},
				"username": {writerName}, "password": {tt.password}, "scope": {tt.scope},
			}).expect(tt.want...)
			if a.status == http.StatusOK && strings.HasPrefix(tt.scope, push) {
				repo.as(bearer(a.token())).startUpload()
			}
		})
	}
}

func TestBadScope(t *testing.T) {
	t.Parallel()
	scopes := []string{
		"nonsense", ":::", "repository", "repository:conformance/app",
		"repository::pull", "repository:UPPER/case:pull", "repository:../../etc:pull",
	}
	for _, scope := range scopes {
		t.Run(scope, func(t *testing.T) {
			public.askToken(t, asWriter(), scope).expect(http.StatusBadRequest)
			public.askToken(t, nobody, scope).expect(http.StatusBadRequest)
		})
	}
}

// A token is good for the repositories and actions that it names.
func TestTokenIsGoodForWhatItNames(t *testing.T) {
	t.Parallel()
	repo, other := newRepository(t, public), newRepository(t, public)
	image := repo.image("image")
	repo.tag("latest", image)
	scope := func(r *repository, actions string) string { return "repository:" + r.name + ":" + actions }
	tests := []struct {
		rule                       string
		who                        credentials
		push, pushOther, del, list bool
	}{
		{"push", public.granted(t, asWriter(), scope(repo, "pull,push")), true, false, false, false},
		{"pull", public.granted(t, asWriter(), scope(repo, "pull")), false, false, false, false},
		{"delete", public.granted(t, asWriter(), scope(repo, "delete")), false, false, true, false},
		{"anything", public.granted(t, asWriter(), scope(repo, "*")), true, false, true, false},
		{"nobody's anything", public.granted(t, nobody, scope(repo, "*")), false, false, false, false},
		{"both", public.granted(t, asWriter(), scope(repo, "pull,push"), scope(other, "push,pull")), true, true, false, false},
		{"the catalog", public.granted(t, asWriter(), "registry:catalog:*"), false, false, false, true},
		{"a login", public.granted(t, asWriter()), false, false, false, false},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			here, there := repo.as(tt.who).in(t), other.as(tt.who).in(t)
			allowed(here.post("/blobs/uploads/"), tt.push, http.StatusAccepted)
			allowed(there.post("/blobs/uploads/"), tt.pushOther, http.StatusAccepted)
			allowed(here.delete("/manifests/no-such-tag"), tt.del, http.StatusNotFound)
			reads(here, "latest", image)
			if tt.list {
				public.request(t, http.MethodGet, "/v2/_catalog").as(tt.who).expect(http.StatusOK)
			}
		})
	}
}

// reads asserts that somebody with a good token may read: at once, or with the
// token that a challenge leads to. What everybody may do is not denied.
func reads(r *repository, reference string, m manifest) {
	r.t.Helper()
	a := r.get("/manifests/"+reference).expect(http.StatusOK, http.StatusUnauthorized)
	if a.status == http.StatusUnauthorized {
		a.demands("repository:"+r.name, "pull")
		r = r.as(&login{user: "docker-hub-user", password: "docker-hub-password"})
	}
	r.serves(reference, m)
}

// allowed sends the request and wants the status if it is allowed.
func allowed(q *request, is bool, status int) {
	q.t.Helper()
	if is {
		q.expect(status)
		return
	}
	q.forbidden()
}
