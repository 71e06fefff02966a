package local

import (
	"context"
	"iter"
	"path"
	"strings"
	"sync"
	"time"

	"opendev.org/zuul/zuul-registry/server/oci"
	"opendev.org/zuul/zuul-registry/server/storage"
)

// spellings are the names that a repository is stored under, ours first. The others
// are only read and deleted.
func (r *Registry) spellings(ctx context.Context, name oci.Name) ([]oci.Name, error) {
	all := []oci.Name{name}
	if r.options.Older == nil {
		return all, nil
	}
	for _, n := range r.options.Older(name) {
		there, err := r.isStored(ctx, n)
		if err != nil {
			return nil, err
		}
		if there {
			all = append(all, n)
		}
	}
	return all, nil
}

// isStored says whether a repository had a record when its directory was last listed. That
// is for what the original has stored: of what we have, it may be out of date.
func (r *Registry) isStored(ctx context.Context, name oci.Name) (bool, error) {
	directory := "."
	for component := range strings.SplitSeq(recordsOf(name), "/") {
		has, err := r.directories.in(ctx, r.driver, directory)
		if err != nil || !has[component] {
			return false, err
		}
		directory = path.Join(directory, component)
	}
	return true, nil
}

// directories knows for a while which there are in a directory. A mirror is asked for
// many images that it does not have, and older names must not cost it a request for each.
// The zero value is ready.
type directories struct {
	mu    sync.Mutex
	known map[string]listed
}

type listed struct {
	at  time.Time
	has map[string]bool
}

// longestListed is how long a listing is good: an older name is new only where a store is
// restored beside us, or its lists are late.
const longestListed = 5 * time.Minute

func (d *directories) in(ctx context.Context, store storage.Driver, directory string) (map[string]bool, error) {
	d.mu.Lock()
	known, ok := d.known[directory]
	d.mu.Unlock()
	if ok && time.Since(known.at) < longestListed {
		return known.has, nil
	}
	now := listed{time.Now(), map[string]bool{}}
	for e, err := range store.List(ctx, directory, "") {
		if err != nil {
			return nil, err
		}
		if e.Directory {
			now.has[e.Name] = true
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.known == nil {
		d.known = map[string]listed{}
	}
	d.known[directory] = now
	return now.has, nil
}

// merge is two ascending listings as one, each entry once.
func merge(a, b iter.Seq2[oci.Reference, error]) iter.Seq2[oci.Reference, error] {
	return func(yield func(oci.Reference, error) bool) {
		next, stop := iter.Pull2(b)
		defer stop()
		other, fault, more := next()
		for ref, err := range a {
			for ; err == nil && more && (fault != nil || other.String() <= ref.String()); other, fault, more = next() {
				if fault == nil && other == ref {
					continue
				}
				if !yield(other, fault) || fault != nil {
					return
				}
			}
			if !yield(ref, err) || err != nil {
				return
			}
		}
		for ; more; other, fault, more = next() {
			if !yield(other, fault) || fault != nil {
				return
			}
		}
	}
}
