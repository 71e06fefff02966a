package conformance

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// lines are the log's lines, each an object, of a server that has ended.
func (s *server) lines(t *testing.T) []map[string]any {
	t.Helper()
	var all []map[string]any
	for text := range strings.Lines(s.log.String()) {
		var line map[string]any
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			t.Fatalf("%q is no JSON: %v", text, err)
		}
		all = append(all, line)
	}
	return all
}

// Each request is one line of the log, which says who did what to which
// repository and how that ended.
func TestEachRequestIsLogged(t *testing.T) {
	t.Parallel()
	s := start(t, map[string]string{"LOG_FORMAT": "json"})
	repo := s.repository(t, "conformance/app")
	b := repo.text("a text")
	tests := []struct {
		method, path, reference string
		status                  int
		user                    string
	}{
		{http.MethodGet, "/manifests/latest", "latest", http.StatusNotFound, ""},
		{http.MethodPost, "/blobs/uploads/?digest=" + b.digest, "", http.StatusCreated, writerName},
		{http.MethodGet, "/blobs/" + b.digest, b.digest, http.StatusOK, ""},
		{http.MethodHead, "/blobs/" + b.digest, b.digest, http.StatusOK, writerName},
		{http.MethodPut, "/manifests/-bad-tag", "", http.StatusBadRequest, writerName},
		{http.MethodPost, "/blobs/uploads/", "", http.StatusUnauthorized, ""},
		{http.MethodGet, "/tags/list", "", http.StatusNotFound, writerName},
		{http.MethodDelete, "/blobs/" + b.digest, b.digest, http.StatusAccepted, writerName},
	}
	for n, tt := range tests {
		q := repo.request(tt.method, tt.path).as(nobody).header("User-Agent", fmt.Sprintf("story-%d/1.0", n))
		if tt.user != "" {
			q.as(asWriter())
		}
		if tt.status == http.StatusCreated {
			q.content(b.content)
		}
		q.expect(tt.status)
	}
	s.stop(t)
	logged := s.lines(t)
	for n, tt := range tests {
		client := fmt.Sprintf("story-%d", n)
		var found []map[string]any
		for _, line := range logged {
			if strings.Contains(fmt.Sprint(line), client) {
				found = append(found, line)
			}
		}
		if len(found) != 1 {
			t.Errorf("%s %s has %d lines in the log, want one: %v", tt.method, tt.path, len(found), found)
			continue
		}
		line := found[0]
		if line["method"] != tt.method || line["status"] != float64(tt.status) {
			t.Errorf("the log says %v of %s %s with status %d", line, tt.method, tt.path, tt.status)
		}
		for _, said := range []string{repo.name, tt.reference, tt.user} {
			if !strings.Contains(fmt.Sprint(line), said) {
				t.Errorf("the log does not say %q of %s %s: %v", said, tt.method, tt.path, line)
			}
		}
	}
}

// Whatever clients send and wherever they put it, no password and no token is
// in the log: when the server ends, it is held against all that were sent.
func TestSecretsAreNotLogged(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"text", "json"} {
		t.Run(format, func(t *testing.T) {
			s := start(t, map[string]string{"LOG_FORMAT": format, "LOG_LEVEL": "debug"})
			repo := newRepository(t, s)
			repo.tag("latest", repo.image("image"))
			for _, who := range []identity{
				basic(writerName, "mistyped-password"), bearer("forged.token.of-nobody"), credentials("Nonsense but-secret-anyway"),
			} {
				repo.as(who).post("/blobs/uploads/").expect(http.StatusUnauthorized)
				s.request(t, http.MethodGet, "/v2/").as(who).expect(http.StatusUnauthorized)
				s.askToken(t, who).expect(http.StatusUnauthorized)
			}
			for _, parameter := range []string{"access_token", "password", "token"} {
				misplaced := "misplaced-" + parameter + "-in-a-url"
				s.keepSecret(misplaced)
				repo.get("/manifests/latest").query(parameter, misplaced).expect(http.StatusOK)
				s.askToken(t, nobody).query(parameter, misplaced).expect(http.StatusUnauthorized)
			}
			for _, password := range []string{writerPassword, "mistyped-in-a-form"} {
				s.keepSecret(password)
				s.request(t, http.MethodPost, "/auth/token").form(url.Values{
					"grant_type": {"password"}, "service": {"zuul-registry"}, "username": {writerName}, "password": {password},
				}).expect(http.StatusOK, http.StatusUnauthorized)
			}
			s.stop(t)
			if s.log.Len() == 0 {
				t.Error("the log is empty")
			}
		})
	}
}
