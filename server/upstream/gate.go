package upstream

import (
	"fmt"
	"net/http"
	"sync"
	"time"

	"opendev.org/zuul/zuul-registry/server/peer"
)

// gate is a RoundTripper that does not ask a host again before it wants to be
// asked: 429 and 503 with Retry-After (RFC 9110, section 10.2.3; RFC 6585). It sees
// how much upstreams may still be asked.
type gate struct {
	base   http.RoundTripper
	limits map[string]*lastLimit // of the hosts that are upstreams' own; not changed

	mu     sync.Mutex
	closed map[string]time.Time // until when, by host
}

// maxClosed is the most hosts that are remembered. Redirects can name any.
const maxClosed = 1000

// closedError says that a host is not asked.
type closedError struct {
	host  string
	until time.Time
}

// Error is for the log.
func (e *closedError) Error() string {
	return fmt.Sprintf("%s wants not to be asked before %s", e.host, e.until.Format(time.RFC3339))
}

// RoundTrip fails with a closedError while the gate is closed.
func (g *gate) RoundTrip(req *http.Request) (*http.Response, error) {
	host := req.URL.Host
	if until := g.until(host); !until.IsZero() {
		if req.Body != nil {
			_ = req.Body.Close() // as a RoundTripper must
		}
		return nil, &closedError{host, until}
	}
	resp, err := g.base.RoundTrip(req)
	if l := g.limits[host]; l != nil && err == nil {
		l.note(resp.Header)
	}
	if err == nil && (resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusServiceUnavailable) {
		g.close(host, peer.RetryAfter(resp.Header.Get("Retry-After"), time.Now()))
	}
	return resp, err
}

// until is when a host may be asked again; zero for now.
func (g *gate) until(host string) time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	until := g.closed[host]
	if !time.Now().Before(until) {
		delete(g.closed, host)
		return time.Time{}
	}
	return until
}

func (g *gate) close(host string, until time.Time) {
	if until.IsZero() {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.closed) >= maxClosed {
		clear(g.closed)
	}
	g.closed[host] = until
}
