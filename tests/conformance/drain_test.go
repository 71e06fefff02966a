package conformance

import (
	"net"
	"net/http"
	"syscall"
	"testing"
	"time"
)

// refuse asks the server to end, and returns when it takes no more connections.
func (s *server) refuse(t *testing.T) {
	t.Helper()
	if err := s.process.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for late := time.Now().Add(drainTime); time.Now().Before(late); {
		conn, err := net.Dial("tcp", s.address)
		if err != nil {
			return
		}
		_ = conn.Close()
	}
	t.Fatal("the server takes connections after SIGTERM")
}

// A server that is asked to end finishes what it has begun.
func TestRequestOutlivesSIGTERM(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	repo := newRepository(t, s)
	b := repo.bulk("layer", 100_000)
	u := repo.startUpload()
	w := s.dial(t)
	w.begin(http.MethodPatch, u.patch().target(), length(len(b.content)), "Expect: 100-continue").awaitContinue()
	w.write(b.content[:50_000])
	s.refuse(t)
	w.write(b.content[50_000:])
	u.follow(w.answer(http.MethodPatch, u.patch().target()), len(b.content))
	if err := s.awaitEnd(); err != nil {
		t.Fatal(err)
	}

	after := s.installation.startFor(t)
	again := after.repository(t, repo.name)
	(&upload{again, u.location}).commit(b.digest).expect(http.StatusCreated)
	again.servesBlob(b)
}

// A client that does not go on does not hold the end up.
func TestClientDoesNotHoldUpTheEnd(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	u := newRepository(t, s).startUpload()
	w := s.dial(t)
	w.begin(http.MethodPatch, u.patch().target(), length(100), "Expect: 100-continue").awaitContinue()
	s.stop(t)
}
