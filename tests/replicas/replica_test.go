package replicas

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"opendev.org/zuul/zuul-registry/tests/testbed"
)

const (
	username = "zuul"
	password = "a password: of zuul's"
	partSize = 1 << 20 // bytes, the least that there may be: several parts are soon together
)

// replica is a process of the registry, which is killed and started again.
type replica struct {
	address string
	faults  *faults // between it and Swift
	command func() *exec.Cmd
	log     string
	client  *http.Client

	mu      sync.Mutex // of who stops and starts it
	process *process
}

// startReplica starts one that has nothing of its own but an address.
func startReplica(t *testing.T, bed *testbed.Bed, address string, swift *testbed.Swift, faults *faults) *replica {
	t.Helper()
	dir := bed.Folder(t, "replica")
	r := &replica{
		address: address, faults: faults, log: filepath.Join(dir, "log"),
		client: &http.Client{Timeout: tooLong, Transport: &http.Transport{MaxIdleConnsPerHost: 8}},
	}
	r.command = func() *exec.Cmd {
		command := exec.Command(bed.Binary())
		command.Dir = dir
		command.Env = slices.Concat(swift.EnvironmentVia(faults.URL()), []string{
			"ZUUL_REGISTRY_ADDRESS=" + address,
			"ZUUL_REGISTRY_TLS=off", // the proxy has it
			"ZUUL_REGISTRY_STORAGE=swift",
			"ZUUL_REGISTRY_SWIFT_CONTAINER=images",
			fmt.Sprintf("ZUUL_REGISTRY_SWIFT_PART_SIZE=%dMiB", partSize>>20),
			"ZUUL_REGISTRY_SECRET=the secret that all replicas share",
			"ZUUL_REGISTRY_USERNAME=" + username,
			"ZUUL_REGISTRY_PASSWORD=" + password,
			"ZUUL_REGISTRY_UPSTREAMS=none",
		})
		return command
	}
	show(t, r.log)
	if err := r.start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.stop(); err != nil {
			t.Errorf("the replica at %s: %v", address, err)
		}
	})
	return r
}

// start starts it, unless it runs.
func (r *replica) start() (err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.process == nil {
		r.process, err = start(r.log, r.command())
	}
	return err
}

// kill ends it in the middle of whatever it does.
func (r *replica) kill() error { return r.end((*process).kill) }

// stop ends it as a supervisor does.
func (r *replica) stop() error {
	const drain = 5 * time.Second
	r.client.CloseIdleConnections()
	return r.end(func(p *process) error { return p.terminate(drain + 2*time.Second) })
}

func (r *replica) end(how func(*process) error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.process == nil {
		return nil
	}
	ended := r.process
	r.process = nil
	return how(ended)
}

// awaitReady waits until it reaches its store.
func (r *replica) awaitReady(t *testing.T) {
	t.Helper()
	testbed.Await(t, 30*time.Second, "the replica at "+r.address+" is ready", func() error {
		answer, err := r.client.Get(r.URL() + "/readyz")
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			return fmt.Errorf("it answers %s", answer.Status)
		}
		return nil
	})
}

func (r *replica) URL() string { return "http://" + r.address }

// served is how many requests it has logged, but for HAProxy's.
func (r *replica) served(t *testing.T) (n int) {
	t.Helper()
	log, err := os.ReadFile(r.log)
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(log) {
		if bytes.Contains(line, []byte(" msg=request ")) && !bytes.Contains(line, []byte("/readyz")) {
			n++
		}
	}
	return n
}
