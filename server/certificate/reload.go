package certificate

import (
	"crypto/tls"
	"fmt"
	"log/slog"

	"opendev.org/zuul/zuul-registry/server/reload"
)

// Load reads a certificate and its key, and returns what tls.Config takes as
// GetCertificate: the certificate as its files are at each handshake. While they
// cannot be used, which may be when they are being replaced, the one before
// goes on.
func Load(f Files, log *slog.Logger) (func(*tls.ClientHelloInfo) (*tls.Certificate, error), error) {
	current, err := reload.Open(func() (*tls.Certificate, error) {
		pair, err := tls.LoadX509KeyPair(f.Certificate, f.Key)
		if err != nil {
			return nil, fmt.Errorf("%s and %s: %w", f.Certificate, f.Key, err)
		}
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
