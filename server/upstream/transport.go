package upstream

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"

	"oras.land/oras-go/v2/registry/remote/retry"
)

// newTransport is what all upstreams share. Proxies are those of the standard
// environment variables.
func newTransport(o Options) http.RoundTripper {
	return &retry.Transport{
		Policy: func() retry.Policy { return policy },
		Base: &courtesy{base: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            (&net.Dialer{Timeout: o.Timeout}).DialContext,
			TLSClientConfig:        &tls.Config{RootCAs: o.Authorities, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout:    o.Timeout,
			ResponseHeaderTimeout:  o.Timeout,
			IdleConnTimeout:        time.Minute,
			MaxIdleConnsPerHost:    16,
			MaxResponseHeaderBytes: 256 << 10,
			DisableCompression:     true, // blobs are compressed already, and digests are of what is sent
		}},
	}
}

// OpenAuthorities reads further CA certificates from a PEM file, beside the
// system's.
func OpenAuthorities(path string) (*x509.CertPool, error) {
	roots, err := x509.SystemCertPool()
	if err != nil {
		return nil, err
	}
	pem, err := os.ReadFile(path)
	if err == nil && !roots.AppendCertsFromPEM(pem) {
		err = errors.New("the file holds no certificate in PEM")
	}
	return roots, err
}

// policy tries twice again, soon: whoever waits has other mirrors to go to.
var policy = &retry.GenericPolicy{
	Retryable: func(answer *http.Response, err error) (bool, error) {
		if err != nil {
			var busy *busyError
			return !errors.As(err, &busy), nil
		}
		return answer.StatusCode >= http.StatusInternalServerError && answer.Header.Get("Retry-After") == "", nil
	},
	Backoff: retry.ExponentialBackoff(250*time.Millisecond, 2, 0.1),
	MinWait: 100 * time.Millisecond, MaxWait: time.Second, MaxRetry: 2,
}

// checkRedirect keeps credentials with the server that they are for: Go sends them
// on to other ports, and oras-go to a second hop there.
func checkRedirect(r *http.Request, via []*http.Request) error {
	const most = 5
	if len(via) > most {
		return fmt.Errorf("more than %d redirects", most)
	}
	if first := via[0].URL; r.URL.Scheme != first.Scheme || r.URL.Host != first.Host {
		r.Header.Del("Authorization")
	}
	return nil
}

// courtesy does not ask a host again before it wants to be (Retry-After, RFC 9110,
// section 10.2.3).
type courtesy struct {
	base http.RoundTripper

	mu    sync.Mutex
	until map[string]time.Time // by host
}

// busyError says that a host wants to be left alone.
type busyError struct{ until time.Time }

func (b *busyError) Error() string {
	return "asks to be left alone until " + b.until.UTC().Format(time.RFC3339)
}

func (c *courtesy) RoundTrip(r *http.Request) (*http.Response, error) {
	if until, busy := c.busy(r.URL.Host); busy {
		return nil, &busyError{until}
	}
	answer, err := c.base.RoundTrip(r)
	if err == nil && (answer.StatusCode == http.StatusTooManyRequests || answer.StatusCode == http.StatusServiceUnavailable) {
		c.note(r.URL.Host, answer.Header.Get("Retry-After"))
	}
	return answer, err
}

func (c *courtesy) busy(host string) (time.Time, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	until, ok := c.until[host]
	if ok && time.Now().After(until) {
		delete(c.until, host)
		ok = false
	}
	return until, ok
}

func (c *courtesy) note(host, retryAfter string) {
	const longest = time.Hour // nobody means more
	wait := time.Duration(0)
	if seconds, err := strconv.ParseUint(retryAfter, 10, 32); err == nil {
		wait = time.Duration(seconds) * time.Second
	} else if at, err := http.ParseTime(retryAfter); err == nil {
		wait = time.Until(at)
	}
	if wait <= 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.until == nil {
		c.until = map[string]time.Time{}
	}
	c.until[host] = time.Now().Add(min(wait, longest))
}
