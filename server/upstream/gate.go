package upstream

import (
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// gate is a RoundTripper that does not ask a host again before it wants to be
// asked: 429 and 503 with Retry-After (RFC 9110, section 10.2.3; RFC 6585).
type gate struct {
	base http.RoundTripper

	mu     sync.Mutex
	closed map[string]time.Time // until when, by host
}

const (
	// longestWait is the most that a Retry-After is believed.
	longestWait = time.Hour
	// maxClosed is the most hosts that are remembered. Redirects can name any.
	maxClosed = 1000
)

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
	if err == nil && (resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusServiceUnavailable) {
		g.close(host, retryAfter(resp.Header.Get("Retry-After"), time.Now()))
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

// retryAfter is the time that a Retry-After header names, in seconds from now or
// as a date, but not later than in an hour; zero for none, or one that has passed.
func retryAfter(value string, now time.Time) time.Time {
	until, err := http.ParseTime(value)
	if err != nil {
		seconds, err := strconv.ParseUint(value, 10, 64)
		if err != nil {
			return time.Time{}
		}
		until = now.Add(time.Duration(min(seconds, uint64(longestWait/time.Second))) * time.Second)
	}
	if !until.After(now) {
		return time.Time{}
	}
	if latest := now.Add(longestWait); until.After(latest) {
		return latest
	}
	return until
}
