// Package filesystem keeps objects as files below a directory.
//
// An object is written under a temporary name, or is the part that an upload
// was appended to, and comes to its name by a rename: it is there whole or not
// at all, and no byte is written twice. With Options.Sync its content is synced
// before the rename. Directories are synced in bulk, by the next durable Put:
// the store's users put the small object that refers to the others last.
//
// One process may append; any number may read, put and delete.
package filesystem

import (
	"context"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"opendev.org/zuul/zuul-registry/server/storage"
)

// Options are the settings of a Driver.
type Options struct {
	Root string // directory, made if absent
	Sync bool   // whether Durable objects outlive a power cut
}

// Driver is a storage.Driver. Make it with New.
type Driver struct {
	root        string
	sync        bool
	directories pending
}

// New prepares the root directory.
func New(o Options) (*Driver, error) {
	root, err := filepath.Abs(o.Root)
	if err != nil {
		return nil, err
	}
	d := &Driver{root: root, sync: o.Sync}
	if err := os.MkdirAll(filepath.Join(root, scratch), 0o755); err != nil {
		return nil, err
	}
	if !o.Sync {
		return d, nil
	}
	// A process before this one may have ended between a Concat and the Put
	// that would have synced its directory.
	return d, syncFilesystem(root)
}

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
	return describe(name, i, err)
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
		return nil, storage.Info{}, err
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
	if err := os.Remove(p); err != nil {
		if os.IsNotExist(err) {
			return nil
		}
		return err
	}
	d.removeEmpty(filepath.Dir(p))
	return nil
}

// removeEmpty removes a directory and its parents, as far as they are empty.
func (d *Driver) removeEmpty(dir string) {
	for dir != d.root && os.Remove(dir) == nil {
		dir = filepath.Dir(dir)
	}
}

// Touch makes an object young.
func (d *Driver) Touch(_ context.Context, name string) error {
	p, err := d.path(name)
	if err != nil {
		return err
	}
	now := time.Now()
	return os.Chtimes(p, now, now)
}
