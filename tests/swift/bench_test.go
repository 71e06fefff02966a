package swift_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"opendev.org/zuul/zuul-registry/tests/testbed"
)

// BenchmarkBesideSwift pushes and pulls a blob in each round, by a registry on Swift,
// by one on files, and by “swift upload” and curl without any. The figures are medians
// of the rounds: seconds, what they are of Swift's own, the registry's processor time
// for a GiB, bytes that Swift has written for each byte pushed, and the most memory. Run it with
//
//	tests/run swift -run '^$' -bench . -benchtime 5x
func BenchmarkBesideSwift(b *testing.B) {
	const size = 512 << 20
	testbed.Need(b, "swift", "curl")
	bed := testbed.Open(b)
	s := bed.StartSwift(b, testbed.SwiftOptions{})
	ours := serve(b, bed, append(s.Environment(), "ZUUL_REGISTRY_STORAGE=swift", "ZUUL_REGISTRY_SWIFT_CONTAINER=images")...)
	files := serve(b, bed, "ZUUL_REGISTRY_STORAGE_ROOT=store")
	direct := clients{b, s.Environment(), filepath.Join(bed.Folder(b, "direct"), "blob")}
	var push, pull, pushCPU, pullCPU, upload, download, filesPush, filesPull, written []float64
	b.SetBytes(size)
	for b.Loop() {
		content := random(size)
		if err := os.WriteFile(direct.file, content, 0o600); err != nil {
			b.Fatal(err)
		}
		digest := digestOf(content)
		stored, cpu := s.Written(b), ours.processors()
		push = append(push, seconds(func() { ours.push(content, digest) }))
		pushCPU = append(pushCPU, (ours.processors()-cpu)*(1<<30)/size)
		written = append(written, float64(s.Written(b)-stored)/size)
		upload = append(upload, seconds(direct.upload))
		filesPush = append(filesPush, seconds(func() { files.push(content, digest) }))
		cpu = ours.processors()
		pull = append(pull, seconds(func() { ours.pull(digest) }))
		pullCPU = append(pullCPU, (ours.processors()-cpu)*(1<<30)/size)
		token := direct.login()
		download = append(download, seconds(func() { direct.download(s.URL(), token) }))
		filesPull = append(filesPull, seconds(func() { files.pull(digest) }))
	}
	for unit, value := range map[string]float64{
		"push-s": median(push), "pull-s": median(pull), "push/upload": median(push) / median(upload), "pull/curl": median(pull) / median(download),
		"files-push-s": median(filesPush), "files-pull-s": median(filesPull), "push-cpu-s/GiB": median(pushCPU), "pull-cpu-s/GiB": median(pullCPU),
		"written/byte": median(written), "peak-MiB": float64(ours.peak() >> 20),
	} {
		b.ReportMetric(value, unit)
	}
}

// clients are Swift's own.
type clients struct {
	testing.TB
	environment []string
	file        string
}

func (c clients) upload() {
	c.run("swift", "--quiet", "upload", "--object-name", "blob", "direct", c.file)
}

func (c clients) login() (token string) {
	for line := range strings.Lines(c.run("swift", "auth")) {
		if value, ok := strings.CutPrefix(line, "export OS_AUTH_TOKEN="); ok {
			token = strings.TrimSpace(value)
		}
	}
	return token
}

func (c clients) download(swift, token string) {
	c.run("curl", "--silent", "--fail", "--output", "/dev/null", "--header", "X-Auth-Token: "+token, swift+"/v1/AUTH_test/direct/blob")
}

func (c clients) run(name string, arguments ...string) string {
	c.Helper()
	command := exec.CommandContext(c.Context(), name, arguments...)
	command.Env = append(os.Environ(), c.environment...)
	output, err := command.Output()
	if err != nil {
		c.Fatalf("%s: %v", name, err)
	}
	return string(output)
}

func seconds(do func()) float64 {
	begin := time.Now()
	do()
	return time.Since(begin).Seconds()
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}
