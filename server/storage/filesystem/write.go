package filesystem

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"opendev.org/zuul/zuul-registry/server/storage"
)

// Put writes a temporary file and renames it.
func (d *Driver) Put(_ context.Context, name string, content io.Reader, durability storage.Durability) error {
	p, err := d.path(name)
	if err != nil {
		return err
	}
	temporary := filepath.Join(d.root, scratch, rand.Text())
	f, err := d.create(temporary, os.O_CREATE|os.O_EXCL|os.O_WRONLY)
	if err != nil {
		return err
	}
	durable := d.sync && durability == storage.Durable
	_, err = copyTo(f, content)
	if err == nil && durable {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = d.rename(temporary, p, durable)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temporary))
	}
	if !durable {
		return nil
	}
	return d.directories.sync()
}

// Append adds to the one file that an upload is, or begins it.
func (d *Driver) Append(_ context.Context, directory string, parts []storage.Part, content io.Reader) ([]storage.Part, storage.Stored, error) {
	parts, err := d.append(directory, parts, content)
	return parts, storage.AlreadyStored, err
}

func (d *Driver) append(directory string, parts []storage.Part, content io.Reader) ([]storage.Part, error) {
	if _, err := d.path(directory); err != nil {
		return parts, err
	}
	part, flags := storage.Part{Name: path.Join(directory, rand.Text())}, os.O_CREATE|os.O_EXCL
	switch len(parts) {
	case 0:
	case 1:
		part, flags = parts[0], 0
	default:
		return parts, fmt.Errorf("%d parts in %s: this store makes one", len(parts), directory)
	}
	p, err := d.path(part.Name)
	if err != nil {
		return parts, err
	}
	f, err := d.create(p, flags|os.O_WRONLY)
	if err != nil {
		return parts, err
	}
	// Bytes behind the part's size are of an append that did not count.
	n, err := appendAt(f, part.Size, content)
	part.Size += n
	return []storage.Part{part}, errors.Join(err, f.Close())
}

// appendAt adds content to a file of that size, or leaves it so when the disk is
// full.
func appendAt(f *os.File, size int64, content io.Reader) (int64, error) {
	if err := cut(f, size); err != nil {
		return 0, err
	}
	if _, err := f.Seek(size, io.SeekStart); err != nil {
		return 0, err
	}
	r := &source{Reader: content}
	n, err := copyTo(f, r)
	if err != nil && r.err == nil {
		return 0, errors.Join(err, f.Truncate(size))
	}
	return n, err
}

// source notes what was wrong with content, to tell it from what is wrong with
// the file.
type source struct {
	io.Reader
	err error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	if err != io.EOF {
		s.err = err
	}
	return n, err
}

// cut drops what is behind a part's size.
func cut(f *os.File, size int64) error {
	i, err := f.Stat()
	if err != nil || i.Size() == size {
		return err
	}
	if i.Size() < size {
		return fmt.Errorf("%s has only %d of the %d bytes that were stored: %w", f.Name(), i.Size(), size, fs.ErrNotExist)
	}
	return f.Truncate(size)
}

// Concat renames the part.
func (d *Driver) Concat(ctx context.Context, name string, parts []storage.Part) error {
	switch len(parts) {
	case 0:
		return d.Put(ctx, name, strings.NewReader(""), storage.Durable)
	case 1:
	default:
		return fmt.Errorf("%d parts of %s: this store makes one", len(parts), name)
	}
	from, err := d.path(parts[0].Name)
	if err != nil {
		return err
	}
	to, err := d.path(name)
	if err != nil {
		return err
	}
	if err := d.finish(from, parts[0].Size); err != nil {
		return err
	}
	if err := d.rename(from, to, d.sync); err != nil {
		return err
	}
	d.removeEmpty(filepath.Dir(from))
	return nil
}

// finish makes a part's content what its size says, and durable.
func (d *Driver) finish(p string, size int64) error {
	f, err := os.OpenFile(p, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	err = cut(f, size)
	if err == nil && d.sync {
		err = f.Sync()
	}
	now := time.Now() // the object is younger than its last byte
	return errors.Join(err, f.Close(), os.Chtimes(p, now, now))
}

// attempts at what needs a directory that a Delete may take away meanwhile.
const attempts = 100

// create opens a file, in a directory that is made if absent.
func (d *Driver) create(p string, flags int) (*os.File, error) {
	for range attempts {
		f, err := os.OpenFile(p, flags, 0o644)
		if flags&os.O_CREATE == 0 || !errors.Is(err, fs.ErrNotExist) {
			return f, d.miss(err)
		}
		if err := d.makeDirectory(filepath.Dir(p)); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("%s: its directory does not stay", p)
}

// rename gives a file its name, in a directory that is made if absent.
func (d *Driver) rename(from, to string, durable bool) error {
	rename := func() error {
		return d.held(shared, func() error { return os.Rename(from, to) })
	}
	for range attempts {
		var err error
		if durable {
			err = d.directories.change(filepath.Dir(to), rename)
		} else {
			err = rename()
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if _, gone := os.Lstat(from); gone != nil { // it is not the directory that is missing
			return err
		}
		if err := d.makeDirectory(filepath.Dir(to)); err != nil {
			return err
		}
	}
	return fmt.Errorf("%s: its directory does not stay", to)
}

// makeDirectory makes a directory and its parents, as part of whatever durable
// object comes to be in them. One that is taken away again at once is for the
// caller to find. Where the store is gone, none is made.
func (d *Driver) makeDirectory(dir string) error {
	if err := d.miss(fs.ErrNotExist); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	mkdir := func() error { return os.Mkdir(dir, 0o755) }
	err := d.directories.change(filepath.Dir(dir), mkdir)
	if errors.Is(err, fs.ErrNotExist) {
		if err := d.makeDirectory(filepath.Dir(dir)); err != nil {
			return err
		}
		err = d.directories.change(filepath.Dir(dir), mkdir)
	}
	if errors.Is(err, fs.ErrExist) || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// buffers are what streams pass through: large ones, for fewer system calls.
var buffers = sync.Pool{New: func() any { b := make([]byte, 256<<10); return &b }}

// copyTo is io.Copy with a large buffer.
func copyTo(f *os.File, content io.Reader) (int64, error) {
	b := buffers.Get().(*[]byte)
	defer buffers.Put(b)
	return io.CopyBuffer(struct{ io.Writer }{f}, struct{ io.Reader }{content}, *b)
}
