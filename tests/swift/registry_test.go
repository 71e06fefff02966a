package swift_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"opendev.org/zuul/zuul-registry/tests/testbed"
)

// registry is the built server, as a process whose memory and time can be seen.
type registry struct {
	testing.TB
	base string // its URL
	pid  int
}

const password = "of the registry"

// serve starts a registry with these settings, which ends with the test.
func serve(t testing.TB, bed *testbed.Bed, environment ...string) *registry {
	t.Helper()
	address := free(t)
	command := exec.Command(bed.Binary())
	command.Dir = bed.Folder(t, "registry")
	command.Stdout, command.Stderr = t.Output(), t.Output()
	command.Env = slices.Concat(environment, []string{
		"ZUUL_REGISTRY_ADDRESS=" + address, "ZUUL_REGISTRY_TLS=off", "ZUUL_REGISTRY_UPSTREAMS=none",
		"ZUUL_REGISTRY_PASSWORD=" + password, "ZUUL_REGISTRY_LOG_LEVEL=warn",
		"ZUUL_REGISTRY_SECRET=a secret of more than thirty-two bytes",
	})
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Signal(syscall.SIGTERM)
		if err := command.Wait(); err != nil {
			t.Errorf("the registry ends with %v", err)
		}
	})
	r := &registry{TB: t, base: "http://" + address, pid: command.Process.Pid}
	r.awaitReady()
	return r
}

// free is an address that nobody listens at.
func free(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func (r *registry) awaitReady() {
	r.Helper()
	testbed.Await(r, time.Minute, "the registry is ready", func() error {
		response, err := http.Get(r.base + "/readyz")
		if err != nil {
			return err
		}
		_ = response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return errors.New(response.Status)
		}
		return nil
	})
}

// digestOf is what a client knows of a blob before it pushes it.
func digestOf(content []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(content)) }

// push pushes a blob as containers/image does: a request that begins, one that brings
// the content, one that ends.
func (r *registry) push(content []byte, digest string) {
	r.Helper()
	location := r.ask(http.MethodPost, "/v2/app/blobs/uploads/", nil, http.StatusAccepted)
	location = r.ask(http.MethodPatch, location, bytes.NewReader(content), http.StatusAccepted)
	r.ask(http.MethodPut, location+"?digest="+url.QueryEscape(digest), nil, http.StatusCreated)
}

// ask makes a request of a writer, and gives the location of the answer.
func (r *registry) ask(method, path string, body io.Reader, want int) string {
	r.Helper()
	request, err := http.NewRequestWithContext(r.Context(), method, r.base+path, body)
	if err != nil {
		r.Fatal(err)
	}
	request.SetBasicAuth("zuul", password)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		r.Fatal(err)
	}
	defer response.Body.Close()
	if text, err := io.ReadAll(response.Body); err != nil || response.StatusCode != want {
		r.Fatalf("%s %s: %s, %v: %s; want %d", method, path, response.Status, err, text, want)
	}
	return response.Header.Get("Location")
}

// pull reads a blob, and says how many bytes it has.
func (r *registry) pull(digest string) int64 {
	r.Helper()
	response, err := http.Get(r.base + "/v2/app/blobs/" + digest)
	if err != nil {
		r.Fatal(err)
	}
	defer response.Body.Close()
	n, err := io.Copy(io.Discard, response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		r.Fatalf("GET of the blob: %s, %v", response.Status, err)
	}
	return n
}

// peak is the most memory that the process has had, in bytes.
func (r *registry) peak() int64 {
	r.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", r.pid))
	if err != nil {
		r.Fatal(err)
	}
	_, after, _ := strings.Cut(string(status), "VmHWM:")
	kib, err := strconv.ParseInt(strings.Fields(after)[0], 10, 64)
	if err != nil {
		r.Fatal(err)
	}
	return kib << 10
}

// processors is how long the process has had one, in seconds.
func (r *registry) processors() float64 {
	r.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", r.pid))
	if err != nil {
		r.Fatal(err)
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')'):]))
	var ticks int64
	for _, f := range fields[12:14] { // utime and stime of proc(5)
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			r.Fatal(err)
		}
		ticks += n
	}
	const perSecond = 100 // USER_HZ, which is the same on all machines that Go runs on
	return float64(ticks) / perSecond
}
