// Package storage keeps named objects. It knows nothing of images.
//
// A name is a slash-separated path as in io/fs, of components that a file may
// be called. Package storagetest states the rules of a Driver as a suite.
package storage

import (
	"context"
	"io"
	"iter"
	"time"
)

// Driver is a place where objects are kept. Its methods may be called at the
// same time. An object that is not there is fs.ErrNotExist; any other error is
// a fault of the store.
type Driver interface {
	// Stat describes an object.
	Stat(ctx context.Context, name string) (Info, error)
	// Open opens an object for reading. Seek does no I/O. An object that is
	// replaced or deleted meanwhile is read on as it was, or fails. The caller
	// closes it.
	Open(ctx context.Context, name string) (io.ReadSeekCloser, Info, error)
	// Put stores an object of which a process can hold many, whole or not at
	// all, in place of what had the name. After an error the name has what it had, or the new object, whole.
	Put(ctx context.Context, name string, content io.Reader, d Durability) error
	// Append takes what a part may have of content, and reads no more of it: at
	// least a byte, unless it ends or fails. It begins to store that behind
	// parts, which an earlier Append under the same directory returned (none at
	// first), and returns the parts as they will be, with what came before an
	// error of content, too. The next Append may begin before that is stored. The
	// parts that were passed remain what they were, so that a caller may go back
	// to them, but only one line of parts may be continued at a time. That one of
	// them is lost may be said (fs.ErrNotExist), and is by Concat at last.
	Append(ctx context.Context, directory string, parts []Part, content io.Reader) ([]Part, Stored, error)
	// Concat makes the parts, in order and without copying them, the content
	// of an object; none make an empty one. They belong to the object then:
	// to delete one would damage it. A part that is not there, or has become
	// shorter, is fs.ErrNotExist, and nothing is made; after another error the
	// object may have been. The content is durable on return; the name
	// may be so only on return of a durable Put that begins later.
	Concat(ctx context.Context, name string, parts []Part) error
	// Delete removes an object and what belongs to it. An absent one is fine.
	// A power cut may undo it.
	Delete(ctx context.Context, name string) error
	// List yields what is in a directory, one level, by ascending paths, from the
	// first one after the path after. An absent directory is empty; an empty one
	// may be listed. What was stored or deleted just now may still be missing, or
	// listed. An error ends it.
	List(ctx context.Context, directory, after string) iter.Seq2[Entry, error]
	// Touch makes an object young: its Modified is now.
	Touch(ctx context.Context, name string) error
	// Expire deletes an object, and what belongs to it, unless it was stored or touched
	// after a moment, and says whether it did. Other processes may do all that at the same
	// time: a Touch comes first, and the object stays, or it finds none. The same is true of
	// what is stored under a name that was touched, or absent, before, but not of other
	// stores, which may be lost. One that is old may stay where another process is about
	// to expire it; where there is none, its directory goes if it is empty.
	Expire(ctx context.Context, name string, moment time.Time) (bool, error)
	// Parts names the objects that belong to one, those that Concat has made it of: none
	// where a part becomes the object, or where there is no object.
	Parts(ctx context.Context, name string) ([]string, error)
	// Rename gives an object, with its parts, another name, which nobody may be using; what
	// has that goes, but for its parts. It may be as young as the Rename then. Who stores under
	// the old one meanwhile may lose that.
	Rename(ctx context.Context, from, to string) error
	// Usage is how much there is. It may lag behind, and where ctx ends before all is
	// counted it is what was, with that error.
	Usage(ctx context.Context) (Usage, error)
}

// Usage is how much a store holds, whatever it is.
type Usage struct {
	Objects int64
	Bytes   int64
}

// Info describes an object.
type Info struct {
	Size     int64     // bytes
	Modified time.Time // when it was stored or last touched
}

// Part is an object that is to be content of another one: its first Size bytes.
// Until Concat it may be opened, once it is stored, and deleted, by its name, which is
// never used again.
type Part struct {
	Name string `json:"name"`
	Size int64  `json:"size"`
}

// Stored waits until what an Append has taken is stored, which it will be though the
// context of Append ends. It is never nil, and the caller calls it once. After an error
// the part may be there or not: the caller deletes it.
type Stored func() error

// AlreadyStored is the Stored of an Append that leaves nothing to wait for.
func AlreadyStored() error { return nil }

// Size is the number of bytes in parts.
func Size(parts []Part) int64 {
	var n int64
	for _, p := range parts {
		n += p.Size
	}
	return n
}

// Entry is an object or directory in a directory.
type Entry struct {
	Name      string // without the directory
	Directory bool
}

// Path is the name, with a slash behind it if the entry is a directory: lists are
// in the byte order of paths.
func (e Entry) Path() string {
	if e.Directory {
		return e.Name + "/"
	}
	return e.Name
}

// Durability says what an object outlives.
type Durability bool

// A Durable object is there after a power cut once Put has returned. A Volatile
// one outlives the process, and may be gone after a power cut.
const (
	Durable  Durability = true
	Volatile Durability = false
)
