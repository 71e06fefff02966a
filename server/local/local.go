// Package local is the registry that we keep ourselves, on a storage.Driver.
//
// The blobs of an area are shared by its repositories, as in the original: what
// one has pushed, the others need not push again.
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

	"opendev.org/zuul/zuul-registry/server/oci"
	"opendev.org/zuul/zuul-registry/server/storage"
)

// Registry is an oci.Registry of what was pushed. Beside that it keeps what was
// fetched from upstreams, which its methods of that interface do not show, but for
// blobs: they are the same wherever they come from. Make it with New or
// NewPerNamespace.
type Registry struct {
	driver       storage.Driver
	perNamespace bool // Repositories lists all areas but oci.LocalArea
	turns        turns
	removing     sync.RWMutex // held for writing while a blob or manifest is deleted, for reading while a manifest is put
}

var _ oci.Registry = (*Registry)(nil)

// New makes a registry of what the driver keeps in oci.LocalArea.
func New(d storage.Driver) *Registry { return &Registry{driver: d} }

// NewPerNamespace makes a registry of what the driver keeps in all other areas,
// each of which is a namespace.
func NewPerNamespace(d storage.Driver) *Registry { return &Registry{driver: d, perNamespace: true} }

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
func (r *Registry) read(ctx context.Context, name string, limit int64) ([]byte, error) {
	f, info, err := r.driver.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	content := make([]byte, min(info.Size, limit+1))
	_, err = io.ReadFull(f, content)
	return content, errors.Join(err, f.Close())
}
