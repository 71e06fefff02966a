package conformance

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"opendev.org/zuul/zuul-registry/tests/testbed"
)

// peer is a real registry that serves as upstream.
type peer struct {
	*server
	owner     credentials // who may push there
	authority string      // file of the certificate to trust; empty for none
	stop      func(t *testing.T)
}

// theirs starts Debian's docker-registry, for everybody or for one user.
func theirs(t *testing.T, private bool) peer {
	t.Helper()
	const program = "docker-registry"
	testbed.Need(t, program)
	address, err := freeAddress()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	settings := fmt.Sprintf("version: 0.1\nlog: {level: warn}\nstorage: {filesystem: {rootdirectory: %s}}\nhttp: {addr: %q}\n",
		filepath.Join(dir, "storage"), address)
	if private {
		settings += fmt.Sprintf("auth: {htpasswd: {realm: theirs, path: %s}}\n", htpasswd(t, "customers", customerName, customerPassword))
	}
	file := filepath.Join(dir, "config.yml")
	if err := os.WriteFile(file, []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	process, log := exec.Command(program, "serve", file), new(bytes.Buffer)
	process.Dir, process.Stderr, process.Stdout = dir, log, log
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	end := func(*testing.T) {
		_ = process.Process.Signal(syscall.SIGKILL)
		_ = process.Wait()
	}
	t.Cleanup(func() { end(t) })
	p := peer{owner: basic(customerName, customerPassword), stop: end, server: &server{
		installation: installation{address: address, settings: map[string]string{"TLS": "off"}},
		client:       &http.Client{}, secrets: map[string]bool{},
	}}
	await(t, program, func() bool {
		response, err := p.client.Get(p.base() + "/v2/")
		if err == nil {
			_ = response.Body.Close()
		}
		return err == nil
	})
	return p
}

// ours starts another registry of this project.
func ours(t *testing.T, private bool, settings ...string) peer {
	t.Helper()
	all := paired(append([]string{"UPSTREAMS", "none"}, settings...))
	if private {
		all["ANONYMOUS_READ"], all["WRITERS_HTPASSWD"] = "false", htpasswd(t, "customers", customerName, customerPassword)
	}
	s := start(t, all)
	p := peer{server: s, owner: asWriter(), stop: s.stop}
	if all["TLS"] != "off" {
		p.authority = s.settings["TLS_CERT"]
	}
	return p
}

// peers are the kinds of them.
var peers = []struct {
	name      string
	start     func(t *testing.T, private bool) peer
	referrers bool // are offered
}{
	{"docker-registry", theirs, false},
	{"one of ours", func(t *testing.T, private bool) peer { return ours(t, private, "TLS", "off") }, true},
	{"one of ours with TLS", func(t *testing.T, private bool) peer { return ours(t, private) }, true},
}

// collection is what a test pushes to a peer: an image for two platforms.
type collection struct {
	whole manifest
	parts []picture
}

// collects pushes a collection, under a tag.
func (p peer) collects(t *testing.T, name, tag string) collection {
	t.Helper()
	repo := p.repository(t, name).as(p.owner)
	var c collection
	for n := range 2 {
		part := picture{config: repo.text(fmt.Sprint(tag, " config ", n)), layer: repo.bulk(fmt.Sprint(tag, " layer ", n), layerSize)}
		part.manifest = dockerImageOf(part.config, part.layer).manifest()
		repo.delivers(fmt.Sprintf("%s-%d", tag, n), part.manifest, part.config, part.layer)
		c.parts = append(c.parts, part)
	}
	c.whole = dockerListOf(c.parts[0].manifest, c.parts[1].manifest).manifest()
	repo.tag(tag, c.whole)
	return c
}

// servesCollection asserts that a repository answers a collection, whole.
func (r *repository) servesCollection(tag string, c collection) {
	r.t.Helper()
	r.serves(tag, c.whole)
	r.serves(c.whole.digest, c.whole)
	for n, part := range c.parts {
		r.servesAll(fmt.Sprintf("%s-%d", tag, n), part)
	}
}

// shadows starts a registry that has the peer for quay.io.
func (p peer) shadows(t *testing.T, settings ...string) *server {
	t.Helper()
	all := paired(append([]string{"UPSTREAMS", "quay.io=" + p.base()}, settings...))
	if p.authority != "" {
		all["UPSTREAM_CA_FILE"] = p.authority
	}
	return start(t, all)
}

// Real registries can be shadowed: what they have is pulled, listed and kept,
// what they lack is missed, and what they are is no matter to clients.
func TestShadowOfARealRegistry(t *testing.T) {
	t.Parallel()
	for _, kind := range peers {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			up := kind.start(t, false)
			image := up.collects(t, "org/app", "1.0")
			mirror := up.shadows(t, "UPSTREAM_TAG_TTL", "0", "UPSTREAM_TIMEOUT", "5s")
			reader, writer := mirror.reader(t, "quay.io/org/app"), mirror.repository(t, "quay.io/org/app")
			reader.servesCollection("1.0", image)
			wantTags(t, reader.get("/tags/list"), []string{"1.0", "1.0-0", "1.0-1"})
			reader.lacks("missing")
			reader.lacks(reader.text("missing").digest)
			reader.lacksBlob(reader.text("missing").digest)
			mirror.reader(t, "quay.io/org/missing").lacks("1.0")
			mirror.reader(t, "quay.io/org/missing").get("/tags/list").refused("NAME_UNKNOWN", http.StatusNotFound)
			wantReferrers(t, reader.get("/referrers/"+image.whole.digest)).lacks("Warning")

			moved := up.collects(t, "org/app", "2.0")
			up.repository(t, "org/app").as(up.owner).tag("1.0", moved.whole)
			reader.serves("1.0", moved.whole)
			mine := writer.pushes("1.0")
			reader.serves("1.0", mine)
			wantTags(t, reader.get("/tags/list"), []string{"1.0", "1.0-0", "1.0-1", "2.0", "2.0-0", "2.0-1"})

			reader.servesCollection("2.0", moved)
			up.stop(t)
			reader.serves("1.0", mine)
			reader.servesCollection("2.0", moved)
			reader.get("/manifests/2.0").expect(http.StatusOK).warns()
			reader.get("/manifests/unseen").unavailable()
		})
	}
}

// Where the real registry lists what is attached to an image, so do we.
func TestShadowReferrersOfARealRegistry(t *testing.T) {
	t.Parallel()
	for _, kind := range peers {
		if !kind.referrers {
			continue
		}
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			up := kind.start(t, false)
			there := up.repository(t, "org/app").as(up.owner)
			subject := there.pushes("latest")
			bill := there.artifact(sbom).about(subject).manifest()
			there.keep(bill)
			mirror := up.shadows(t)
			reader, writer := mirror.reader(t, "quay.io/org/app"), mirror.repository(t, "quay.io/org/app")
			list := func() *request { return reader.get("/referrers/" + subject.digest) }
			wantReferrers(t, list(), referring(bill, sbom, nil))
			signed := writer.artifact(signature).about(subject).manifest()
			writer.keep(signed)
			wantReferrers(t, list(), referring(bill, sbom, nil), referring(signed, signature, nil))
			wantReferrers(t, list().query("artifactType", sbom), referring(bill, sbom, nil))
			reader.serves(bill.digest, bill)
		})
	}
}

// An image is built on one of a real registry, and pushed without its layers.
func TestPushOnARealRegistry(t *testing.T) {
	t.Parallel()
	for _, kind := range peers {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			up := kind.start(t, false)
			base := up.collects(t, "org/base", "latest").parts[0]
			mirror := up.shadows(t)
			writer, reader := mirror.repository(t, "quay.io/org/app"), mirror.reader(t, "quay.io/org/app")
			config := writer.text("config")
			writer.has(config)
			image := imageOf(config, base.layer).manifest()
			writer.post("/blobs/uploads/").query("mount", base.layer.digest).query("from", "quay.io/org/base").expect(http.StatusCreated)
			writer.tag("latest", image)
			reader.serves("latest", image)
			reader.servesBlob(base.layer)
		})
	}
}

// A private one is opened by the credentials in UPSTREAM_AUTH_FILE, and without
// them what it has is missed.
func TestShadowOfARealPrivateRegistry(t *testing.T) {
	t.Parallel()
	for _, kind := range peers {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			up := kind.start(t, true)
			image := up.collects(t, "org/app", "latest")
			knowing := up.shadows(t, "UPSTREAM_AUTH_FILE", authFile(t, up.address))
			knowing.keepSecret(customerPassword)
			reader := knowing.reader(t, "quay.io/org/app")
			reader.servesCollection("latest", image)
			wantTags(t, reader.get("/tags/list"), []string{"latest", "latest-0", "latest-1"})
			reader.lacks("missing")

			ignorant := up.shadows(t)
			reader = ignorant.reader(t, "quay.io/org/app")
			reader.lacks("latest")
			reader.lacks(image.whole.digest)
			reader.lacksBlob(image.parts[0].layer.digest)
			ignorant.logs(t, "quay.io", "ZUUL_REGISTRY_UPSTREAM_AUTH_FILE")
		})
	}
}
