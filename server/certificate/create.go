// Package certificate makes the self-signed certificate of a registry that was
// given none, and follows a certificate whose files are replaced.
package certificate

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// Files are the paths of a certificate and its key, PEM.
type Files struct{ Certificate, Key string }

// validity is long, for nobody is told when a self-signed certificate ends.
const validity = 10 * 365 * 24 * time.Hour

// Ensure makes a self-signed certificate for hosts, which are names and
// addresses, unless both files exist: then it leaves them alone. created says
// which. One file without the other is an error.
func Ensure(f Files, hosts []string) (created bool, err error) {
	haveCertificate, err := exists(f.Certificate)
	if err != nil {
		return false, err
	}
	haveKey, err := exists(f.Key)
	switch {
	case err != nil:
		return false, err
	case haveCertificate && haveKey:
		return false, nil
	case haveCertificate:
		return false, fmt.Errorf("there is a certificate %s, but not its key %s", f.Certificate, f.Key)
	case haveKey:
		return false, fmt.Errorf("there is a key %s, but not its certificate %s", f.Key, f.Certificate)
	}
	return true, create(f, hosts)
}

func exists(path string) (bool, error) {
	_, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

func create(f Files, hosts []string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template, err := describe(hosts)
	if err != nil {
		return err
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := write(f.Key, "PRIVATE KEY", secret, 0o600); err != nil {
		return err
	}
	if err := write(f.Certificate, "CERTIFICATE", der, 0o644); err != nil {
		return errors.Join(err, os.Remove(f.Key))
	}
	return nil
}

// ourName is the common name of the certificates that are made here.
const ourName = "zuul-registry"

// describe makes the certificate its own authority, so that one file is what
// clients need to trust it.
func describe(hosts []string) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	now := time.Now()
	c := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: ourName},
		NotBefore:             now.Add(-time.Hour), // for clients whose clock is behind
		NotAfter:              now.Add(validity),
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			c.IPAddresses = append(c.IPAddresses, ip)
		} else {
			c.DNSNames = append(c.DNSNames, host)
		}
	}
	return c, nil
}

// write makes a file whole or not at all.
func write(path, kind string, der []byte, mode fs.FileMode) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	err = errors.Join(pem.Encode(f, &pem.Block{Type: kind, Bytes: der}), f.Chmod(mode), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
