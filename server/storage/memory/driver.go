// Package memory keeps objects in memory. It is for tests.
package memory

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"opendev.org/zuul/zuul-registry/server/storage"
)

// Driver is a storage.Driver whose objects end with it. Make it with New.
type Driver struct {
	mu      sync.Mutex
	objects map[string]object
	serial  int // of parts
}

type object struct {
	content  []byte
	modified time.Time
}

// New makes an empty store.
func New() *Driver { return &Driver{objects: map[string]object{}} }

func (d *Driver) get(op, name string) (object, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.find(op, name)
}

// find is get for who has the lock.
func (d *Driver) find(op, name string) (object, error) {
	if err := check(op, name); err != nil {
		return object{}, err
	}
	o, ok := d.objects[name]
	if !ok {
		return object{}, &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
	}
	return o, nil
}

func check(op, name string) error {
	if fs.ValidPath(name) {
		return nil
	}
	return &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
}

func (o object) info() storage.Info {
	return storage.Info{Size: int64(len(o.content)), Modified: o.modified}
}

func (d *Driver) set(name string, content []byte) error {
	if err := check("put", name); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.objects[name] = object{content, time.Now()}
	return nil
}

// Stat describes an object.
func (d *Driver) Stat(_ context.Context, name string) (storage.Info, error) {
	o, err := d.get("stat", name)
	return o.info(), err
}

// Open opens an object for reading.
func (d *Driver) Open(_ context.Context, name string) (io.ReadSeekCloser, storage.Info, error) {
	o, err := d.get("open", name)
	if err != nil {
		return nil, storage.Info{}, err
	}
	return content{bytes.NewReader(o.content)}, o.info(), nil
}

type content struct{ *bytes.Reader }

func (content) Close() error { return nil }

// Put stores an object.
func (d *Driver) Put(_ context.Context, name string, r io.Reader, _ storage.Durability) error {
	all, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	return d.set(name, all)
}

// Append stores content as a further part.
func (d *Driver) Append(_ context.Context, directory string, parts []storage.Part, r io.Reader) ([]storage.Part, storage.Stored, error) {
	if err := check("append", directory); err != nil {
		return parts, storage.AlreadyStored, err
	}
	all, err := io.ReadAll(r)
	if len(all) == 0 {
		return parts, storage.AlreadyStored, err
	}
	d.mu.Lock()
	d.serial++
	name := path.Join(directory, fmt.Sprint(d.serial))
	d.mu.Unlock()
	if fault := d.set(name, all); fault != nil {
		return parts, storage.AlreadyStored, fault
	}
	return append(slices.Clip(parts), storage.Part{Name: name, Size: int64(len(all))}), storage.AlreadyStored, err
}

// Concat makes parts an object.
func (d *Driver) Concat(_ context.Context, name string, parts []storage.Part) error {
	var all []byte
	for _, p := range parts {
		o, err := d.get("concat", p.Name)
		if err != nil {
			return err
		}
		if int64(len(o.content)) < p.Size {
			return &fs.PathError{Op: "concat", Path: p.Name, Err: fs.ErrNotExist}
		}
		all = append(all, o.content[:p.Size]...)
	}
	if err := d.set(name, all); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, p := range parts {
		delete(d.objects, p.Name)
	}
	return nil
}

// Delete removes an object.
func (d *Driver) Delete(_ context.Context, name string) error {
	if err := check("delete", name); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.objects, name)
	return nil
}

// Touch makes an object young.
func (d *Driver) Touch(_ context.Context, name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	o, err := d.find("touch", name)
	if err != nil {
		return err
	}
	o.modified = time.Now()
	d.objects[name] = o
	return nil
}

// Expire removes an object that is old.
func (d *Driver) Expire(_ context.Context, name string, moment time.Time) (bool, error) {
	if err := check("expire", name); err != nil {
		return false, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	o, ok := d.objects[name]
	if !ok || o.modified.After(moment) {
		return false, nil
	}
	delete(d.objects, name)
	return true, nil
}

// Parts are none: they become the object.
func (d *Driver) Parts(_ context.Context, name string) ([]string, error) {
	return nil, check("list", name)
}

// Rename gives an object another name.
func (d *Driver) Rename(_ context.Context, from, to string) error {
	if err := check("rename", to); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	o, err := d.find("rename", from)
	if err != nil {
		return err
	}
	d.objects[to] = o
	delete(d.objects, from)
	return nil
}

// Usage counts all that there is.
func (d *Driver) Usage(context.Context) (storage.Usage, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	u := storage.Usage{Objects: int64(len(d.objects))}
	for _, o := range d.objects {
		u.Bytes += int64(len(o.content))
	}
	return u, nil
}

// List yields what is in a directory.
func (d *Driver) List(_ context.Context, directory, after string) iter.Seq2[storage.Entry, error] {
	return func(yield func(storage.Entry, error) bool) {
		if err := check("list", directory); err != nil {
			yield(storage.Entry{}, err)
			return
		}
		for _, e := range d.entries(directory) {
			if e.Path() > after && !yield(e, nil) {
				return
			}
		}
	}
}

func (d *Driver) entries(directory string) []storage.Entry {
	d.mu.Lock()
	defer d.mu.Unlock()
	prefix := directory + "/"
	if directory == "." {
		prefix = ""
	}
	var entries []storage.Entry
	for name := range d.objects {
		if rest, ok := strings.CutPrefix(name, prefix); ok {
			first, _, deeper := strings.Cut(rest, "/")
			entries = append(entries, storage.Entry{Name: first, Directory: deeper})
		}
	}
	slices.SortFunc(entries, func(a, b storage.Entry) int { return strings.Compare(a.Path(), b.Path()) })
	return slices.Compact(entries)
}
