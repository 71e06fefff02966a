package conformance

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// courier is a user who copies images with the program under test, and who has a
// home, where certificates and credentials may be.
type courier struct {
	t       *testing.T
	home    string
	environ map[string]string
	auths   map[string]any
	secrets map[string]bool // which no output may have
}

func newCourier(t *testing.T) *courier {
	t.Helper()
	home := t.TempDir()
	return &courier{t: t, home: home, auths: map[string]any{}, secrets: map[string]bool{}, environ: map[string]string{
		"HOME": home, "PATH": os.Getenv("PATH"),
		"XDG_RUNTIME_DIR": filepath.Join(home, "run"), // else what root has in /run
	}}
}

// sets sets variables, by name and value. Without a prefix they are the program's.
func (c *courier) sets(variables ...string) *courier {
	for name, value := range paired(variables) {
		c.environ["ZUUL_REGISTRY_"+name] = value
	}
	return c
}

// trusts puts a server's certificate where Podman and Docker look for it.
func (c *courier) trusts(servers ...*server) *courier {
	c.t.Helper()
	for _, s := range servers {
		if s.settings["TLS"] == "off" {
			continue
		}
		certificate, err := os.ReadFile(s.settings["TLS_CERT"])
		if err != nil {
			c.t.Fatal(err)
		}
		c.write(filepath.Join(".config/containers/certs.d", s.address, "ca.crt"), certificate)
	}
	return c
}

// knows logs in at an address, as docker login does.
func (c *courier) knows(address, user, password string) *courier {
	c.t.Helper()
	c.auths[address] = map[string]string{"auth": base64.StdEncoding.EncodeToString([]byte(user + ":" + password))}
	c.secrets[password] = true
	c.secrets[base64.StdEncoding.EncodeToString([]byte(user+":"+password))] = true
	text, err := json.Marshal(map[string]any{"auths": c.auths})
	if err != nil {
		c.t.Fatal(err)
	}
	c.write(".docker/config.json", text)
	return c
}

// writes trusts the servers, and may write there.
func (c *courier) writes(servers ...*server) *courier {
	c.t.Helper()
	for _, s := range servers {
		c.trusts(s).knows(s.address, writerName, writerPassword)
	}
	return c
}

// write writes a file at home.
func (c *courier) write(name string, content []byte) string {
	c.t.Helper()
	path := filepath.Join(c.home, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, content, 0o600)); err != nil {
		c.t.Fatal(err)
	}
	return path
}

// trip is a run of the command.
type trip struct {
	t              *testing.T
	code           int
	stdout, stderr string
	largest        int64 // bytes of memory
	took           time.Duration
}

func (c *courier) command(args ...string) (*exec.Cmd, *bytes.Buffer, *bytes.Buffer) {
	var stdout, stderr bytes.Buffer
	command := exec.Command(binary, args...)
	command.Dir, command.Stdout, command.Stderr = c.home, &stdout, &stderr
	for name, value := range c.environ {
		command.Env = append(command.Env, name+"="+value)
	}
	return command, &stdout, &stderr
}

// copies runs the command to its end.
func (c *courier) copies(args ...string) *trip {
	c.t.Helper()
	command, stdout, stderr := c.command(append([]string{"copy"}, args...)...)
	begin := time.Now()
	if err := command.Start(); err != nil {
		c.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = command.Wait() // its state says more
	}()
	largest := peak(command.Process.Pid, ended)
	r := c.ended(command, stdout, stderr, begin)
	r.largest = largest
	return r
}

var peakPattern = regexp.MustCompile(`VmHWM:\s+([0-9]+) kB`)

// peak is the most memory that a process has had until it ended, in bytes. What the
// system says after that is at least what the one had that started it.
func peak(process int, ended <-chan struct{}) int64 {
	kilobytes := int64(0)
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", process))
		if found := peakPattern.FindSubmatch(status); found != nil {
			kilobytes, _ = strconv.ParseInt(string(found[1]), 10, 64)
		}
		select {
		case <-ended:
			return kilobytes << 10
		case <-again.C:
		}
	}
}

func (c *courier) ended(command *exec.Cmd, stdout, stderr *bytes.Buffer, begin time.Time) *trip {
	c.t.Helper()
	r := &trip{t: c.t, code: command.ProcessState.ExitCode(), stdout: stdout.String(), stderr: stderr.String(), took: time.Since(begin)}
	for secret := range c.secrets {
		if strings.Contains(r.stdout+r.stderr, secret) {
			c.t.Errorf("the output has the secret %q:\n%s%s", secret, r.stdout, r.stderr)
		}
	}
	return r
}

// succeeds asserts that the command has, and says nothing else.
func (r *trip) succeeds() *trip {
	r.t.Helper()
	if r.code != 0 {
		r.t.Fatalf("the command ends with %d, want 0:\n%s%s", r.code, r.stdout, r.stderr)
	}
	return r
}

// fails asserts the exit code, and that a line of standard error has all the words.
func (r *trip) fails(code int, words ...string) *trip {
	r.t.Helper()
	if r.code != code {
		r.t.Errorf("the command ends with %d, want %d", r.code, code)
	}
	for line := range strings.Lines(r.stderr) {
		missing := 0
		for _, word := range words {
			if !strings.Contains(line, word) {
				missing++
			}
		}
		if missing == 0 {
			return r
		}
	}
	r.t.Errorf("no line says all of %q:\n%s%s", words, r.stdout, r.stderr)
	return r
}

// A line for each image that is done.
var copied = regexp.MustCompile(`^(\S+) -> (\S+): (sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}), (already there, )?(\d+) of (\d+) blobs sent, (\d+\.\d) MB in \d+\.\d s\n$`)

// report is what such a line says.
type report struct {
	from, to, digest string
	sent, blobs      int
	there            bool // already
}

// news is what is said of an image that was not there.
func news(from, to, digest string, sent, blobs int) report {
	return report{from, to, digest, sent, blobs, false}
}

// reports are the lines of standard output, by destination.
func (r *trip) reports() map[string]report {
	r.t.Helper()
	all := map[string]report{}
	for line := range strings.Lines(r.stdout) {
		found := copied.FindStringSubmatch(line)
		if found == nil {
			r.t.Fatalf("this is no line of an image: %s", line)
		}
		sent, _ := strconv.Atoi(found[5])
		blobs, _ := strconv.Atoi(found[6])
		all[found[2]] = report{found[1], found[2], found[3], sent, blobs, found[4] != ""}
	}
	return all
}

// says asserts that standard output says this of images and nothing else.
func (r *trip) says(want ...report) *trip {
	r.t.Helper()
	r.succeeds()
	all := map[string]report{}
	for _, w := range want {
		all[w.to] = w
	}
	if got := r.reports(); !maps.Equal(got, all) {
		r.t.Errorf("copied is %+v, want %+v", got, all)
	}
	return r
}

// release is an image for two platforms, with what refers to it and to its parts.
type release struct {
	whole     manifest
	parts     []picture
	shared    blob // a layer of both parts
	manifests []manifest
	blobs     []blob
	referrers map[string][]descriptor // by subject
}

// releases pushes a release. The parts that refer to others are an artifact each.
func (r *repository) releases(tag string) release {
	r.t.Helper()
	x := release{shared: r.bulk("shared layer", layerSize), referrers: map[string][]descriptor{}}
	x.blobs = []blob{x.shared}
	for n := range 2 {
		p := picture{config: r.text(fmt.Sprint(tag, " config ", n)), layer: r.bulk(fmt.Sprint(tag, " layer ", n), layerSize)}
		p.manifest = imageOf(p.config, x.shared, p.layer).manifest()
		x.parts = append(x.parts, p)
		x.blobs = append(x.blobs, p.config, p.layer)
		x.manifests = append(x.manifests, p.manifest)
	}
	x.whole = indexOf(x.parts[0].manifest, x.parts[1].manifest).manifest()
	x.manifests = append(x.manifests, x.whole)
	nothing := r.text(tag + " config of artifacts")
	x.blobs = append(x.blobs, nothing)
	refer := func(subject manifest, artifactType string) manifest {
		content := r.text(tag + " " + artifactType + " of " + subject.digest)
		m := artifactOf(artifactType, nothing, content).about(subject).manifest()
		x.blobs, x.manifests = append(x.blobs, content), append(x.manifests, m)
		x.referrers[subject.digest] = append(x.referrers[subject.digest], referring(m, artifactType, nil))
		return m
	}
	refer(x.whole, signature)
	refer(refer(x.parts[0].manifest, sbom), signature)

	r.has(x.blobs...)
	for _, m := range x.manifests {
		r.keep(m)
	}
	r.tag(tag, x.whole)
	return x
}

// gives asserts that somebody else's registry has a manifest, who may want to hear
// that its type is accepted, and say less about it.
func (r *repository) gives(reference string, m manifest) {
	r.t.Helper()
	r.get("/manifests/"+reference).header("Accept", m.mediaType).expect(http.StatusOK).has("Content-Type", m.mediaType).holds(m.content)
}

// servesRelease asserts that all of it is there.
func (r *repository) servesRelease(tag string, x release) {
	r.t.Helper()
	r.serves(tag, x.whole)
	for _, b := range x.blobs {
		r.servesBlob(b)
	}
	for _, m := range x.manifests {
		r.serves(m.digest, m)
		wantReferrers(r.t, r.get("/referrers/"+m.digest), x.referrers[m.digest]...)
	}
}

// ref is how copy is told of a tag or digest there.
func (r *repository) ref(reference string) string {
	separator := ":"
	if strings.Contains(reference, ":") {
		separator = "@"
	}
	name := r.server.address + "/" + r.name + separator + reference
	if r.server.settings["TLS"] == "off" {
		return "http://" + name
	}
	return name
}
