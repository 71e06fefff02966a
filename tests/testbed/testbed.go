// Package testbed starts real parts for tests: the project's image, hosts with
// the container tools or for Ansible to play on, somebody else's registries, and
// images to carry. It does so on a machine of the tests' own: a test binary whose
// TestMain calls Main runs in fresh mount, network and process namespaces, where
//
//   - a Docker daemon (Engine) has containers for what should not share a machine
//     with the rest, may rewrite the firewall, and finds nothing of the host's;
//   - each test has a part of the network (Site), at which a registry under test,
//     docker.io and quay.io have addresses. None is loopback, because the container
//     tools skip the verification of TLS there;
//   - changes to /etc, /var/lib and /run stay inside;
//   - everything that was started or mounted ends with the test binary, also
//     when that was killed.
//
// There is no network beyond it: what needs one is prepared before.
package testbed

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// folder is the environment variable that tells a test binary that it runs
// inside, and where everything of this run lies.
const folder = "TESTBED"

// Bed is the inside of the namespaces.
type Bed struct {
	dir string // of this run; removed after the namespaces are gone

	assembling sync.Mutex
	images     map[string]Image              // that were assembled, by name
	layers     map[string]ocispec.Descriptor // that were compressed
}

// Preparation makes something in the folder of the run, outside of the
// namespaces, where there is a network.
type Preparation func(ctx context.Context, dir string) error

// Main runs the tests of a package inside, after the preparations. Where that
// cannot be had it runs them as they are, and Open says what is missing.
func Main(m *testing.M, preparations ...Preparation) {
	if dir := os.Getenv(folder); dir != "" {
		if err := settle(dir); err != nil {
			fmt.Fprintln(os.Stderr, "testbed: inside:", err)
			os.Exit(1)
		}
		os.Exit(m.Run())
	}
	if _, err := exec.LookPath(ip); err != nil || os.Geteuid() != 0 {
		os.Exit(m.Run())
	}
	code, err := outside(preparations)
	if err != nil {
		fmt.Fprintln(os.Stderr, "testbed:", err)
		os.Exit(1)
	}
	os.Exit(code)
}

// outside prepares, runs the test binary again inside, and clears away what
// only the outside can: the folder whose mounts went with the namespaces.
func outside(preparations []Preparation) (code int, err error) {
	ctx, release := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGHUP)
	defer release()

	// Not in /tmp, which may be memory: images and their layers are large.
	dir, err := os.MkdirTemp("/var/tmp", "zuul-registry-tests-")
	if err != nil {
		return 0, err
	}
	defer func() {
		if gone := os.RemoveAll(dir); err == nil {
			err = gone
		}
	}()
	for _, prepare := range preparations {
		if err := prepare(ctx, dir); err != nil {
			return 0, err
		}
	}
	code, err = enter(ctx, dir)
	return code, errors.Join(err, removeCgroup(dir))
}

// Open is the first thing that a test calls. It skips the test where the
// namespaces could not be had.
func Open(t testing.TB) *Bed {
	t.Helper()
	if os.Getenv(folder) == "" {
		Need(t, ip)
		Missing(t, "root")
	}
	return bed()
}

// bed is the only one that there is.
var bed = sync.OnceValue(func() *Bed {
	return &Bed{dir: os.Getenv(folder), images: map[string]Image{}, layers: map[string]ocispec.Descriptor{}}
})

// Folder makes an empty folder. Unlike t.TempDir it is removed only after all
// that may be mounted in it is gone.
func (b *Bed) Folder(t testing.TB, name string) string {
	t.Helper()
	dir, err := os.MkdirTemp(b.dir, name+"-")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// store makes an empty folder for much, which is removed after the test.
// Nothing of the tests' own is mounted in it.
func (b *Bed) store(t testing.TB, name string) string {
	t.Helper()
	dir := b.Folder(t, name)
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// path is the path of what a preparation made.
func (b *Bed) path(name string) string { return filepath.Join(b.dir, name) }
