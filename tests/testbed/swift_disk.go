package testbed

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// Usage is what a container has on disk: its objects, of which the segments of
// another one are some, and their bytes. What was replaced or deleted is gone. Each
// copy counts.
func (s *Swift) Usage(t testing.TB, container string) (objects int, bytes int64) {
	t.Helper()
	name := regexp.MustCompile("/AUTH_[^/]+/" + regexp.QuoteMeta(container) + "/")
	err := filepath.WalkDir(s.devices, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) { // gone meanwhile
			return nil
		}
		if err != nil || !strings.HasSuffix(path, ".data") {
			return err
		}
		metadata := make([]byte, 64<<10)
		n, err := syscall.Getxattr(path, "user.swift.metadata", metadata)
		if err != nil || !name.Match(metadata[:n]) {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		objects++
		bytes += info.Size()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return objects, bytes
}

// Written is how many bytes of objects Swift has ever written to disk, with
// those that were not kept.
func (s *Swift) Written(t testing.TB) (bytes int64) {
	t.Helper()
	// What it sends to a connection the kernel does not count there.
	counters, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", s.object.running.Pid))
	if err != nil {
		t.Fatal(err)
	}
	var read int64
	if _, err := fmt.Sscanf(string(counters), "rchar: %d\nwchar: %d\n", &read, &bytes); err != nil {
		t.Fatal(err)
	}
	return bytes
}
