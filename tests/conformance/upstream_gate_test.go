package conformance

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// gate is what an upstream demands of whoever asks. The zero gate is open.
type gate struct {
	scheme         string // "Basic" or "Bearer"; empty for open
	user, password string // empty: a token is for everybody
	tokens         map[string]string
	issued         int
	sent           string // credentials that it may be sent, whether or not it wants them
}

// upstreamService is what an upstream calls itself in challenges.
const upstreamService = "the upstream"

// demands has the upstream demand credentials from now on: by tokens (Bearer)
// or without them (Basic). Without a user, tokens are for everybody.
func (u *upstream) demands(scheme, user, password string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.gate = gate{scheme: scheme, user: user, password: password, tokens: map[string]string{}}
}

// isSent says what credentials the registry under test has for the upstream.
func (u *upstream) isSent(user, password string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.gate.sent = string(basic(user, password))
}

// revokes ends all tokens.
func (u *upstream) revokes() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.gate.tokens = map[string]string{}
}

// challenge is what a call lacks to be answered, or empty.
func (g *gate) challenge(r *http.Request, c *call, base string) string {
	sent := r.Header.Get("Authorization")
	scope := "repository:" + c.repository + ":pull"
	switch {
	case c.kind == ping && g.tokens[sent] != "":
		return ""
	case g.scheme == "Basic" && sent != string(basic(g.user, g.password)):
		return `Basic realm="` + upstreamService + `"`
	case g.scheme == "Bearer" && g.tokens[sent] != scope:
		return fmt.Sprintf(`Bearer realm="%s/token",service="%s",scope="%s"`, base, upstreamService, scope)
	}
	return ""
}

// grant answers the request for a token.
func (u *upstream) grant(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm()
	user, password, _ := r.BasicAuth()
	if r.Method == http.MethodPost {
		user, password = r.PostForm.Get("username"), r.PostForm.Get("password")
	}
	u.mu.Lock()
	g := &u.gate
	good := g.scheme == "Bearer" && r.Form.Get("service") == upstreamService && (g.user == "" || user == g.user && password == g.password)
	g.issued++
	token := fmt.Sprintf("token-%d-of-%s", g.issued, u.server.URL)
	if good {
		g.tokens["Bearer "+token] = strings.Join(r.Form["scope"], " ")
	}
	u.mu.Unlock()
	if !good {
		refuse(w, http.StatusUnauthorized, "UNAUTHORIZED")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"token": token, "access_token": token, "expires_in": 300})
}

// gave says whether credentials are those of the upstream of that URL: its
// user's, or a token that it has issued, maybe in former times.
func (g *gate) gave(sent, base string) bool {
	if token, bearer := strings.CutPrefix(sent, "Bearer "); bearer {
		return strings.HasSuffix(token, "-of-"+base)
	}
	return sent == g.sent || g.user != "" && sent == string(basic(g.user, g.password))
}
