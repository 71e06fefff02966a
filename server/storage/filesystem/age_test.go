package filesystem_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"opendev.org/zuul/zuul-registry/server/storage"
	"opendev.org/zuul/zuul-registry/server/storage/filesystem"
	"opendev.org/zuul/zuul-registry/server/storage/storagetest"
)

// pair is a store of which another process expires the objects.
type pair struct {
	*filesystem.Driver
	other *filesystem.Driver
}

func (p pair) Expire(ctx context.Context, name string, moment time.Time) (bool, error) {
	return p.other.Expire(ctx, name, moment)
}

func openTwice(t *testing.T) (root string, p pair) {
	t.Helper()
	root = filepath.Join(t.TempDir(), "store")
	p.Driver = open(t, filesystem.Options{Root: root})
	var err error
	if p.other, err = filesystem.Attach(root); err != nil {
		t.Fatal(err)
	}
	return root, p
}

func TestAnotherProcessExpires(t *testing.T) {
	storagetest.Run(t, func(t *testing.T) storage.Driver {
		_, p := openTwice(t)
		return p
	})
}

func put(t *testing.T, d storage.Driver, name string) {
	t.Helper()
	if err := d.Put(context.Background(), name, strings.NewReader("x"), storage.Volatile); err != nil {
		t.Fatal(err)
	}
}

// What makes an object young, or gives one a name, waits while another process removes,
// and only then. Who removes waits for all others.
func TestHoldsAreWaitedFor(t *testing.T) {
	ctx := context.Background()
	root, p := openTwice(t)
	put(t, p, "object")
	put(t, p, "renamed")
	from, to := "renamed", "renamed again"
	all := map[string]func() error{
		"Touch": func() error { return p.Touch(ctx, "object") },
		"Put":   func() error { return p.Put(ctx, "object", strings.NewReader("y"), storage.Volatile) },
		"Concat": func() error {
			parts, err := storagetest.Append(ctx, p, "segments", nil, strings.NewReader("x"))
			return errors.Join(err, p.Concat(ctx, "object", parts))
		},
		"Rename": func() error {
			defer func() { from, to = to, from }()
			return p.Rename(ctx, from, to)
		},
	}
	expire := func() error {
		_, err := p.Expire(ctx, "object", time.Time{})
		return err
	}
	for what, do := range all {
		if !waits(t, root, unix.LOCK_EX, do, 20*time.Millisecond) {
			t.Errorf("%s did not wait for who removes", what)
		}
		if waits(t, root, unix.LOCK_SH, do, 10*time.Second) {
			t.Errorf("%s waited for who does not remove", what)
		}
	}
	for _, how := range []int{unix.LOCK_EX, unix.LOCK_SH} {
		if !waits(t, root, how, expire, 20*time.Millisecond) {
			t.Error("Expire did not wait")
		}
	}
}

// waits says whether something waits while another process holds the store, for a time
// at most.
func waits(t *testing.T, root string, how int, do func() error, most time.Duration) (waited bool) {
	t.Helper()
	other := hold(t, root, how)
	done, release := make(chan error, 1), time.AfterFunc(most, func() { _ = other.Close() })
	go func() { done <- do() }()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if !release.Stop() {
		return true
	}
	_ = other.Close()
	return false
}

// hold holds the store, as another process does, until it is closed.
func hold(t *testing.T, root string, how int) io.Closer {
	t.Helper()
	f, err := os.Open(filepath.Join(root, ".lock"))
	if err == nil {
		err = unix.Flock(int(f.Fd()), how)
	}
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// Who expires looks at an object only once nobody can make it young.
func TestExpireLooksLast(t *testing.T) {
	ctx := context.Background()
	root, p := openTwice(t)
	put(t, p, "object")
	before := time.Now().Add(-time.Hour)
	if err := os.Chtimes(filepath.Join(root, "object"), before, before); err != nil {
		t.Fatal(err)
	}
	other := hold(t, root, unix.LOCK_SH)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if expired, err := p.Expire(ctx, "object", before); expired || err != nil {
			t.Errorf("Expire: %v, %v; want it to stay, for it was touched", expired, err)
		}
	}()
	time.Sleep(10 * time.Millisecond)
	if err := p.Touch(ctx, "object"); err != nil {
		t.Errorf("Touch: %v", err)
	}
	_ = other.Close()
	<-done
}

// A directory goes with the last that was in it, or with the next try if a process has
// ended in between.
func TestNoEmptyDirectoriesStay(t *testing.T) {
	root, p := openTwice(t)
	for _, dir := range []string{"a/b/empty/deep", "a/b/used/deep"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	put(t, p, "a/b/used/object")
	put(t, p, "a/b/renamed/deep/object")
	if err := p.Rename(context.Background(), "a/b/renamed/deep/object", "object"); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a/b/empty/deep/object", "a/b/used/deep/object"} {
		if expired, err := p.Expire(context.Background(), name, time.Now()); expired || err != nil {
			t.Errorf("Expire %s: %v, %v; want nothing", name, expired, err)
		}
	}
	for dir, want := range map[string]bool{"a/b": true, "a/b/empty": false, "a/b/used": true, "a/b/used/deep": false, "a/b/renamed": false} {
		if _, err := os.Stat(filepath.Join(root, dir)); (err == nil) != want {
			t.Errorf("%s: %v, want there: %v", dir, err, want)
		}
	}
	if _, err := p.Stat(context.Background(), "a/b/used/object"); err != nil {
		t.Error(err)
	}
}

// Whoever has the lock file open must not find that others have a new one.
func TestTheLockFileStays(t *testing.T) {
	root, p := openTwice(t)
	put(t, p, "object")
	f, err := os.Open(filepath.Join(root, ".lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	before, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if expired, err := p.Expire(context.Background(), "object", time.Now().Add(time.Hour)); !expired || err != nil {
		t.Errorf("Expire: %v, %v", expired, err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	d := open(t, filesystem.Options{Root: root})
	put(t, d, "object")
	for e, err := range d.List(context.Background(), ".", "") {
		if err != nil || e.Name != "object" {
			t.Errorf("the store lists %q, %v", e.Name, err)
		}
	}
	if after, err := os.Stat(filepath.Join(root, ".lock")); err != nil || !os.SameFile(before, after) {
		t.Errorf("the lock file is another one: %v", err)
	}
}

// The lock file may be another user's. Not even root may write to a program that runs.
func TestTheLockFileNeedNotBeWritable(t *testing.T) {
	root, p := openTwice(t)
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(program, filepath.Join(root, ".lock")); err != nil {
		t.Fatal(err)
	}
	put(t, p, "object")
	if err := p.Touch(context.Background(), "object"); err != nil {
		t.Error(err)
	}
	if expired, err := p.Expire(context.Background(), "object", time.Now().Add(time.Hour)); !expired || err != nil {
		t.Errorf("Expire: %v, %v", expired, err)
	}
}

// A store whose volume is no longer there has neither young nor old objects, and is
// not made again.
func TestNothingExpiresInAGoneStore(t *testing.T) {
	ctx := context.Background()
	root, p := openTwice(t)
	put(t, p, "object")
	if err := os.Rename(root, root+".away"); err != nil {
		t.Fatal(err)
	}
	for _, empty := range []bool{false, true} { // as a mount point without its volume
		if empty {
			if err := os.Mkdir(root, 0o700); err != nil {
				t.Fatal(err)
			}
		}
		for process, d := range map[string]*filesystem.Driver{"one": p.Driver, "another": p.other} {
			_, expire := d.Expire(ctx, "object", time.Now())
			for what, err := range map[string]error{
				"Touch": d.Touch(ctx, "object"), "Expire": expire, "Rename": d.Rename(ctx, "object", "new"),
			} {
				if err == nil || errors.Is(err, fs.ErrNotExist) {
					t.Errorf("%s in %s process (empty root: %v): %v, want a fault", what, process, empty, err)
				}
			}
		}
		if made, err := os.ReadDir(root); len(made) != 0 || (err == nil) != empty {
			t.Errorf("the root has %v, %v", made, err)
		}
	}
}
