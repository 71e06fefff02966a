// Package local is the registry that we keep ourselves, on a storage.Driver.
//
// The blobs of an area are shared by its repositories, as in the original: what
// one has pushed, the others need not push again.
//
// # Pruning beside pushes
//
// Prune first marks what the references need that stay, and then removes the rest, if it
// is old: if it was neither stored nor touched for a grace of an hour or more before the
// prune began. Nothing that is acknowledged is lost by that:
//
//   - Who stores a blob or manifest, or is told that it is there, finds it young or touches
//     it (young.go): of a blob whoever asks, for many push without saying so, and of a
//     manifest pushers alone. So a push has nearly the whole grace to put the manifest.
//   - PutManifest touches all that a manifest describes, down to the layers of its children,
//     before it puts the record that leads there. What a prune removes was last touched
//     before the grace began; a record that needed it was put before that, too, and was
//     there for the prune to see, however late lists are. Then it has expired itself, or has
//     saved what it needs.
//   - storage.Driver.Expire and Touch exclude each other: who has touched something in time
//     keeps it, and who comes too late finds that it is not there, and pushes it.
//   - What cannot be read may need anything: then nothing is removed in that area.
//   - Parts are an upload's as long as it has a record, which is touched before anybody goes
//     on with it, and then a blob's, which is looked at for its parts after that.
//
// None of that needs prunes to know of each other. Two at once are harmless.
package local

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"
	"time"

	"opendev.org/zuul/zuul-registry/server/oci"
	"opendev.org/zuul/zuul-registry/server/storage"
)

// Options are the settings of a Registry.
type Options struct {
	// PerNamespace has Repositories list all areas but oci.LocalArea, and not that alone.
	PerNamespace bool
	// Older are the names under which Python zuul-registry may have stored a repository,
	// the likeliest first; nil: none.
	Older func(oci.Name) []oci.Name
	// Grace is the least age at which prune takes what nobody needs, if it is less than
	// longestYouth makes of it.
	Grace time.Duration
}

// Registry is an oci.Registry of what was pushed. Beside that it keeps what was
// fetched from upstreams, which its methods of that interface do not show, but for
// blobs: they are the same wherever they come from. Make it with New.
type Registry struct {
	driver      storage.Driver
	options     Options
	young       time.Duration // the age up to which nothing is renewed
	turns       turns         // at uploads
	directories directories
	leads       leads
	removing    sync.RWMutex // held for writing while a blob or manifest is deleted, for reading while a manifest is put
}

var _ oci.Registry = (*Registry)(nil)

// New makes a registry of what the driver keeps.
func New(d storage.Driver, o Options) *Registry {
	return &Registry{driver: d, options: o, young: youth(o.Grace)}
}

// atOnce is how many objects are looked at at the same time: a store that is far away
// takes its time for each.
const atOnce = 16

// Ready tries whether the store can be reached, its objects and its lists.
func (r *Registry) Ready(ctx context.Context) error {
	_, err := r.driver.Stat(ctx, uploadName(oci.LocalArea, "none"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, err := range r.areas(ctx) {
		return err
	}
	return nil
}

// orUnknown turns the store's word for what is not there into the registry's.
func orUnknown(err error, code oci.Code, what string) error {
	if errors.Is(err, fs.ErrNotExist) {
		return oci.Errorf(code, "%s is not in this registry", what)
	}
	return err
}

// orNil is the error, unless something is just not there.
func orNil(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// errDamaged is for objects that are not what was put.
var errDamaged = errors.New("is damaged")

// decode reads a stored object. Whatever is wrong with it is a fault of the
// store: no code that its content causes gets out.
func decode(name string, text []byte, v any) error {
	if err := json.Unmarshal(text, v); err != nil {
		return fmt.Errorf("%s %w: %v", name, errDamaged, err)
	}
	return nil
}

// put stores a small object.
func (r *Registry) put(ctx context.Context, name string, content []byte, d storage.Durability) error {
	return r.driver.Put(ctx, name, bytes.NewReader(content), d)
}

// read returns an object of at most limit bytes whole; of a larger one, the
// first limit+1.
func (r *Registry) read(ctx context.Context, name string, limit int64) ([]byte, storage.Info, error) {
	f, info, err := r.driver.Open(ctx, name)
	if err != nil {
		return nil, info, err
	}
	content := make([]byte, min(info.Size, limit+1))
	_, err = io.ReadFull(f, content)
	return content, info, errors.Join(err, f.Close())
}
