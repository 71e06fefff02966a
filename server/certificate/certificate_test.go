package certificate_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"opendev.org/zuul/zuul-registry/server/certificate"
)

type getCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error)

var hosts = []string{"localhost", "registry.test", "127.0.0.1", "::1"}

func files(t *testing.T) certificate.Files {
	dir := t.TempDir()
	return certificate.Files{Certificate: filepath.Join(dir, "tls/cert.pem"), Key: filepath.Join(dir, "keys/cert.key")}
}

func ensure(t *testing.T, f certificate.Files) bool {
	t.Helper()
	created, err := certificate.Ensure(f, hosts)
	if err != nil {
		t.Fatal(err)
	}
	return created
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// serve answers one handshake after another, and says where.
func serve(t *testing.T, get getCertificate) string {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{GetCertificate: get})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			_, _ = io.WriteString(c, "hello")
			_ = c.Close()
		}
	}()
	return l.Addr().String()
}

func shake(address string, c *tls.Config) error {
	conn, err := tls.Dial("tcp", address, c)
	if err != nil {
		return err
	}
	return conn.Close()
}

func load(t *testing.T, f certificate.Files, log io.Writer) getCertificate {
	t.Helper()
	get, err := certificate.Load(f, hosts, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	return get
}

func TestCreatedCertificateIsTrusted(t *testing.T) {
	f := files(t)
	if !ensure(t, f) {
		t.Error("nothing was made")
	}
	address := serve(t, load(t, f, io.Discard))
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(read(t, f.Certificate))
	for _, host := range hosts {
		if err := shake(address, &tls.Config{RootCAs: pool, ServerName: host}); err != nil {
			t.Errorf("as %s: %v", host, err)
		}
	}
	if err := shake(address, &tls.Config{RootCAs: pool, ServerName: "elsewhere.test"}); err == nil {
		t.Error("the certificate is good for any name")
	}
	if info, err := os.Stat(f.Key); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key's mode is %v, %v; want 0600", info.Mode(), err)
	}
}

func TestWarnings(t *testing.T) {
	f := files(t)
	ensure(t, f)
	for _, tt := range []struct {
		hosts []string
		warns bool
	}{{hosts, false}, {append(hosts, "elsewhere.test"), true}} {
		var log bytes.Buffer
		if _, err := certificate.Load(f, tt.hosts, slog.New(slog.NewTextHandler(&log, nil))); err != nil {
			t.Fatal(err)
		}
		if warns := strings.Contains(log.String(), "host=elsewhere.test"); warns != tt.warns {
			t.Errorf("for %q the log says %s", tt.hosts, &log)
		}
	}
}

func TestExistingFilesAreLeftAlone(t *testing.T) {
	f := files(t)
	ensure(t, f)
	before := read(t, f.Certificate)
	if ensure(t, f) || !bytes.Equal(before, read(t, f.Certificate)) {
		t.Error("an existing certificate was replaced")
	}
	for _, kept := range []string{f.Certificate, f.Key} {
		f := files(t)
		ensure(t, f)
		lost := f.Key
		if strings.HasSuffix(kept, ".key") {
			lost = f.Certificate
		}
		if err := os.Remove(lost); err != nil {
			t.Fatal(err)
		}
		if _, err := certificate.Ensure(f, hosts); err == nil || !strings.Contains(err.Error(), lost) {
			t.Errorf("without %s: %v, want an error that names it", lost, err)
		}
		if _, err := os.Stat(lost); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s was made though the other file is there", lost)
		}
	}
}

func TestNothingHalfMadeStays(t *testing.T) {
	f := files(t)
	if err := os.WriteFile(filepath.Dir(f.Certificate), nil, 0o600); err != nil { // in the directory's place
		t.Fatal(err)
	}
	if _, err := certificate.Ensure(f, hosts); err == nil {
		t.Error("no error")
	}
	if entries, _ := os.ReadDir(filepath.Dir(f.Key)); len(entries) != 0 {
		t.Errorf("%v stays", entries)
	}
}

func TestReplacedFilesAreLoaded(t *testing.T) {
	f, next := files(t), files(t)
	ensure(t, f)
	var log bytes.Buffer
	get := load(t, f, &log)
	serves := func(want []byte) bool {
		t.Helper()
		c, err := get(nil)
		if err != nil {
			t.Fatal(err)
		}
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(want)
		leaf, err := x509.ParseCertificate(c.Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		_, err = leaf.Verify(x509.VerifyOptions{Roots: pool})
		return err == nil
	}
	old := read(t, f.Certificate)
	if !serves(old) {
		t.Fatal("the certificate is not served")
	}
	ensure(t, next)
	replace(t, next.Certificate, f.Certificate)
	if !serves(old) || !strings.Contains(log.String(), "cannot be reloaded") {
		t.Errorf("half replaced, the old one does not go on; the log says %q", &log)
	}
	replace(t, next.Key, f.Key)
	if !serves(read(t, f.Certificate)) {
		t.Error("the new certificate is not served")
	}
}

func replace(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
	later := time.Now().Add(time.Minute) // as if it had been a while
	if err := os.Chtimes(to, later, later); err != nil {
		t.Fatal(err)
	}
}
