package conformance

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// relay is a proxy before a server, that misbehaves as the test says.
type relay struct {
	*server // as clients see it
	honest  *httputil.ReverseProxy
	ended   chan struct{} // closed with the test

	mu     sync.Mutex
	faults map[string]fault // by a pattern of method and path
	story  []string
}

func newRelay(t *testing.T, s *server) *relay {
	t.Helper()
	target, err := url.Parse(s.base())
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{honest: httputil.NewSingleHostReverseProxy(target), ended: make(chan struct{}), faults: map[string]fault{}}
	r.honest.ErrorLog = log.New(io.Discard, "", 0) // of those who hang up
	front := httptest.NewUnstartedServer(r)
	front.Config.ErrorLog = r.honest.ErrorLog
	front.Start()
	t.Cleanup(func() {
		close(r.ended)
		front.CloseClientConnections()
		front.Close()
	})
	r.server = &server{
		installation: installation{address: front.Listener.Addr().String(), settings: map[string]string{"TLS": "off"}},
		client:       &http.Client{}, secrets: map[string]bool{},
	}
	return r
}

// fails has requests fail whose method and path match the pattern.
func (r *relay) fails(pattern string, f fault) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faults[pattern] = f
}

// count is how many requests there were that match.
func (r *relay) count(pattern string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, call := range r.story {
		if regexp.MustCompile(pattern).MatchString(call) {
			n++
		}
	}
	return n
}

// ServeHTTP passes a request on, unless it is to fail.
func (r *relay) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	call := q.Method + " " + q.URL.Path
	r.mu.Lock()
	r.story = append(r.story, call)
	wanted := fault(nil)
	for pattern, f := range r.faults {
		if regexp.MustCompile(pattern).MatchString(call) {
			wanted = f
		}
	}
	r.mu.Unlock()
	if wanted == nil {
		r.honest.ServeHTTP(w, q)
		return
	}
	wanted(w, q, r.honest.ServeHTTP)
}

// What a relay is asked for.
const (
	putBlob      = `^PUT .*/blobs/uploads/`
	postUpload   = `^POST .*/blobs/uploads/`
	putManifest  = `^PUT .*/manifests/`
	headAnything = `^HEAD `
	logIn        = `^GET /(v2/|auth/token)$`
)

// takes reads so many bytes of what is sent, and then does something.
func takes(n int64, then fault) fault {
	return func(w http.ResponseWriter, r *http.Request, honest http.HandlerFunc) {
		_, _ = io.CopyN(io.Discard, r.Body, n)
		then(w, r, honest)
	}
}

// forgets does what it is asked to, and hangs up before it says so.
func forgets(_ http.ResponseWriter, r *http.Request, honest http.HandlerFunc) {
	honest(httptest.NewRecorder(), r)
	panic(http.ErrAbortHandler)
}

// Accidents do not matter to who copies, at whichever side they are.
func TestCopyAfterAccidents(t *testing.T) {
	t.Parallel()
	busy, gone := answers(http.StatusServiceUnavailable), fault(hangsUp)
	for _, tt := range []struct {
		rule     string
		from, to string // patterns of what fails there
		fault    fault
	}{
		{"the source is busy twice", "", "", busy.times(2)},
		{"the source hangs up", "", "", gone.times(2)},
		{"the source cuts a blob, and then one more", `^GET .*/blobs/`, "", cutsAfter(70_000).times(3)},
		{"the source cuts a blob, and cannot go on in the middle", `^GET .*/blobs/`, "", cutsAfter(70_000).with(ignoresRange).times(3)},
		{"the source cuts a manifest", `^GET .*/manifests/`, "", cutsAfter(50).times(3)},
		{"the source cuts a list of referrers", `^GET .*/referrers/`, "", cutsAfter(30).times(3)},
		{"the source has had too many requests", `^GET `, "", answers(http.StatusTooManyRequests, "Retry-After", "1").times(2)},
		{"a request to the source times out", `^GET .*/blobs/`, "", answers(http.StatusRequestTimeout).times(2)},
		{"the destination is busy twice", "", `.`, busy.times(2)},
		{"the destination hangs up", "", `.`, gone.times(2)},
		{"the destination is busy when it is asked what it has", "", headAnything, busy.times(2)},
		{"the destination is busy at a login", "", logIn, busy.times(2)},
		{"the destination is busy when a blob comes", "", putBlob, busy.times(2)},
		{"the destination is busy after some of a blob", "", putBlob, takes(70_000, busy).times(2)},
		{"the destination hangs up after some of a blob", "", putBlob, takes(70_000, gone).times(2)},
		{"the destination hangs up after all of a blob", "", putBlob, fault(forgets).times(2)},
		{"the destination loses an upload", "", putBlob, answers(http.StatusNotFound).times(2)},
		{"a token has expired when a blob comes", "", putBlob, answers(http.StatusUnauthorized, "WWW-Authenticate", "none").times(1)},
		{"the destination hangs up after a manifest", "", putManifest, fault(forgets).times(2)},
		{"the destination is busy when an upload begins", "", postUpload, busy.times(2)},
	} {
		t.Run(tt.rule, func(t *testing.T) {
			t.Parallel()
			here, there := startPlain(t), startPlain(t)
			x := newRepository(t, here).releases("1")
			front, back := newRelay(t, here), newRelay(t, there)
			if tt.to != "" {
				back.fails(tt.to, tt.fault)
			} else {
				front.fails(tt.from, tt.fault)
			}
			from, to := front.repository(t, here.lastRepository(t)), back.repository(t, "org/app")
			r := newCourier(t).writes(front.server, back.server).copies(from.ref("1"), to.ref("1"))
			got := r.succeeds().reports()[to.ref("1")]
			if got.digest != x.whole.digest || got.sent != 9 || got.blobs != 9 {
				t.Errorf("copied is %+v\n%s", got, r.stderr)
			}
			if !strings.Contains(r.stderr, "trying again") {
				t.Errorf("nothing is said of another try:\n%s", r.stderr)
			}
			there.repository(t, "org/app").servesRelease("1", x)
		})
	}
}

// startPlain starts a server without TLS, and without waiting for the disk.
func startPlain(t *testing.T) *server {
	return start(t, map[string]string{"TLS": "off", "STORAGE_SYNC": "false"})
}

// What goes on is not an accident. It ends soon, and says whose fault it is.
func TestCopyGivesUp(t *testing.T) {
	t.Parallel()
	const never = time.Hour
	busy := answers(http.StatusServiceUnavailable)
	for _, tt := range []struct {
		rule     string
		from, to string
		fault    func(ended <-chan struct{}) fault
		says     []string
		most     time.Duration
	}{
		{"the source is busy", "^GET .*/manifests/", "", always(busy), []string{"FROM: ", "status 503"}, never},
		{"the source asks for too much patience", "^GET .*/manifests/", "",
			always(answers(http.StatusTooManyRequests, "Retry-After", "3600")), []string{"FROM: ", "status 429", "again later"}, 10 * time.Second},
		{"the source sends another blob", "^GET .*/blobs/", "", always(scrambles()), []string{"FROM: ", "something else than blob sha256:"}, 10 * time.Second},
		{"the source sends another manifest", "^GET .*/manifests/", "", always(scrambles()), []string{"FROM: ", "something else"}, 10 * time.Second},
		{"the source lacks a blob", "^GET .*/blobs/", "", always(answers(http.StatusNotFound)), []string{"FROM: ", "blob sha256:", "not found"}, 10 * time.Second},
		{"the source hangs", "^GET .*/manifests/", "", holds, []string{"FROM: ", "for 1s", "ZUUL_REGISTRY_COPY_TIMEOUT"}, 30 * time.Second},
		{"the source hangs in a blob", "^GET .*/blobs/", "", holdsBody, []string{"FROM: ", "for 1s"}, 30 * time.Second},
		{"the source cuts each blob at once", "^GET .*/blobs/", "", always(cutsAfter(0)), []string{"FROM: "}, never},
		{"the source cuts each blob all the time", "^GET .*/blobs/", "", always(cutsAfter(1000)), []string{"FROM: "}, never},
		{"the destination is busy", "", putBlob, always(busy), []string{"TO: ", "status 503"}, never},
		{"the destination hangs", "", putManifest, holds, []string{"TO: ", "for 1s"}, 30 * time.Second},
		{"the destination hangs at a login", "", logIn, holds, []string{"TO: ", "for 1s"}, 30 * time.Second},
		{"the destination takes no more of a blob", "", putBlob,
			func(ended <-chan struct{}) fault { return takes(1000, holds(ended)) }, []string{"TO: ", "for 1s"}, 30 * time.Second},
		{"the destination refuses a manifest", "", putManifest, always(answers(http.StatusForbidden)),
			[]string{"TO: ", "access refused (status 403)", "credentials", "not good for this repository"}, 10 * time.Second},
	} {
		t.Run(tt.rule, func(t *testing.T) {
			t.Parallel()
			here, there := startPlain(t), startPlain(t)
			from := newRepository(t, here)
			config, layer := from.text("config"), from.bulk("layer", 20_000_000)
			from.delivers("1", imageOf(config, layer).manifest(), config, layer)
			front, back := newRelay(t, here), newRelay(t, there)
			if tt.to != "" {
				back.fails(tt.to, tt.fault(back.ended))
			} else {
				front.fails(tt.from, tt.fault(front.ended))
			}
			from.server = front.server
			to := back.repository(t, "org/app")
			for i, word := range tt.says {
				tt.says[i] = strings.NewReplacer("FROM", from.ref("1"), "TO", to.ref("1")).Replace(word)
			}
			r := newCourier(t).sets("COPY_TIMEOUT", "1s").writes(front.server, back.server).copies(from.ref("1"), to.ref("1"))
			r.fails(1, tt.says...)
			if r.took > tt.most {
				t.Errorf("it took %s, want at most %s", r.took, tt.most)
			}
			there.repository(t, "org/app").lacks("1")
		})
	}
}

func always(f fault) func(<-chan struct{}) fault {
	return func(<-chan struct{}) fault { return f }
}

// holdsBody holds a body back, whose header is there.
func holdsBody(ended <-chan struct{}) fault { return holdsAfter(0, ended) }

// The second time, no blob is asked for and none is sent.
func TestCopyAsksForNothingTwice(t *testing.T) {
	t.Parallel()
	here, there := startPlain(t), startPlain(t)
	from := newRepository(t, here)
	x := from.releases("1")
	front, back := newRelay(t, here), newRelay(t, there)
	from.server = front.server
	to := back.repository(t, "org/app")
	c := newCourier(t).writes(front.server, back.server)
	for round, tag := range []string{"1", "2", "3"} {
		c.copies(from.ref("1"), to.ref(tag)).succeeds()
		for pattern, want := range map[string]int{`^GET .*/blobs/sha256`: 9, putBlob: 9, postUpload: 9, `^GET .*/manifests/`: 6 * (round + 1)} {
			got := front.count(pattern) + back.count(pattern)
			if got != want {
				t.Errorf("after %d copies there were %d of %s, want %d", round+1, got, pattern, want)
			}
		}
	}
	to.servesRelease("3", x)
}

// lastRepository is the name of the repository that newRepository made last.
func (s *server) lastRepository(t *testing.T) string {
	t.Helper()
	var list struct{ Repositories []string }
	s.request(t, http.MethodGet, "/v2/_catalog").as(asWriter()).expect(http.StatusOK).json(&list)
	if len(list.Repositories) != 1 {
		t.Fatal(fmt.Sprint("there are several repositories: ", list.Repositories))
	}
	return list.Repositories[0]
}
