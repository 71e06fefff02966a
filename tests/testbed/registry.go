package testbed

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/ory/dockertest/v3"
	"github.com/ory/dockertest/v3/docker"
	"oras.land/oras-go/v2/registry/remote/auth"
)

// Registry is the image under test, running, with a writer.
type Registry struct {
	Host     string // as the tools name it
	Username string
	Password string

	site      *Site
	container *dockertest.Resource
	stopped   bool
	client    *http.Client // that trusts it
}

// StartRegistry starts the registry of a site with an empty store, and returns
// when it answers and is trusted by the site's hosts. It is ended, and must end
// well, after the test. Settings are environment variables, NAME=value, and go
// before those that all registries have.
func (s *Site) StartRegistry(t *testing.T, settings ...string) *Registry {
	t.Helper()
	r, pem := s.startRegistry(t, registryName, settings)
	s.trust(t, pem)
	return r
}

// StartStranger starts a registry that nobody is told to trust.
func (s *Site) StartStranger(t *testing.T) *Registry {
	t.Helper()
	r, _ := s.startRegistry(t, strangerName, nil)
	return r
}

func (s *Site) startRegistry(t *testing.T, name string, settings []string) (*Registry, []byte) {
	t.Helper()
	const user = 65532 // who the image runs as
	data := s.bed.store(t, "data")
	if err := os.Chown(data, user, user); err != nil {
		t.Fatal(err)
	}
	r := &Registry{
		Host:     net.JoinHostPort(name, registryPort),
		Username: "zuul",
		Password: `any "character": is <allowed> & sömetimes \used`,
		site:     s,
	}
	repository, tag := split(s.engine.Project(t))
	r.container = s.engine.Start(t, &dockertest.RunOptions{
		Name:       strings.TrimPrefix(filepath.Base(data), "data-"),
		Repository: repository,
		Tag:        tag,
		ExtraHosts: s.extraHosts(),
		Env: append([]string{
			"ZUUL_REGISTRY_ADDRESS=" + s.endpoint(name),
			"ZUUL_REGISTRY_TLS_HOSTS=" + name,
			"ZUUL_REGISTRY_USERNAME=" + r.Username,
			"ZUUL_REGISTRY_PASSWORD=" + r.Password,
			"ZUUL_REGISTRY_UPSTREAMS=none", // there is no network
		}, settings...),
	}, func(c *docker.HostConfig) {
		c.NetworkMode = "host" // where the site's addresses are
		c.PublishAllPorts = false
		c.Binds = []string{
			data + ":/data",
			s.bed.path(upstreamCertificate) + ":" + s.bed.path(upstreamCertificate) + ":ro",
		}
	})
	t.Cleanup(func() { r.Stop(t) })
	return r, r.awaitReady(t, s.endpoint(name), filepath.Join(data, "tls/cert.pem"))
}

// Stop ends the registry. It may be said more than once.
func (r *Registry) Stop(t *testing.T) {
	t.Helper()
	if !r.stopped {
		r.stopped = true
		r.site.engine.End(t, r.container)
	}
}

// awaitReady waits until the registry answers, and returns the certificate that
// it has made itself, in a file.
func (r *Registry) awaitReady(t *testing.T, endpoint, file string) (pem []byte) {
	t.Helper()
	if err := await(t.Context(), 30*time.Second, nil, func() (err error) {
		if pem, err = os.ReadFile(file); err != nil {
			return err
		}
		r.client = ClientOf(endpoint, pem)
		response, err := r.client.Get("https://" + r.Host + "/healthz")
		if err != nil {
			return err
		}
		return response.Body.Close()
	}); err != nil {
		t.Fatalf("the registry is not ready: %v", err)
	}
	return pem
}

// ClientOf is an HTTP client of one server, whatever its name, which trusts one
// certificate and no other.
func ClientOf(endpoint string, pem []byte) *http.Client {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	return &http.Client{Timeout: 2 * time.Minute, Transport: &http.Transport{
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, endpoint)
		},
		TLSClientConfig: &tls.Config{RootCAs: roots},
		// An idle connection would make the server's end depend on the test.
		DisableKeepAlives: true,
	}}
}

// Get asks for something below /v2/ as somebody who may read, and returns the
// answer with its body read.
func (r *Registry) Get(t *testing.T, path string) (*http.Response, []byte) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+r.Host+"/v2/"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header = http.Header{"Accept": mediaTypes}
	response, err := r.client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, body
}

// Report is what the registry tells of pulls and pushes, as JSON. It is the writer
// who asks.
func (r *Registry) Report(t *testing.T) []byte {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+r.Host+"/report", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.SetBasicAuth(r.Username, r.Password)
	response, err := r.client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("the report: %s, %v: %s", response.Status, err, body)
	}
	return body
}

// Run runs a command of the program where the registry runs, with its settings and
// further ones, and returns what it printed, its complaints, and its status.
func (r *Registry) Run(t *testing.T, settings []string, command ...string) (printed, complaints string, status int) {
	t.Helper()
	var out, err bytes.Buffer
	status, fault := r.container.Exec(append([]string{"/usr/bin/" + server}, command...), dockertest.ExecOptions{
		Env: settings, StdOut: &out, StdErr: &err,
	})
	if fault != nil {
		t.Fatal(fault)
	}
	return out.String(), err.String(), status
}

// mediaTypes are all those of manifests.
var mediaTypes = []string{
	"application/vnd.docker.distribution.manifest.v2+json",
	"application/vnd.docker.distribution.manifest.list.v2+json",
	ocispec.MediaTypeImageManifest,
	ocispec.MediaTypeImageIndex,
}

// Status is the status of the answer to a request for the manifest of an image,
// by its name in the registry: docker.io/library/app:latest.
func (r *Registry) Status(t *testing.T, ref string) int {
	t.Helper()
	repository, tag := split(ref)
	response, _ := r.Get(t, repository+"/manifests/"+tag)
	return response.StatusCode
}

// Manifest is the manifest of an image that the registry must have, by its name
// in the registry, with the media type as it was served.
func (r *Registry) Manifest(t *testing.T, ref string) (manifest []byte, mediaType string) {
	t.Helper()
	repository, tag := split(ref)
	response, body := r.Get(t, repository+"/manifests/"+tag)
	if response.StatusCode != http.StatusOK {
		t.Fatalf("the registry answers for %s with %s", ref, response.Status)
	}
	return body, response.Header.Get("Content-Type")
}

// Digest is the digest of the manifest that a reference with a tag names, which
// begins with the registry's host.
func (r *Registry) Digest(t *testing.T, ref string) string {
	t.Helper()
	manifest, _ := r.Manifest(t, strings.TrimPrefix(ref, r.Host+"/"))
	return Digest(manifest)
}

// Push pushes an image as the writer, by its name in the registry, for tools
// that cannot. It says who it is without being asked.
func (r *Registry) Push(t *testing.T, image Image, ref string) {
	t.Helper()
	layout, err := r.site.bed.Layout(image, Format{})
	if err != nil {
		t.Fatal(err)
	}
	login := base64.StdEncoding.EncodeToString([]byte(r.Username + ":" + r.Password))
	push(t, layout, r.Host+"/"+ref, &auth.Client{Client: r.client, Header: http.Header{"Authorization": {"Basic " + login}}})
}
