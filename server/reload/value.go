// Package reload keeps what was read from files as they are now.
package reload

import (
	"os"
	"sync"
	"time"
)

// Value is what was read from files, read again when one of them has changed.
// Make it with Open. Its methods may be called at the same time.
type Value[T any] struct {
	read  func() (T, error)
	paths []string

	mu      sync.Mutex
	stamps  []stamp
	current T
	said    string // the error that was returned last
}

// stamp tells one state of a file from another.
type stamp struct {
	modified time.Time
	size     int64
}

// Open reads the value for the first time.
func Open[T any](read func() (T, error), paths ...string) (*Value[T], error) {
	v := &Value[T]{read: read, paths: paths, stamps: make([]stamp, len(paths))}
	return v, v.refresh()
}

// Get is the value. Looking at the files costs a system call each. When they
// have changed and cannot be read, which may be while they are being replaced,
// it is the value of before, and an error, which is not repeated.
func (v *Value[T]) Get() (T, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	err := v.refresh()
	said := v.said
	v.said = ""
	if err == nil {
		return v.current, nil
	}
	if v.said = err.Error(); v.said == said {
		err = nil
	}
	return v.current, err
}

func (v *Value[T]) refresh() error {
	now := make([]stamp, len(v.paths))
	changed := false
	for i, path := range v.paths {
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		now[i] = stamp{info.ModTime(), info.Size()}
		changed = changed || now[i] != v.stamps[i]
	}
	if !changed {
		return nil
	}
	next, err := v.read()
	if err != nil {
		return err
	}
	v.current, v.stamps = next, now
	return nil
}
