package upstream

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"

	"oras.land/oras-go/v2/registry/remote/retry"
)

// newTransport is the HTTP beneath all upstreams.
func newTransport(o Options) *http.Transport {
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: o.Timeout}).DialContext,
		TLSClientConfig:       &tls.Config{RootCAs: o.Authorities, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:   o.Timeout,
		ResponseHeaderTimeout: o.Timeout,
		ForceAttemptHTTP2:     true,
		// A connection of HTTP/2 that has gone silent would otherwise fail one
		// request after the other.
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: o.Timeout, PingTimeout: o.Timeout},
		DisableCompression:     true, // digests and lengths are those of the bytes sent
		MaxIdleConnsPerHost:    16,
		IdleConnTimeout:        time.Minute,
		MaxResponseHeaderBytes: 256 << 10,
	}
}

// OpenAuthorities reads a PEM file of CA certificates, which are trusted beside the
// system's.
func OpenAuthorities(path string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		return nil, err
	}
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s: there is no PEM certificate in it", path)
	}
	return roots, nil
}

const maxRedirects = 5

var (
	errRedirects = errors.New("too many redirects")
	errAstray    = errors.New("a redirect that is not followed")
)

// checkRedirect keeps credentials with the origin that they were meant for, and
// what is behind our firewall from those before it. It compares with the first
// request, whose headers Go takes for each further one while the host's name is the
// same, whatever its port. A body may have a refresh token in it.
func checkRedirect(next *http.Request, via []*http.Request) error {
	first := via[0]
	if len(via) > maxRedirects {
		return errRedirects
	}
	if origin(next.URL) == origin(first.URL) {
		return nil
	}
	switch {
	case first.Body != nil:
		return fmt.Errorf("%w: it would send a request with a body to another server", errAstray)
	case first.URL.Scheme == "https" && next.URL.Scheme != "https":
		return fmt.Errorf("%w: it leads from HTTPS to HTTP", errAstray)
	case isInternal(next.URL) && !isInternal(first.URL):
		return fmt.Errorf("%w: it leads to an internal address", errAstray)
	}
	next.Header.Del("Authorization")
	return nil
}

// sharedAddresses are those of carriers (RFC 6598), which clouds use for services
// of their own.
var sharedAddresses = netip.MustParsePrefix("100.64.0.0/10")

// isInternal says whether a URL has an address that is of no use to the world.
// Names may lead there as well: what they resolve to is the business of the site's
// own DNS.
func isInternal(u *url.URL) bool {
	host := strings.TrimSuffix(u.Hostname(), ".")
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	ip = ip.Unmap() // of ::ffff:127.0.0.1
	return err == nil && (ip.IsPrivate() || ip.IsLoopback() || ip.IsLinkLocalUnicast() || ip.IsUnspecified() || ip.IsMulticast() ||
		sharedAddresses.Contains(ip))
}

// origin is a URL's scheme, host and port, in one spelling.
func origin(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return u.Scheme + "://" + net.JoinHostPort(strings.ToLower(u.Hostname()), port)
}

// retrying tries GET and HEAD again that failed by accident, which is soon over or
// not: the client waits.
func retrying(base http.RoundTripper) http.RoundTripper {
	policy := &retry.GenericPolicy{
		Retryable: retryable,
		Backoff:   retry.ExponentialBackoff(250*time.Millisecond, 2, 0.1),
		MaxWait:   time.Second,
		MaxRetry:  2,
	}
	again := &retry.Transport{Base: base, Policy: func() retry.Policy { return policy }}
	return roundTripper(func(req *http.Request) (*http.Response, error) {
		if req.Method == http.MethodGet || req.Method == http.MethodHead {
			return again.RoundTrip(req)
		}
		return base.RoundTrip(req)
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

// RoundTrip is the function itself.
func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// retryable says whether another try may do better. What has a Retry-After is
// left to the gate.
func retryable(resp *http.Response, err error) (bool, error) {
	if err != nil {
		var closed *closedError
		var untrusted *tls.CertificateVerificationError
		return !errors.As(err, &closed) && !errors.As(err, &untrusted), nil
	}
	transient := resp.StatusCode >= 500 && resp.StatusCode != http.StatusNotImplemented
	return transient && resp.Header.Get("Retry-After") == "", nil
}
