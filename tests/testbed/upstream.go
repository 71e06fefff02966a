package testbed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"
)

// Two registries of the world have their names inside, and addresses that are
// there whether they run or not: while they do not, they refuse.
const (
	hubName     = "registry-1.docker.io"
	hubAddress  = "10.99.0.20"
	quayName    = "quay.io"
	quayAddress = "10.99.0.21"
)

const (
	upstreamCertificate = "upstreams.pem"
	upstreamKey         = "upstreams.key"
)

// Certify prepares a certificate for the upstreams, which everything inside
// will trust as it would that of the real ones. It needs the server.
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

// trustUpstreams adds the certificate, if it was prepared, to those that the
// machine trusts. Go programs read all files of the folder.
func trustUpstreams(dir string) error {
	pem, err := os.ReadFile(filepath.Join(dir, upstreamCertificate))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	const trusted = "/etc/ssl/certs"
	if err := os.MkdirAll(trusted, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(trusted, upstreamCertificate), pem, 0o644)
}

// UpstreamTools are what Upstreams are made of.
var UpstreamTools = []string{"docker-registry", "skopeo"}

// Upstreams stand for the real registries of docker.io and quay.io. Each is
// somebody else's program, and has a store of its own.
type Upstreams struct {
	bed       *Bed
	processes []*process
}

// StartUpstreams starts them, empty, for the test.
func (b *Bed) StartUpstreams(t *testing.T) *Upstreams {
	t.Helper()
	Need(t, UpstreamTools...)
	return &Upstreams{b, []*process{
		b.startUpstream(t, hubName, hubAddress),
		b.startUpstream(t, quayName, quayAddress),
	}}
}

// Stop leaves the names without them.
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

// Settings are those of a registry that finds the upstreams, and trusts them
// because it was told to: it does not see whom the machine trusts.
func (u *Upstreams) Settings() []string {
	return []string{
		"ZUUL_REGISTRY_UPSTREAMS=docker.io=https://" + hubName + ",quay.io=https://" + quayName,
		"ZUUL_REGISTRY_UPSTREAM_CA_FILE=" + u.bed.path(upstreamCertificate),
		"SSL_CERT_FILE=/nowhere",
		"SSL_CERT_DIR=/nowhere",
	}
}

// startUpstream starts one of them. It is not let drain when it is stopped: it
// would wait for connections that nobody used.
func (b *Bed) startUpstream(t *testing.T, name, ip string) *process {
	t.Helper()
	dir, address := b.Folder(t, name), net.JoinHostPort(ip, "443")
	file := filepath.Join(dir, "config.yml")
	if err := os.WriteFile(file, fmt.Appendf(nil, `version: 0.1
storage: {filesystem: {rootdirectory: %q}}
http: {addr: %q, tls: {certificate: %q, key: %q}}
`, filepath.Join(dir, "store"), address, b.path(upstreamCertificate), b.path(upstreamKey)), 0o644); err != nil {
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
	dir := u.bed.Folder(t, "published")
	skopeo(t, "copy", "docker-archive:"+image.Archive, "dir:"+dir)
	if err := list(dir); err != nil {
		t.Fatal(err)
	}
	skopeo(t, "copy", "--all", "dir:"+dir, "docker://"+ref)
}

func skopeo(t *testing.T, arguments ...string) {
	t.Helper()
	if _, err := Run(exec.CommandContext(t.Context(), "skopeo", arguments...)); err != nil {
		t.Fatal(err)
	}
}

// list makes an image in one of skopeo's folders the only one of a list.
func list(dir string) error {
	file := filepath.Join(dir, "manifest.json")
	manifest, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	type object = map[string]any
	digest := digest(manifest)
	list, err := json.Marshal(object{
		"schemaVersion": 2,
		"mediaType":     "application/vnd.docker.distribution.manifest.list.v2+json",
		"manifests": []object{{
			"mediaType": "application/vnd.docker.distribution.manifest.v2+json",
			"digest":    digest,
			"size":      len(manifest),
			"platform":  object{"os": "linux", "architecture": runtime.GOARCH},
		}},
	})
	if err != nil {
		return err
	}
	if err := os.Rename(file, filepath.Join(dir, strings.TrimPrefix(digest, "sha256:")+".manifest.json")); err != nil {
		return err
	}
	return os.WriteFile(file, list, 0o644)
}

// Refusing is the address of a registry that cannot be reached.
func Refusing(t *testing.T) string {
	t.Helper()
	listener := listen(t)
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	return listener.Addr().String()
}

// Silent is the address of a registry to which a connection is made, and
// nothing comes back.
func Silent(t *testing.T) string {
	t.Helper()
	listener := listen(t)
	t.Cleanup(func() { listener.Close() })
	return listener.Addr().String()
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", net.JoinHostPort(hubAddress, "0"))
	if err != nil {
		t.Fatal(err)
	}
	return listener
}
