package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// Ages say how old things get before prune takes them.
type Ages struct {
	Manifest time.Duration // tags and digests, since they were pushed; 0: they stay for ever
	Upload   time.Duration // uploads, since they went on, and what nothing needs, since somebody was told that it is there
	Cache    time.Duration // what was fetched, since somebody wanted it
}

// Pruning is a prune that is to be done. No field may be nil.
type Pruning struct {
	Ages
	DryRun   bool             // nothing is removed
	Log      *slog.Logger     // of what is not as it should be
	Removed  func(Removal)    // called for whatever goes, or would, one at a time
	Progress func(looked int) // called after each object that was looked at, one at a time
}

// Kind is what something is that prune takes.
type Kind string

// The kinds, as they are printed and counted.
const (
	TagKind      Kind = "tag"
	ManifestKind Kind = "manifest" // the record that a repository has one of a digest
	CachedKind   Kind = "cached"   // a tag's or digest's that was fetched
	BlobKind     Kind = "blob"     // the bodies of manifests, too
	UploadKind   Kind = "upload"   // the record of an unfinished one
	PartKind     Kind = "part"     // content of an upload, or of an object that was replaced
	ReferrerKind Kind = "referrer" // the entry of a manifest that is gone
	SourceKind   Kind = "source"   // of a blob that nothing needs
)

// Kinds are all of them.
var Kinds = []Kind{TagKind, ManifestKind, CachedKind, BlobKind, UploadKind, PartKind, ReferrerKind, SourceKind}

// Removal is an object that goes, or would.
type Removal struct {
	Object string
	Kind   Kind
	Size   int64         // bytes
	Age    time.Duration // since it was stored, or somebody was told that it is there
}

// ErrSpared says that something was not removed: what may be needed there is not certain,
// or the store failed. The log says what and why.
var ErrSpared = errors.New("not everything could be pruned")

// Prune removes what has expired and what nothing needs any more, while others push, pull
// and prune. ErrSpared if it was not certain everywhere what is needed.
//
// Each area is marked first: what its references need that stay, however old that is.
// Then the rest is swept, if it is old. In memory it keeps a set of hashes, some 30 bytes for
// each object that is needed, the names of the records that go, and what it has listed and
// read of one repository at a time.
func (r *Registry) Prune(ctx context.Context, p Pruning) error {
	now := time.Now()
	w := &pruner{registry: r, Pruning: p, began: now, unneeded: now.Add(-p.Upload)}
	empty := true
	for area, err := range r.areas(ctx) {
		if err != nil {
			return err
		}
		empty = false
		if err := w.area(ctx, area); err != nil {
			return err
		}
	}
	if empty {
		p.Log.WarnContext(ctx, "there is nothing of a registry here: is it the store of serve?")
	}
	if w.faults > 0 {
		return fmt.Errorf("%w: %d faults", ErrSpared, w.faults)
	}
	return nil
}

// pruner is a Prune under way.
type pruner struct {
	registry *Registry
	Pruning
	began    time.Time
	unneeded time.Time // what nothing needs goes if it is not younger

	mu     sync.Mutex // of what follows, and of the callbacks
	faults int
	left   int // of the area to others who prune
	looked int
}

// area marks and sweeps an area. An error is the context's.
func (w *pruner) area(ctx context.Context, name string) error {
	m := newMark(w, name)
	before := w.faults
	w.left = 0
	if err := m.area(ctx); err != nil {
		return err
	}
	if w.faults > before {
		w.Log.ErrorContext(ctx, "nothing is removed: it is not certain what is needed", "area", name)
		return nil
	}
	return sweep{m}.area(ctx)
}

// fault notes that something cannot be known, or done; the context's end is returned.
func (w *pruner) fault(ctx context.Context, what, object string, err error) error {
	if err == nil || ctx.Err() != nil {
		return ctx.Err()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if errors.Is(err, errLeft) {
		w.left++
		return nil
	}
	w.Log.ErrorContext(ctx, what, "object", object, "error", err)
	w.faults++
	return nil
}

// step notes that an object was looked at.
func (w *pruner) step() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.looked++
	w.Progress(w.looked)
}

// remove removes an object that is no younger than a moment, and says whether it did, or
// would.
func (w *pruner) remove(ctx context.Context, kind Kind, object string, moment time.Time) (goes bool, err error) {
	if err := ctx.Err(); err != nil { // a disk does not look
		return false, err
	}
	info, err := w.registry.driver.Stat(ctx, object)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	goes = err == nil
	if goes && info.Modified.After(moment) {
		return false, nil
	}
	if !w.DryRun { // also of what is not there: its directory may be
		was := goes
		if goes, err = w.registry.driver.Expire(ctx, object, moment); err == nil && was && !goes {
			err = w.isYoungNow(ctx, object, moment)
		}
		if err != nil {
			return false, err
		}
	}
	if goes {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.Removed(Removal{object, kind, info.Size, w.began.Sub(info.Modified)})
	}
	return goes, nil
}

// errLeft says that somebody else may be about to remove an object.
var errLeft = errors.New("another prune is at it")

// isYoungNow asserts that an object has stayed because it is young by now, or gone.
func (w *pruner) isYoungNow(ctx context.Context, object string, moment time.Time) error {
	info, err := w.registry.driver.Stat(ctx, object)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err == nil && !info.Modified.After(moment):
		return errLeft
	}
	return err
}

// crowd does things side by side.
func crowd(ctx context.Context) (*errgroup.Group, context.Context) {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	return group, ctx
}
