package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"opendev.org/zuul/zuul-registry/server/oci"
)

// stream is output that can be read while it is written.
type stream struct {
	mu   sync.Mutex
	text bytes.Buffer
	news chan struct{} // closed at the first write
}

func newStream() *stream { return &stream{news: make(chan struct{})} }

func (s *stream) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.text.Len() == 0 {
		close(s.news)
	}
	return s.text.Write(p)
}

func (s *stream) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// house is an environment of the program below a directory. Of a variable that
// is there twice, the first counts.
func house(dir string, more ...string) []string {
	return append(more,
		"ZUUL_REGISTRY_ADDRESS=127.0.0.1:0",
		"ZUUL_REGISTRY_UPSTREAMS=none", // there may be no network
		"ZUUL_REGISTRY_STORAGE_ROOT="+filepath.Join(dir, "storage"),
		"ZUUL_REGISTRY_TLS_CERT="+filepath.Join(dir, "cert.pem"),
		"ZUUL_REGISTRY_TLS_KEY="+filepath.Join(dir, "cert.key"))
}

// execute runs a command that ends by itself.
func execute(t *testing.T, environ []string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	p := &program{environ, newStream(), newStream()}
	code = p.execute(t.Context(), args)
	return code, p.stdout.(*stream).String(), p.stderr.(*stream).String()
}

func TestExitCodes(t *testing.T) {
	at := func(more ...string) []string { return house(t.TempDir(), more...) }
	for _, tt := range []struct {
		what    string
		environ []string
		args    []string
		code    int
		says    string
	}{
		{"help", nil, []string{"help"}, exitDone, "certificate"},
		{"version", nil, []string{"version"}, exitDone, version},
		{"help as a flag", nil, []string{"--help"}, exitDone, "certificate"},
		{"a store in a file's place", at("ZUUL_REGISTRY_STORAGE_ROOT=main.go"), nil, exitUsage, "ZUUL_REGISTRY_STORAGE_ROOT"},
		{"a certificate that is none", at("ZUUL_REGISTRY_TLS_CERT=main.go", "ZUUL_REGISTRY_TLS_KEY=main.go"), nil, exitUsage, "ZUUL_REGISTRY_TLS_CERT"},
		{"config", nil, []string{"config"}, exitDone, "ZUUL_REGISTRY_STORAGE_SYNC"},
		{"certificate", at(), []string{"certificate"}, exitDone, "written"},
		{"no such command", nil, []string{"server"}, exitUsage, "help"},
		{"an argument", nil, []string{"serve", "--port=1"}, exitUsage, "environment variables"},
		{"copy of nothing", nil, []string{"copy"}, exitUsage, "SRC DST"},
		{"a misspelt variable for copy", []string{"ZUUL_REGISTRY_COPY_SOURCE_AUTH=x"}, []string{"copy", "quay.io/a", "quay.io/b"}, exitUsage, "ZUUL_REGISTRY_COPY_SOURCE_AUTH_FILE"},
		{"a misspelt variable", at("ZUUL_REGISTRY_PASWORD=x"), []string{"serve"}, exitUsage, "ZUUL_REGISTRY_PASSWORD"},
		{"a bad value", at("ZUUL_REGISTRY_TLS=maybe"), nil, exitUsage, "ZUUL_REGISTRY_TLS"},
		{"an address that cannot be had", at("ZUUL_REGISTRY_ADDRESS=192.0.2.1:1"), nil, exitUsage, "ZUUL_REGISTRY_ADDRESS"},
		{"an address for pushes that cannot be had", at("ZUUL_REGISTRY_PUSH_ADDRESS=192.0.2.1:1"), nil, exitUsage, "ZUUL_REGISTRY_PUSH_ADDRESS"},
		{"an address for metrics that cannot be had", at("ZUUL_REGISTRY_METRICS_ADDRESS=192.0.2.1:1"), nil, exitUsage, "ZUUL_REGISTRY_METRICS_ADDRESS"},
		{"an htpasswd file that is not there", at("ZUUL_REGISTRY_READERS_HTPASSWD=/none"), nil, exitUsage, "ZUUL_REGISTRY_READERS_HTPASSWD"},
		{"check without a store", at(), []string{"check"}, exitFailed, "no store"},
		{"health of nothing", at("ZUUL_REGISTRY_TLS=off", "ZUUL_REGISTRY_ADDRESS=127.0.0.1:1"), []string{"health"}, exitFailed, "refused"},
	} {
		code, stdout, stderr := execute(t, tt.environ, tt.args...)
		if code != tt.code || !strings.Contains(stdout+stderr, tt.says) {
			t.Errorf("%s: exit code %d, want %d with %q\n%s%s", tt.what, code, tt.code, tt.says, stdout, stderr)
		}
	}
}

func TestCheck(t *testing.T) {
	dir := t.TempDir()
	area := filepath.Join(dir, "storage/_local")
	if err := os.MkdirAll(filepath.Join(area, "blobs"), 0o755); err != nil {
		t.Fatal(err)
	}
	if code, stdout, _ := execute(t, house(dir), "check"); code != exitDone || !strings.HasSuffix(stdout, ": 0 objects checked, faults found: 0\n") {
		t.Errorf("check of a sound store: exit code %d, %s", code, stdout)
	}
	blob := "blobs/" + oci.SHA256.Sum([]byte("content")).String()
	for name, content := range map[string]string{"stray": "", blob + "/data": "another"} {
		path := filepath.Join(area, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	damage := "_local/" + blob + "/data: has the content of " + oci.SHA256.Sum([]byte("another")).String()
	quarantine := "_local/" + strings.Replace(blob, "blobs", "quarantine", 1)
	stray := "_local/stray: is nothing that belongs here\n"
	summary := filepath.Join(dir, "storage") + ": %d objects checked, faults found: %d%s\n"
	for _, tt := range []struct {
		more []string
		want string
	}{
		{nil, damage + "\n" + stray + fmt.Sprintf(summary, 2, 2, "")},
		{[]string{"ZUUL_REGISTRY_CHECK_QUARANTINE=true"},
			damage + ", moved to " + quarantine + "\n" + stray + fmt.Sprintf(summary, 2, 2, ", moved to quarantine: 1")},
		{nil, stray + fmt.Sprintf(summary, 1, 1, "")},
	} {
		if code, stdout, _ := execute(t, house(dir, tt.more...), "check"); code != exitFailed || stdout != tt.want {
			t.Errorf("check with %q: exit code %d\n%swant\n%s", tt.more, code, stdout, tt.want)
		}
	}
}

// running is the program while it serves.
type running struct {
	program *program
	url     string
	client  *http.Client
	stop    context.CancelFunc
	code    chan int
}

func serve(t *testing.T, environ []string) *running {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	r := &running{program: &program{environ, newStream(), newStream()}, stop: stop, code: make(chan int, 1)}
	go func() { r.code <- r.program.execute(ctx, nil) }()
	t.Cleanup(stop)
	select {
	case <-r.program.stdout.(*stream).news:
	case code := <-r.code:
		t.Fatalf("it ended with %d: %v", code, r.program.stderr)
	}
	r.url = regexp.MustCompile(`https?://\S+`).FindString(r.program.stdout.(*stream).String())
	r.client = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	return r
}

// The first start tells a person all they need, and the log no secret.
func TestWelcome(t *testing.T) {
	r := serve(t, house(t.TempDir(), "ZUUL_REGISTRY_LOG_LEVEL=debug"))
	said := r.program.stdout.(*stream).String()
	password := regexp.MustCompile(`password +(\S+)`).FindStringSubmatch(said)
	if password == nil || !strings.Contains(said, "cert.pem") || !strings.Contains(said, "skopeo copy --dest-creds zuul:"+password[1]) {
		t.Fatalf("the welcome is:\n%s", said)
	}
	request, _ := http.NewRequest(http.MethodGet, r.url+"/v2/", nil)
	request.SetBasicAuth("zuul", password[1])
	answer, err := r.client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusOK || answer.ProtoMajor != 1 {
		t.Errorf("with the printed password: %s %s", answer.Proto, answer.Status)
	}
	r.stop()
	if code := <-r.code; code != exitDone {
		t.Errorf("exit code %d, want %d", code, exitDone)
	}
	if log := r.program.stderr.(*stream).String(); strings.Contains(log, password[1]) || !strings.Contains(log, "serving") {
		t.Errorf("the log is:\n%s", log)
	}
}

func TestGivenPasswordIsNotPrinted(t *testing.T) {
	r := serve(t, house(t.TempDir(), "ZUUL_REGISTRY_PASSWORD=very secret", "ZUUL_REGISTRY_TLS=off"))
	if said := r.program.stdout.(*stream).String(); strings.Contains(said, "very secret") {
		t.Errorf("the welcome is:\n%s", said)
	}
	r.stop()
	<-r.code
}

func TestHealthOfAServer(t *testing.T) {
	for _, mode := range []string{"on", "off"} {
		dir := t.TempDir()
		r := serve(t, house(dir, "ZUUL_REGISTRY_TLS="+mode))
		_, port, err := net.SplitHostPort(strings.TrimLeft(r.url, "htps:/"))
		if err != nil {
			t.Fatal(err)
		}
		there := house(dir, "ZUUL_REGISTRY_TLS="+mode, "ZUUL_REGISTRY_ADDRESS=127.0.0.1:"+port)
		if code, _, stderr := execute(t, there, "health"); code != exitDone {
			t.Errorf("TLS %s: exit code %d: %s", mode, code, stderr)
		}
		r.stop()
		<-r.code
	}
}

// A server that is told to end lets requests finish, and cuts off those that
// take too long. What such a client sent so far is kept.
func TestDrain(t *testing.T) {
	dir := t.TempDir()
	environ := house(dir, "ZUUL_REGISTRY_TLS=off", "ZUUL_REGISTRY_PASSWORD=pw")
	r := serve(t, environ)
	send := func(method, path string, body io.Reader) (*http.Response, error) {
		request, err := http.NewRequest(method, r.url+path, body)
		if err != nil {
			t.Fatal(err)
		}
		request.SetBasicAuth("zuul", "pw")
		return r.client.Do(request)
	}
	start, err := send(http.MethodPost, "/v2/org/app/blobs/uploads/", nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = start.Body.Close()
	at := start.Header.Get("Location")
	body, sender := io.Pipe()
	patched := make(chan struct{})
	go func() { _, _ = send(http.MethodPatch, at, body); close(patched) }()
	if _, err := io.WriteString(sender, "what arrived"); err != nil {
		t.Fatal(err)
	}
	awaitFile(t, filepath.Join(dir, "storage/_local/segments/*"), 12)
	begin := time.Now()
	r.stop()
	if code := <-r.code; code != exitDone || time.Since(begin) > 5*time.Second {
		t.Errorf("exit code %d after %v: want %d within 5 s", code, time.Since(begin), exitDone)
	}
	_ = sender.Close()
	<-patched

	r = serve(t, environ)
	status, err := send(http.MethodGet, at, nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = status.Body.Close()
	if got := status.Header.Get("Range"); got != "0-11" {
		t.Errorf("after the restart the upload has %q, want 0-11", got)
	}
	r.stop()
	<-r.code
}

// awaitFile waits until there is a file of that size.
func awaitFile(t *testing.T, pattern string, size int64) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range found {
			if info, err := os.Stat(path); err == nil && info.Size() == size {
				return
			}
		}
	}
	t.Fatalf("there is no %s of %d bytes", pattern, size)
}
