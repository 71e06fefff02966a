package transfer

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"oras.land/oras-go/v2/registry/remote/errcode"
	"oras.land/oras-go/v2/registry/remote/retry"

	"opendev.org/zuul/zuul-registry/server/peer"
)

// How often what fails by accident is tried again. It bounds what an image can cost
// beside the bytes that move: each of the retries of an image is at the worst a wait,
// and a timeout.
const (
	// retriesInARow is for one request, or one blob that does not go on: a quarter of
	// a minute, with the waits between. What does not answer is asked once more.
	retriesInARow, retriesOfSilence = 5, 1
	// retriesOfImage is for all requests and blobs of an image together.
	retriesOfImage = 20
	// firstWait is before the first of them; it doubles.
	firstWait = 500 * time.Millisecond
	// longestWait is what a registry may ask for by Retry-After.
	longestWait = time.Minute
)

// patience is what is left of it for an image. It is a retry.Policy for requests
// that can be sent again as they are; what else can be repeated, asks it by again.
type patience struct {
	log  *slog.Logger
	left atomic.Int64
}

func newPatience(log *slog.Logger) *patience {
	p := &patience{log: log}
	p.left.Store(retriesOfImage)
	return p
}

// Retry says how long to wait before another try; -1 for none.
func (p *patience) Retry(attempt int, resp *http.Response, err error) (time.Duration, error) {
	if resp != nil && err == nil {
		err = &errcode.ErrorResponse{Method: resp.Request.Method, URL: resp.Request.URL, StatusCode: resp.StatusCode}
	}
	wait := firstWait << attempt
	if resp != nil {
		if until := peer.RetryAfter(resp.Header.Get("Retry-After"), time.Now()); !until.IsZero() {
			wait = time.Until(until)
		}
	}
	most := retriesInARow
	if isSilence(err) {
		most = retriesOfSilence
	}
	if attempt >= most || !isAccident(err) || wait > longestWait || p.left.Add(-1) < 0 {
		return -1, nil
	}
	p.log.Warn("trying again", "in", wait.Round(time.Millisecond).String(), "because", peer.Censored(err))
	return wait, nil
}

// again waits before another try of something that has failed that often. It says
// whether there should be one.
func (p *patience) again(ctx context.Context, failures int, err error) bool {
	wait, _ := p.Retry(failures, nil, err) // it has no error
	if wait < 0 || ctx.Err() != nil {
		return false
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// isAccident says whether another try may do better.
func isAccident(err error) bool {
	var refusal *errcode.ErrorResponse
	var untrusted *tls.CertificateVerificationError
	var unknown *net.DNSError
	var plain tls.RecordHeaderError // which http.Client turns into ErrSchemeMismatch
	switch {
	case errors.As(err, &refusal):
		switch refusal.StatusCode {
		case http.StatusRequestTimeout, http.StatusTooManyRequests:
			return true
		}
		return refusal.StatusCode >= 500 && refusal.StatusCode != http.StatusNotImplemented
	case errors.Is(err, context.Canceled), errors.Is(err, http.ErrSchemeMismatch), errors.As(err, &plain), errors.As(err, &untrusted),
		errors.Is(err, peer.ErrRedirects), errors.Is(err, peer.ErrAstray):
		return false
	case errors.As(err, &unknown):
		return !unknown.IsNotFound
	}
	return true
}

// isSilence says whether a registry has not answered, or a body not gone on.
func isSilence(err error) bool {
	var slow net.Error
	return errors.Is(err, peer.ErrSilent) || errors.As(err, &slow) && slow.Timeout()
}

// isCut says whether an answer broke off, which retry.Transport does not see.
func isCut(err error) bool {
	var request *url.Error
	var broken *net.OpError
	return !errors.As(err, &request) &&
		(errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &broken) || errors.Is(err, peer.ErrSilent))
}

// client is the HTTP beneath one image's requests to one registry.
func (p *patience) client(base http.RoundTripper, timeout time.Duration) *http.Client {
	once := stalling{base, timeout}
	again := &retry.Transport{Base: once, Policy: func() retry.Policy { return p }}
	return &http.Client{CheckRedirect: peer.CheckRedirect, Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
		if req.Body != nil && req.Body != http.NoBody && req.GetBody == nil {
			return once.RoundTrip(req) // a blob, which destination sends again
		}
		return again.RoundTrip(req)
	})}
}

type roundTripper func(*http.Request) (*http.Response, error)

// RoundTrip is the function itself.
func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// stalling ends a request of which no byte moves for too long, in either direction.
type stalling struct {
	base  http.RoundTripper
	limit time.Duration
}

// RoundTrip fails with peer.ErrSilent then, and so does the body of the answer.
func (s stalling) RoundTrip(req *http.Request) (*http.Response, error) {
	w := peer.NewWatch(req.Context(), s.limit)
	watched := req.WithContext(w.Context())
	if req.Body != nil && req.Body != http.NoBody {
		watched.Body = &outgoing{w, req.Body}
	}
	resp, err := s.base.RoundTrip(watched)
	if err != nil {
		err = w.Fault(err)
		w.Stop()
		return nil, err
	}
	w.Pause()
	resp.Body = &peer.Stream{Watch: w, Body: resp.Body}
	return resp, nil
}

// outgoing is the body of a request under a watch. No time passes while it is
// waited for: where it comes from has a watch of its own.
type outgoing struct {
	watch *peer.Watch
	io.ReadCloser
}

// Read is one piece, which then has to be taken in time.
func (o *outgoing) Read(p []byte) (int, error) {
	o.watch.Pause()
	n, err := o.ReadCloser.Read(p)
	o.watch.Again()
	return n, err
}
