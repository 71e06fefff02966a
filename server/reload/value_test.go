package reload_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"opendev.org/zuul/zuul-registry/server/reload"
)

var errBad = errors.New("bad content")

func TestValueFollowsItsFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	write := func(content string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	reads := 0
	read := func() (string, error) {
		reads++
		content, err := os.ReadFile(path)
		if string(content) == "bad" {
			err = errBad
		}
		return string(content), err
	}
	if _, err := reload.Open(read, path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Open without a file: %v", err)
	}
	write("first")
	v, err := reload.Open(read, path)
	if err != nil {
		t.Fatal(err)
	}
	gives := func(want string, fault error) {
		t.Helper()
		if got, err := v.Get(); got != want || !errors.Is(err, fault) {
			t.Errorf("%q, %v; want %q, %v", got, err, want, fault)
		}
	}
	gives("first", nil)
	gives("first", nil)
	if reads != 1 {
		t.Errorf("an unchanged file was read %d times", reads)
	}
	write("bad")
	gives("first", errBad)
	gives("first", nil) // it has been said
	write("the second")
	gives("the second", nil)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	gives("the second", os.ErrNotExist)
}
