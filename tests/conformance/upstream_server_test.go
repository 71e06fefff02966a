package conformance

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// upstream is somebody else's registry, made for the tests: it has what a test
// puts there, remembers what it was asked, and misbehaves as the test says.
//
// Whatever a test is about, an upstream is only read, and is sent no
// credentials but its own: see upstream.record.
type upstream struct {
	t           *testing.T
	server      *httptest.Server
	connections atomic.Int64 // ever made

	mu      sync.Mutex
	shelves map[string]*shelf
	gate    gate
	faults  map[callKind]fault
	calls   []*call
}

// shelf is a repository of an upstream.
type shelf struct {
	blobs     map[string][]byte
	manifests map[string]manifest
	tags      map[string]string // to digests
	order     []string          // of the tags, in which they are listed
	referrers map[string][]descriptor
}

// newUpstream starts an upstream on 127.0.0.1, without TLS.
func newUpstream(t *testing.T) *upstream {
	t.Helper()
	u := makeUpstream(t)
	u.server.Start()
	return u
}

// newSecureUpstream starts one with a certificate that nobody trusts who was
// not told to.
func newSecureUpstream(t *testing.T) *upstream {
	t.Helper()
	u := makeUpstream(t)
	u.server.StartTLS()
	return u
}

// makeUpstream makes one that is not started. When it is down, nobody else is to
// be found at its address.
func makeUpstream(t *testing.T) *upstream {
	t.Helper()
	listener, err := listen()
	if err != nil {
		t.Fatal(err)
	}
	u := &upstream{t: t, shelves: map[string]*shelf{}, faults: map[callKind]fault{}}
	u.server = httptest.NewUnstartedServer(u)
	_ = u.server.Listener.Close()
	u.server.Listener = listener
	u.server.Config.ErrorLog = log.New(io.Discard, "", 0) // of clients that do not trust it
	u.server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			u.connections.Add(1)
		}
	}
	t.Cleanup(u.down)
	return u
}

// address is host:port.
func (u *upstream) address() string { return u.server.Listener.Addr().String() }

// down ends the upstream: whoever connects is refused.
func (u *upstream) down() {
	u.server.CloseClientConnections()
	u.server.Close()
}

// authority writes the certificate that the upstream's is to be trusted by.
func (u *upstream) authority() string {
	u.t.Helper()
	path := filepath.Join(u.t.TempDir(), "authority.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: u.server.Certificate().Raw})
	if err := os.WriteFile(path, text, 0o600); err != nil {
		u.t.Fatal(err)
	}
	return path
}

// ServeHTTP answers as a registry does, where no fault is wanted. Faults are for
// those who have the credentials that it wants.
func (u *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := u.record(r)
	w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	if c.challenge != "" {
		w.Header().Set("WWW-Authenticate", c.challenge)
		refuse(w, http.StatusUnauthorized, "UNAUTHORIZED")
		return
	}
	u.mu.Lock()
	wanted := u.faults[c.kind]
	if wanted == nil {
		wanted = u.faults[anyCall]
	}
	u.mu.Unlock()
	if wanted == nil {
		u.answer(w, r, c)
		return
	}
	wanted(w, r, func(w http.ResponseWriter, r *http.Request) { u.answer(w, r, c) })
}

// answer is the honest one. What it needs is taken first, since an answer may be
// held up for long.
func (u *upstream) answer(w http.ResponseWriter, r *http.Request, c *call) {
	u.mu.Lock()
	s := u.shelves[c.repository].clone()
	u.mu.Unlock()
	switch {
	case c.kind == askToken:
		u.grant(w, r)
	case c.kind == ping:
	case s == nil:
		refuse(w, http.StatusNotFound, "NAME_UNKNOWN")
	default:
		s.answer(w, r, c)
	}
}

func (s *shelf) answer(w http.ResponseWriter, r *http.Request, c *call) {
	switch c.kind {
	case headTag, getTag:
		s.answerManifest(w, r, s.tags[c.reference])
	case headManifest, getManifest:
		s.answerManifest(w, r, c.reference)
	case headBlob, getBlob, getPart:
		content, there := s.blobs[c.reference]
		if !there {
			refuse(w, http.StatusNotFound, "BLOB_UNKNOWN")
			return
		}
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("Docker-Content-Digest", c.reference)
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(string(content)))
	case listTags:
		s.answerTags(w, r)
	case listReferrers:
		list := indexOf().with("manifests", append([]descriptor{}, s.referrers[c.reference]...)).manifest()
		w.Header().Set("Content-Type", ociIndex)
		_, _ = w.Write(list.content)
	default:
		refuse(w, http.StatusNotFound, "UNSUPPORTED")
	}
}

// answerManifest gives a manifest to who accepts its type, as docker-registry
// does.
func (s *shelf) answerManifest(w http.ResponseWriter, r *http.Request, digest string) {
	m, there := s.manifests[digest]
	accepted := strings.Join(r.Header.Values("Accept"), ",")
	if !there || !strings.Contains(accepted, m.mediaType) && !strings.Contains(accepted, "*/*") {
		refuse(w, http.StatusNotFound, "MANIFEST_UNKNOWN")
		return
	}
	w.Header().Set("Content-Type", m.mediaType)
	w.Header().Set("Docker-Content-Digest", m.digest)
	w.Header().Set("Content-Length", strconv.Itoa(len(m.content)))
	if r.Method != http.MethodHead {
		_, _ = w.Write(m.content)
	}
}

// tagsPage is how many tags an upstream lists at once, whatever it is asked.
const tagsPage = 3

// answerTags lists a page. As with Quay, the tags are in no order that others
// know, and the next page is known by a word of the upstream's own.
func (s *shelf) answerTags(w http.ResponseWriter, r *http.Request) {
	from, _ := strconv.Atoi(r.URL.Query().Get("next_page"))
	end := min(from+tagsPage, len(s.order))
	if end < len(s.order) {
		w.Header().Set("Link", fmt.Sprintf(`<%s?next_page=%d>; rel="next"`, r.URL.Path, end))
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"name": "of the upstream", "tags": append([]string{}, s.order[from:end]...)})
}

// refuse answers with an error of the specification's form.
func refuse(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, `{"errors": [{"code": %q, "message": "so says the upstream"}]}`, code)
}
