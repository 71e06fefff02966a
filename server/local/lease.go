package local

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io/fs"
	"time"

	"opendev.org/zuul/zuul-registry/server/storage"
)

// leaseObject is stored by who begins to prune, and touched while he does. No area is
// called so.
const leaseObject = "_prune"

// LeasePrune takes it upon the caller to prune now, if nobody has pruned for a while, in
// whatever process, and says how long to wait otherwise. That two are told to at once is
// unlikely, and harmless: a lease saves work, and nothing else depends on it.
func (r *Registry) LeasePrune(ctx context.Context, every time.Duration) (wait time.Duration, err error) {
	info, err := r.driver.Stat(ctx, leaseObject)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, err
	}
	// A clock may be, or have been, wrong, but not for ever.
	if age := time.Since(info.Modified); err == nil && age < every && age > -every {
		return every - age, nil
	}
	mine := []byte(rand.Text() + "\n")
	if err := r.put(ctx, leaseObject, mine, storage.Volatile); err != nil {
		return 0, err
	}
	now, _, err := r.read(ctx, leaseObject, int64(len(mine)))
	if err == nil && !bytes.Equal(now, mine) {
		return every, nil
	}
	return 0, err
}

// KeepPruneLease says to others that a prune goes on.
func (r *Registry) KeepPruneLease(ctx context.Context) error {
	return r.driver.Touch(ctx, leaseObject)
}
