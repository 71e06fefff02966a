package swift

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/ncw/swift/v2"

	"opendev.org/zuul/zuul-registry/server/peer"
)

// prepare has the library log in and speak, and leaves to us what is to be tried
// again, and when it has taken too long.
func (d *Driver) prepare() {
	const never = 24 * time.Hour
	d.account.ConnectTimeout, d.account.Timeout = never, never
	d.account.UserAgent = "zuul-registry"
	if d.account.Transport == nil {
		d.account.Transport = newTransport(nil)
	}
	d.account.Transport = wire{d.account.Transport}
}

// newTransport is the HTTP beneath requests to Swift and Keystone; trust is nil where
// there is nothing particular.
func newTransport(trust *tls.Config) *http.Transport {
	t := peer.NewTransport(nil, silence)
	if trust != nil {
		t.TLSClientConfig = trust
	}
	t.TLSClientConfig.MinVersion = tls.VersionTLS12
	t.MaxIdleConnsPerHost = 64
	// A part has a connection of its own, and is not sent before Swift wants it, but
	// to what is in front of a Swift and does not know of that.
	t.Protocols = new(http.Protocols)
	t.Protocols.SetHTTP1(true)
	t.ExpectContinueTimeout = time.Second
	return t
}

// wire is the HTTP beneath the library.
type wire struct{ http.RoundTripper }

// errMoved is why no redirect is followed: a PUT would become a GET, and the token go
// to whomever.
var errMoved = errors.New("it is somewhere else, by its answer, and redirects are not followed")

// RoundTrip keeps a login's faults apart from those of what is asked for.
func (w wire) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := w.RoundTripper.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	isLogin := r.Header.Get("X-Auth-Token") == ""
	switch code := response.StatusCode; {
	case code >= 300 && code < 400 && code != http.StatusNotModified:
		return nil, errors.Join(errMoved, response.Body.Close())
	case isLogin && code >= 300:
		fault := &swift.Error{Text: "the login fails: " + response.Status}
		if code == http.StatusUnauthorized || code == http.StatusForbidden || code == http.StatusBadRequest {
			fault.StatusCode = code
		}
		return nil, errors.Join(fault, response.Body.Close())
	}
	if body, ok := r.Context().Value(bodyKey{}).(*io.ReadCloser); ok && !isLogin {
		*body = response.Body
	}
	return response, nil
}

// bodyKey is that of an *io.ReadCloser in the context of a request, for the body of the
// answer as it is. The library would read each piece of it in a goroutine of its own,
// with a timer: 1.0 s of a processor for a GiB, and not 0.6.
type bodyKey struct{}

// content is what a request brings. It can be read again for the next attempt.
type content interface {
	io.ReaderAt
	Size() int64 // bytes
}

// loan lets one attempt read content. HTTP may still do so when it has an answer, and
// the content is about to go.
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

func (l *loan) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
}
