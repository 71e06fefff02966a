package testbed

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content/oci"
	"oras.land/oras-go/v2/registry/remote"
)

const (
	upstreamCertificate = "upstreams.pem"
	upstreamKey         = "upstreams.key"
)

// Certify prepares a certificate for the upstreams, which the hosts with tools
// trust as they would that of the real ones. It needs the server.
func Certify(ctx context.Context, dir string) error {
	certify := exec.CommandContext(ctx, filepath.Join(dir, server), "certificate")
	certify.Env = []string{
		"ZUUL_REGISTRY_TLS_CERT=" + filepath.Join(dir, upstreamCertificate),
		"ZUUL_REGISTRY_TLS_KEY=" + filepath.Join(dir, upstreamKey),
		"ZUUL_REGISTRY_TLS_HOSTS=" + hubName + "," + quayName,
	}
	_, err := Run(certify)
	return err
}

// Upstreams stand for the real registries of docker.io and quay.io. Each is
// somebody else's program, and has a store of its own.
type Upstreams struct {
	site      *Site
	processes []*process
}

// StartUpstreams starts those of a site, empty, for the test.
func (s *Site) StartUpstreams(t *testing.T) *Upstreams {
	t.Helper()
	Need(t, "docker-registry")
	return &Upstreams{s, []*process{s.startUpstream(t, hubName), s.startUpstream(t, quayName)}}
}

// Stop leaves the names without them. It may be said more than once.
func (u *Upstreams) Stop(t *testing.T) {
	t.Helper()
	for _, process := range u.processes {
		process.stop(t)
	}
}

// Read is something that somebody got from an upstream.
type Read struct{ Path, Agent string }

// Reads are the manifests and blobs that the upstreams gave away. They are
// stopped for that.
func (u *Upstreams) Reads(t *testing.T) (reads []Read) {
	t.Helper()
	u.Stop(t)
	// A line of their access logs.
	line := regexp.MustCompile(`"GET (/v2/\S+/(?:blobs|manifests)/\S+) HTTP/\S+" 20\d \d+ "[^"]*" "([^"]*)"`)
	for _, process := range u.processes {
		log, err := os.ReadFile(process.log)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range line.FindAllSubmatch(log, -1) {
			reads = append(reads, Read{Path: string(found[1]), Agent: string(found[2])})
		}
	}
	return reads
}

// Settings are those of a registry that finds the upstreams, and trusts them.
func (u *Upstreams) Settings() []string {
	return []string{
		"ZUUL_REGISTRY_UPSTREAMS=docker.io=https://" + hubName + ",quay.io=https://" + quayName,
		"ZUUL_REGISTRY_UPSTREAM_CA_FILE=" + u.site.bed.path(upstreamCertificate),
	}
}

// startUpstream starts one of them. It is not let drain when it is stopped: it
// would wait for connections that nobody used.
func (s *Site) startUpstream(t *testing.T, name string) *process {
	t.Helper()
	dir, address := s.bed.store(t, name), net.JoinHostPort(s.address(name), "443")
	file := filepath.Join(dir, "config.yml")
	if err := os.WriteFile(file, fmt.Appendf(nil, `version: 0.1
storage: {filesystem: {rootdirectory: %q}}
http: {addr: %q, tls: {certificate: %q, key: %q}}
`, filepath.Join(dir, "store"), address, s.bed.path(upstreamCertificate), s.bed.path(upstreamKey)), 0o644); err != nil {
		t.Fatal(err)
	}
	command := exec.Command("docker-registry", "serve", file)
	command.Env = []string{} // which would go before the file
	p := start(t, dir, 5*time.Second, command)
	p.cut = true
	p.await(t, 10*time.Second, func() error {
		connection, err := net.Dial("tcp", address)
		if err != nil {
			return err
		}
		return connection.Close()
	})
	return p
}

// Publish has an upstream hold an image under its public name, as a list of
// platforms, which most images in the world are.
func (u *Upstreams) Publish(t *testing.T, image Image, ref string) {
	t.Helper()
	namespace, name, _ := strings.Cut(ref, "/")
	host := map[string]string{"docker.io": hubName, "quay.io": quayName}[namespace]
	pem, err := os.ReadFile(u.site.bed.path(upstreamCertificate))
	if err != nil {
		t.Fatal(err)
	}
	list, err := u.site.bed.List(Format{Docker: true}, image)
	if err != nil {
		t.Fatal(err)
	}
	push(t, list, host+"/"+name, ClientOf(net.JoinHostPort(u.site.address(host), "443"), pem))
}

// push pushes a layout as a reference.
func push(t *testing.T, layout Layout, ref string, client remote.Client) {
	t.Helper()
	from, err := oci.New(layout.Dir)
	if err != nil {
		t.Fatal(err)
	}
	repository, tag := split(ref)
	to, err := remote.NewRepository(repository)
	if err != nil {
		t.Fatal(err)
	}
	to.Client = client
	if _, err := oras.Copy(t.Context(), from, latest, to, tag, oras.DefaultCopyOptions); err != nil {
		t.Fatalf("push %s: %v", ref, err)
	}
}

// Refusing is the address of a registry that cannot be reached.
func (s *Site) Refusing(t *testing.T) string {
	t.Helper()
	listener := s.listen(t)
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	return listener.Addr().String()
}

// Silent is the address of a registry to which a connection is made, and
// nothing comes back.
func (s *Site) Silent(t *testing.T) string {
	t.Helper()
	listener := s.listen(t)
	t.Cleanup(func() { listener.Close() })
	return listener.Addr().String()
}

func (s *Site) listen(t *testing.T) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", net.JoinHostPort(s.address(hubName), "0"))
	if err != nil {
		t.Fatal(err)
	}
	return listener
}
