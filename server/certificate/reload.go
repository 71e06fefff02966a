package certificate

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"time"

	"opendev.org/zuul/zuul-registry/server/reload"
)

// Load reads a certificate and its key, and returns what tls.Config takes as
// GetCertificate: the certificate as its files are at each handshake. While they
// cannot be used, which may be when they are being replaced, the one before
// goes on. What clients will not like about it is logged.
func Load(f Files, hosts []string, log *slog.Logger) (func(*tls.ClientHelloInfo) (*tls.Certificate, error), error) {
	current, err := reload.Open(func() (*tls.Certificate, error) {
		pair, err := tls.LoadX509KeyPair(f.Certificate, f.Key)
		if err != nil {
			return nil, fmt.Errorf("%s and %s: %w", f.Certificate, f.Key, err)
		}
		log.Info("certificate read", "path", f.Certificate, "until", pair.Leaf.NotAfter)
		warn(pair.Leaf, hosts, log)
		return &pair, nil
	}, f.Certificate, f.Key)
	if err != nil {
		return nil, err
	}
	return func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		c, err := current.Get()
		if err != nil {
			log.Error("certificate cannot be reloaded, the one before goes on", "error", err)
		}
		return c, nil
	}, nil
}

// soon is when a certificate's end is worth a warning.
const soon = 14 * 24 * time.Hour

func warn(c *x509.Certificate, hosts []string, log *slog.Logger) {
	if left := time.Until(c.NotAfter); left < soon {
		log.Warn("certificate has ended, or will soon", "until", c.NotAfter)
	}
	if c.Subject.CommonName != ourName {
		return // names of another's making are not ours to judge
	}
	for _, host := range hosts {
		if c.VerifyHostname(host) != nil {
			log.Warn("certificate is not good for a host: remove it and its key to have a new one made", "host", host)
		}
	}
}
