package conformance

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// callKind is what an upstream is asked for.
type callKind string

const (
	anyCall       callKind = "anything"
	ping          callKind = "GET /v2/"
	headTag       callKind = "HEAD of a tag"
	getTag        callKind = "GET of a tag"
	headManifest  callKind = "HEAD of a manifest by digest"
	getManifest   callKind = "GET of a manifest by digest"
	headBlob      callKind = "HEAD of a blob"
	getBlob       callKind = "GET of a blob"
	getPart       callKind = "GET of a part of a blob"
	listTags      callKind = "tags"
	listReferrers callKind = "referrers"
	askToken      callKind = "token"
	otherCall     callKind = "what no registry offers"
)

// call is something that an upstream was asked.
type call struct {
	kind       callKind
	repository string
	reference  string
	challenge  string // for credentials, which was the answer; empty if there was another
	header     http.Header
	host       string
}

var callPattern = regexp.MustCompile(`^/v2/(.+)/(manifests|blobs|tags|referrers)/([^/]+)$`)

// record notes a request, and what no upstream may get: a write, a body, or
// credentials that are not its own.
func (u *upstream) record(r *http.Request) *call {
	c := &call{kind: otherCall, header: r.Header.Clone(), host: r.Host}
	found := callPattern.FindStringSubmatch(r.URL.Path)
	switch {
	case r.URL.Path == "/token":
		c.kind = askToken
	case r.URL.Path == "/v2/":
		c.kind = ping
	case found != nil:
		c.repository, c.reference = found[1], found[3]
		c.kind = kindOf(r, found[2], found[3])
	}
	if c.kind != askToken && (r.Method != http.MethodGet && r.Method != http.MethodHead || r.ContentLength != 0) {
		u.t.Errorf("the upstream was sent %s %s with %d bytes", r.Method, r.URL, r.ContentLength)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if sent := r.Header.Get("Authorization"); sent != "" && !u.gate.gave(sent, u.server.URL) {
		u.t.Errorf("the upstream was sent credentials that are not its own: %s %s %q", r.Method, r.URL, sent)
	}
	if c.kind != askToken {
		c.challenge = u.gate.challenge(r, c, u.server.URL)
	}
	u.calls = append(u.calls, c)
	return c
}

func kindOf(r *http.Request, collection, reference string) callKind {
	digest := strings.Contains(reference, ":")
	head := r.Method == http.MethodHead
	switch {
	case collection == "tags":
		return listTags
	case collection == "referrers":
		return listReferrers
	case collection == "blobs" && head:
		return headBlob
	case collection == "blobs" && r.Header.Get("Range") != "":
		return getPart
	case collection == "blobs":
		return getBlob
	case digest && head:
		return headManifest
	case digest:
		return getManifest
	case head:
		return headTag
	}
	return getTag
}

// asked are the calls of some kinds, or all, that were not challenged.
func (u *upstream) asked(kinds ...callKind) []call {
	u.mu.Lock()
	defer u.mu.Unlock()
	var found []call
	for _, c := range u.calls {
		if c.challenge == "" && (len(kinds) == 0 || slices.Contains(kinds, c.kind)) {
			found = append(found, *c)
		}
	}
	return found
}

// count is how many of such calls there were.
func (u *upstream) count(kinds ...callKind) int { return len(u.asked(kinds...)) }

// wasAsked asserts how many of such calls there were.
func (u *upstream) wasAsked(t *testing.T, want int, kinds ...callKind) {
	t.Helper()
	if got := u.count(kinds...); got != want {
		t.Errorf("the upstream was asked %d times for %v, want %d; all calls: %v", got, kinds, want, u.story())
	}
}

// wasLeftAlone asserts that there was no call, nor a connection for one, since
// the test began or forgot them.
func (u *upstream) wasLeftAlone(t *testing.T) {
	t.Helper()
	u.wasAsked(t, 0)
}

// forget begins the count anew.
func (u *upstream) forget() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.calls = nil
}

// story is what was asked, for messages.
func (u *upstream) story() []callKind {
	var kinds []callKind
	for _, c := range u.asked() {
		kinds = append(kinds, c.kind)
	}
	return kinds
}

// await returns when what it is told of has come about, and gives up on what
// does not.
func await(t *testing.T, what string, come func() bool) {
	t.Helper()
	late := time.After(startTime)
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for !come() {
		select {
		case <-late:
			t.Fatalf("waited for %s in vain", what)
		case <-again.C:
		}
	}
}
