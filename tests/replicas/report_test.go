package replicas

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"opendev.org/zuul/zuul-registry/tests/testbed"
)

// TestReport has two replicas tell the same of what went through either, also after
// both were killed: each finds in Swift what the other one has noted.
func TestReport(t *testing.T) {
	bed := testbed.Open(t)
	swift, chance, tally := bed.StartSwift(t, testbed.SwiftOptions{}), newChance(*seed), newTally()
	var replicas []*replica
	for n := range 2 {
		r := startReplica(t, bed, loopback(1+n), swift, startFaults(t, "127.0.0.1:0", swift.URL(), chance, tally))
		r.awaitReady(t)
		replicas = append(replicas, r)
	}
	one, two := replicas[0], replicas[1]
	dir := bed.Folder(t, "crane")
	image, err := makeImage(filepath.Join(dir, "image"), newLayer(*seed, 1<<10))
	if err != nil {
		t.Fatal(err)
	}
	crane := func(arguments ...string) {
		t.Helper()
		command := exec.Command(bed.Tool(t, "crane"), arguments...)
		command.Env = []string{"HOME=" + dir}
		if _, err := testbed.Run(command); err != nil {
			t.Fatal(err)
		}
	}
	pull := func(r *replica, folder string) {
		t.Helper()
		crane("pull", "--insecure", "--format", "oci", r.address+"/quay.io/org/app:latest", filepath.Join(dir, folder))
	}

	crane("auth", "login", "--username", username, "--password", password, one.address)
	crane("push", "--insecure", image.layout, one.address+"/quay.io/org/app:latest")
	crane("auth", "logout", one.address)
	pull(one, "first")
	pushed := "pushes quay.io/org/app:latest " + image.digest + " zuul 1"
	two.awaitTold(t, pushed, "pulls quay.io/org/app:latest "+image.digest+" speculative 1")
	pull(two, "second")
	all := []string{pushed, "pulls quay.io/org/app:latest " + image.digest + " speculative 2"}
	one.awaitTold(t, all...)
	two.awaitTold(t, all...)
	for _, r := range replicas {
		if err := r.kill(); err != nil {
			t.Fatal(err)
		}
	}
	for _, r := range replicas {
		if err := r.start(); err != nil {
			t.Fatal(err)
		}
		r.awaitReady(t)
		r.awaitTold(t, all...)
	}
}

// awaitTold waits until the replica tells these pushes and pulls, and no others: what
// another one does is written every two seconds.
func (r *replica) awaitTold(t *testing.T, want ...string) {
	t.Helper()
	testbed.Await(t, 20*time.Second, "the replica at "+r.address+" tells all", func() error {
		got, err := r.told()
		if err == nil && !slices.Equal(got, want) {
			err = fmt.Errorf("it tells %q, want %q", got, want)
		}
		return err
	})
}

// told is what crane did, of which there are as few kinds as in a line.
func (r *replica) told() (all []string, err error) {
	answer, err := r.client.Get(r.URL() + "/report")
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("it answers %s", answer.Status)
	}
	var report struct {
		Pushes, Pulls []struct {
			Name, Reference, Digest, Origin, User string
			Count                                 int
		}
		Faults []string
	}
	if err := json.NewDecoder(answer.Body).Decode(&report); err != nil {
		return nil, err
	}
	for _, e := range report.Pushes {
		all = append(all, fmt.Sprintf("pushes %s:%s %s %s %d", e.Name, e.Reference, e.Digest, e.User, e.Count))
	}
	for _, e := range report.Pulls {
		all = append(all, fmt.Sprintf("pulls %s:%s %s %s%s %d", e.Name, e.Reference, e.Digest, e.User, e.Origin, e.Count))
	}
	return append(all, report.Faults...), nil
}
