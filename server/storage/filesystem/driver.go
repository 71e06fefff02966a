// Package filesystem keeps objects as files below a directory.
//
// An object is written under a temporary name, or is the part that an upload
// was appended to, and comes to its name by a rename: it is there whole or not
// at all, and no byte is written twice. With Options.Sync its content is synced
// before the rename. Directories are synced in bulk, by the next durable Put:
// the store's users put the small object that refers to the others last.
//
// What an upload has appended is synced only when it is finished. That it may
// be resumed after a power cut rests on the filesystem never showing a file
// longer than what it has of it, as ext4 (but for data=writeback), XFS, btrfs
// and ZFS do not.
package filesystem

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"opendev.org/zuul/zuul-registry/server/storage"
)

// Options are the settings of a Driver.
type Options struct {
	Root string // directory, made if absent, for its owner alone
	Sync bool   // whether Durable objects outlive a power cut
}

// Driver is a storage.Driver. Make it with New or Attach.
type Driver struct {
	root        string
	sync        bool
	directory   *os.File // the root; New holds the lock on it
	directories pending
	listings    *listings
}

// New takes possession of a store: no other process may, as long as this one
// lives, for only one may append.
func New(o Options) (*Driver, error) {
	if err := os.MkdirAll(o.Root, 0o700); err != nil {
		return nil, err
	}
	d, err := Attach(o.Root)
	if err != nil {
		return nil, err
	}
	d.sync, d.directories.off = o.Sync, !o.Sync
	if err := own(d.directory); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	// What a process before this one was writing, nobody will finish.
	if err := os.RemoveAll(filepath.Join(d.root, scratch)); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	if !o.Sync {
		return d, nil
	}
	// It may also have ended between a Concat and the Put that would have
	// synced its directory.
	if err := syncFilesystem(d.root); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// miss is the error of what is not there, if it is the object that is missing
// and not the whole store, as when its volume is no longer mounted: that must not
// look like a miss.
func (d *Driver) miss(err error) error {
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	mine, gone := d.directory.Stat()
	if gone == nil {
		var there fs.FileInfo
		if there, gone = os.Stat(d.root); gone == nil && !os.SameFile(mine, there) {
			gone = fmt.Errorf("%s is another directory now", d.root)
		}
	}
	if gone != nil {
		return fmt.Errorf("the store is gone: %v", gone)
	}
	return err
}

// own locks a directory until it is closed.
func own(root *os.File) error {
	err := unix.Flock(int(root.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return fmt.Errorf("the store %s is in use by another process that serves it", root.Name())
	}
	return err
}

// Attach opens a store that is there, beside the process that possesses it. The
// caller may do everything but Append and Concat; what it puts is not durable.
func Attach(root string) (*Driver, error) {
	absolute, err := filepath.Abs(root)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(absolute)
	if err != nil {
		return nil, err
	}
	return &Driver{root: absolute, directory: f, directories: pending{off: true}, listings: newListings()}, nil
}

// Close gives the store up.
func (d *Driver) Close() error { return d.directory.Close() }

// scratch holds the files of Puts that are under way. No object is called so:
// areas are hosts or begin with "_".
const scratch = ".put"

func (d *Driver) path(name string) (string, error) {
	local, err := filepath.Localize(name)
	if err != nil {
		return "", &fs.PathError{Op: "name", Path: name, Err: fs.ErrInvalid}
	}
	return filepath.Join(d.root, local), nil
}

// Stat describes an object.
func (d *Driver) Stat(_ context.Context, name string) (storage.Info, error) {
	p, err := d.path(name)
	if err != nil {
		return storage.Info{}, err
	}
	i, err := os.Stat(p)
	return describe(name, i, d.miss(err))
}

func describe(name string, i fs.FileInfo, err error) (storage.Info, error) {
	if err == nil && i.IsDir() {
		err = &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	if err != nil {
		return storage.Info{}, err
	}
	return storage.Info{Size: i.Size(), Modified: i.ModTime()}, nil
}

// Open opens an object; what it returns is an *os.File.
func (d *Driver) Open(_ context.Context, name string) (io.ReadSeekCloser, storage.Info, error) {
	p, err := d.path(name)
	if err != nil {
		return nil, storage.Info{}, err
	}
	f, err := os.Open(p)
	if err != nil {
		return nil, storage.Info{}, d.miss(err)
	}
	i, err := f.Stat()
	info, err := describe(name, i, err)
	if err != nil {
		_ = f.Close()
		return nil, storage.Info{}, err
	}
	return f, info, nil
}

// Delete removes an object, and the directories that it leaves empty.
func (d *Driver) Delete(_ context.Context, name string) error {
	p, err := d.path(name)
	if err != nil {
		return err
	}
	if err := d.miss(os.Remove(p)); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	d.removeEmpty(filepath.Dir(p))
	return nil
}

// removeEmpty removes a directory and its parents, as far as they are empty, but
// for the uppermost two levels, which would come and go with every upload.
func (d *Driver) removeEmpty(dir string) {
	for {
		below, err := filepath.Rel(d.root, dir)
		if err != nil || strings.Count(below, string(filepath.Separator)) < 2 || os.Remove(dir) != nil {
			return
		}
		dir = filepath.Dir(dir)
	}
}
