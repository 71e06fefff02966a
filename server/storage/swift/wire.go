package swift

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"opendev.org/zuul/zuul-registry/server/peer"
)

const userAgent = "zuul-registry"

// newTransport is the HTTP beneath requests to Swift and Keystone; trust is nil where
// there is nothing particular.
func newTransport(trust *tls.Config) *http.Transport {
	t := peer.NewTransport(nil, silence)
	if trust != nil {
		t.TLSClientConfig = trust
	}
	t.TLSClientConfig.MinVersion = tls.VersionTLS12
	t.MaxIdleConnsPerHost = 64
	t.Protocols = new(http.Protocols) // a part has a connection of its own
	t.Protocols.SetHTTP1(true)
	t.ExpectContinueTimeout = time.Second // what is in front of a Swift may not know of it
	t.ResponseHeaderTimeout = 0           // a Watch does that, for as long as it may take
	return t
}

// direct follows no redirect: a PUT would become a GET, and a token or password go to
// whomever.
type direct struct{ http.RoundTripper }

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := d.RoundTripper.RoundTrip(r)
	if err == nil && response.StatusCode >= 300 && response.StatusCode < 400 && response.Header.Get("Location") != "" {
		return nil, errors.Join(errMoved, response.Body.Close())
	}
	return response, err
}

var errMoved = errors.New("it is at another URL, by the answer: give that one, redirects are not followed")

// content is what a request brings. It can be read again for the next attempt.
type content interface {
	io.ReaderAt
	Size() int64 // bytes
}

// loan lets one attempt read content, until it ends: an http.RoundTripper may still read
// the body when it has returned (its documentation), and the content's memory is
// somebody else's then.
type loan struct {
	content content
	watch   *peer.Watch

	mu     sync.Mutex
	offset int64
	ended  bool
}

func (l *loan) Read(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return 0, context.Canceled
	}
	l.watch.Again()
	if l.offset >= l.content.Size() {
		return 0, io.EOF
	}
	n, err := l.content.ReadAt(p, l.offset)
	l.offset += int64(n)
	if err == io.EOF {
		err = nil // it comes next
	}
	return n, err
}

// Close ends the loan.
func (l *loan) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	return nil
}
