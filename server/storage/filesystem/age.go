package filesystem

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// lockFile keeps what makes an object young from what removes it because it is old,
// in all processes. No object is called so.
const lockFile = ".lock"

// A hold is shared by those who make objects young, or one's alone.
const (
	shared = unix.LOCK_SH
	alone  = unix.LOCK_EX
)

// held does something under a hold. The file is opened each time, for whoever has it
// open shares one lock.
func (d *Driver) held(how int, do func() error) error {
	f, err := d.openLock()
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // which ends the hold
	for err = unix.EINTR; errors.Is(err, unix.EINTR); {
		err = unix.Flock(int(f.Fd()), how)
	}
	if err != nil {
		return &fs.PathError{Op: "lock", Path: f.Name(), Err: err}
	}
	return do()
}

// openLock opens the file for reading alone: it may be somebody else's.
func (d *Driver) openLock() (*os.File, error) {
	p := filepath.Join(d.root, lockFile)
	f, err := os.Open(p)
	if err = d.miss(err); errors.Is(err, fs.ErrNotExist) {
		f, err = os.OpenFile(p, os.O_CREATE|os.O_RDONLY, 0o644)
	}
	return f, err
}

// Touch makes an object young.
func (d *Driver) Touch(ctx context.Context, name string) error {
	p, err := d.path(name)
	if err != nil {
		return err
	}
	return d.held(shared, func() error {
		if _, err := d.Stat(ctx, name); err != nil { // it may be a directory
			return err
		}
		now := time.Now()
		return d.miss(os.Chtimes(p, now, now))
	})
}

// Expire deletes an object that is old, and the directories that it leaves empty, or
// finds empty.
func (d *Driver) Expire(_ context.Context, name string, moment time.Time) (expired bool, err error) {
	p, err := d.path(name)
	if err != nil {
		return false, err
	}
	err = d.held(alone, func() error {
		info, err := os.Stat(p)
		if err == nil && !info.IsDir() && !info.ModTime().After(moment) {
			err = os.Remove(p)
			expired = err == nil
		}
		return d.miss(err)
	})
	if expired || errors.Is(err, fs.ErrNotExist) {
		d.removeEmpty(filepath.Dir(p))
		return expired, nil
	}
	return expired, err
}

// Parts are none: one becomes the object.
func (d *Driver) Parts(_ context.Context, name string) ([]string, error) {
	_, err := d.path(name)
	return nil, err
}

// Rename renames a file, and removes the directories that it leaves empty.
func (d *Driver) Rename(ctx context.Context, from, to string) error {
	if _, err := d.Stat(ctx, from); err != nil { // it may be a directory
		return err
	}
	source, err := d.path(from)
	if err != nil {
		return err
	}
	target, err := d.path(to)
	if err != nil {
		return err
	}
	if err := d.miss(d.rename(source, target, d.sync)); err != nil {
		return err
	}
	d.removeEmpty(filepath.Dir(source))
	return nil
}
