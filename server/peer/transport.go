// Package peer is what it takes to speak to another server over HTTP: a
// connection that ends when nothing is heard, whom to trust, what to log in with,
// where not to be led, and errors that repeat no secret.
package peer

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"
)

// NewTransport is the HTTP beneath requests to other servers. Connecting may take
// the timeout, and so may the wait for the header of an answer. Authorities are
// trusted to sign certificates; nil for the system's.
func NewTransport(authorities *x509.CertPool, timeout time.Duration) *http.Transport {
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: timeout}).DialContext,
		TLSClientConfig:       &tls.Config{RootCAs: authorities, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:   timeout,
		ResponseHeaderTimeout: timeout,
		ForceAttemptHTTP2:     true,
		// A connection of HTTP/2 that has gone silent would otherwise fail one
		// request after the other.
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: timeout, PingTimeout: timeout},
		DisableCompression:     true, // digests and lengths are those of the bytes sent
		MaxIdleConnsPerHost:    16,
		IdleConnTimeout:        time.Minute,
		MaxResponseHeaderBytes: 256 << 10,
	}
}

// OpenAuthorities reads PEM files of CA certificates, which are trusted beside the
// system's. The error names the file.
func OpenAuthorities(paths ...string) (*x509.CertPool, error) {
	roots, err := x509.SystemCertPool()
	if err != nil {
		return nil, err
	}
	for _, path := range paths {
		pem, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		if !roots.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s: there is no PEM certificate in it", path)
		}
	}
	return roots, nil
}
