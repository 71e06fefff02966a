package testbed

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Registry is the server under test, running, with a writer.
type Registry struct {
	Host     string // as the tools name it; they trust its certificate
	Stranger string // the same server by a name for which they do not
	Username string
	Password string

	client *http.Client
}

const (
	port  = "9000"
	drain = 5 * time.Second // within which the server ends after SIGTERM
)

// StartRegistry starts the built server with an empty store, and returns when
// it answers and is trusted. It is ended, and must end well, after the test.
// Settings are further environment variables, NAME=value, and go before its own.
func (b *Bed) StartRegistry(t *testing.T, settings ...string) *Registry {
	t.Helper()
	dir := b.Folder(t, "registry")
	r := &Registry{
		Host:     net.JoinHostPort(trustedName, port),
		Stranger: net.JoinHostPort(untrustedName, port),
		Username: "zuul",
		Password: `any "character": is <allowed> & sömetimes \used`,
	}
	command := exec.Command(b.path(server), "serve")
	command.Dir = dir
	command.Env = append([]string{
		"ZUUL_REGISTRY_ADDRESS=" + net.JoinHostPort(address, port),
		"ZUUL_REGISTRY_TLS_HOSTS=" + trustedName + "," + untrustedName,
		"ZUUL_REGISTRY_USERNAME=" + r.Username,
		"ZUUL_REGISTRY_PASSWORD=" + r.Password,
		"ZUUL_REGISTRY_UPSTREAMS=none", // there is no network
	}, settings...)
	certificate := filepath.Join(dir, "data/tls/cert.pem")

	start(t, dir, drain, command).await(t, 20*time.Second, func() error {
		return r.greet(certificate)
	})
	if err := trust(r.Host, certificate); err != nil {
		t.Fatal(err)
	}
	return r
}

// greet asks for the server's health, trusting the certificate and no other.
func (r *Registry) greet(certificate string) error {
	pem, err := os.ReadFile(certificate)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return fmt.Errorf("%s holds no certificate", certificate)
	}
	r.client = &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots},
		// An idle connection would make the server's end depend on the test.
		DisableKeepAlives: true,
	}}
	_, err = r.ask(context.Background(), http.MethodGet, "/healthz", nil)
	return err
}

// Digest is the digest of the manifest that a reference with a tag names.
func (r *Registry) Digest(t *testing.T, ref string) string {
	t.Helper()
	name, ok := strings.CutPrefix(ref, r.Host+"/")
	repository, tag, tagged := strings.Cut(name, ":")
	if !ok || !tagged {
		t.Fatalf("%s is no tag in %s", ref, r.Host)
	}
	headers, err := r.ask(t.Context(), http.MethodHead, "/v2/"+repository+"/manifests/"+tag, http.Header{
		"Accept": {strings.Join([]string{
			"application/vnd.docker.distribution.manifest.v2+json",
			"application/vnd.oci.image.manifest.v1+json",
		}, ", ")},
	})
	if err != nil {
		t.Fatal(err)
	}
	return headers.Get("Docker-Content-Digest")
}

// ask makes a request that must be answered with 200.
func (r *Registry) ask(ctx context.Context, method, path string, header http.Header) (http.Header, error) {
	request, err := http.NewRequestWithContext(ctx, method, "https://"+r.Host+path, nil)
	if err != nil {
		return nil, err
	}
	request.Header = header
	response, err := r.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s %s: %s", method, request.URL, response.Status)
	}
	return response.Header, nil
}
