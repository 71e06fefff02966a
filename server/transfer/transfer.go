// Package transfer copies images from registry to registry: all platforms of each,
// and what refers to it (signatures, for instance). Manifests keep their bytes.
//
// The copying is oras.CopyGraph's, between two views of repositories: source reads,
// and goes on where a connection breaks; destination writes, and knows what is there
// already. Nothing larger than a manifest is held in memory.
package transfer

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"oras.land/oras-go/v2"

	"opendev.org/zuul/zuul-registry/server/peer"
)

const (
	// imagesAtOnce is how many images are copied at a time.
	imagesAtOnce = 4
	// blobsAtOnce is how many blobs of each image are, and manifests are read.
	blobsAtOnce = 4
)

// Job is an image to be copied. To has a tag.
type Job struct{ From, To Reference }

// String is both, with an arrow.
func (j Job) String() string { return j.From.String() + " -> " + j.To.String() }

// Agent begins what programs that copy images call themselves; a version follows.
const Agent = "zuul-registry-copy/"

// Options are the settings of Copy.
type Options struct {
	Source, Destination Side
	// Timeout, more than 0, is how long a registry may take to connect, to begin its
	// answer, and to send or take each next piece of a body.
	Timeout time.Duration
	// UserAgent is what registries are told about us, Agent and a version. Empty: Go's own.
	UserAgent string
	// Log gets a warning of what is tried again.
	Log *slog.Logger
	// Done is told of each image that has been copied, or could not be. One call is
	// made at a time, of this and Progress.
	Done func(Job, Report, error)
	// Progress is told how many bytes of blobs are copied, or need not be, of those
	// that are known about so far.
	Progress func(done, total int64)
}

// Report is what it took to copy an image.
type Report struct {
	Digest string // of the manifest
	There  bool   // all of it, under its tag, already before
	Blobs  int    // that the image and what refers to it have
	Sent   int    // of them
	Bytes  int64  // of those
	Took   time.Duration
}

// Copy copies images, several at once. It returns when each has been copied or
// given up. What fails by accident is tried again: see patience for how often. A blob
// that several of the images have is sent once to each registry, where it can mount.
func Copy(ctx context.Context, jobs []Job, o Options) {
	r := &run{options: o, hosts: newHosts(o), ledgers: map[string]*ledger{}}
	var images errgroup.Group
	images.SetLimit(imagesAtOnce)
	for _, job := range jobs {
		images.Go(func() error {
			begin := time.Now()
			report, err := r.copy(ctx, job)
			report.Took = time.Since(begin)
			r.mu.Lock()
			defer r.mu.Unlock()
			o.Done(job, report, err)
			return nil
		})
	}
	_ = images.Wait() // Done was told
}

// run is one call of Copy.
type run struct {
	options Options
	hosts   *hosts

	mu          sync.Mutex
	ledgers     map[string]*ledger // by destination registry
	done, total int64              // bytes
}

// image is one job on its way.
type image struct {
	run      *run
	job      Job
	patience *patience
	total    int64        // bytes of its blobs
	done     atomic.Int64 // of them
}

// copy copies one image: first its manifests, children first, with their blobs,
// then what refers to them, and at last the tag, so that the tag names nothing
// that is not whole.
func (r *run) copy(ctx context.Context, job Job) (Report, error) {
	i := &image{run: r, job: job, patience: newPatience(r.options.Log.With("image", job.String()))}
	source, err := i.source()
	if err != nil {
		return Report{}, err
	}
	destination, err := i.destination()
	if err != nil {
		return Report{}, err
	}
	found, err := source.survey(ctx)
	if err != nil {
		return Report{}, err
	}
	i.expect(found)
	defer i.settle()
	if err := destination.login(ctx); err != nil {
		return Report{}, err
	}
	destination.refers = found.refers
	o := oras.CopyGraphOptions{Concurrency: blobsAtOnce, FindSuccessors: found.successors}
	for _, top := range found.tops {
		if err := oras.CopyGraph(ctx, source, destination, top, o); err != nil {
			return Report{}, cause(ctx, err)
		}
	}
	if err := destination.tag(ctx, found.root, source.kept(found.root)); err != nil {
		return Report{}, err
	}
	return Report{
		Digest: found.root.Digest.String(), There: !destination.changed.Load(), Blobs: len(found.blobs),
		Sent: int(destination.sent.Load()), Bytes: destination.bytes.Load(),
	}, nil
}

// cause is what our views have said, without oras' words around it.
func cause(ctx context.Context, err error) error {
	var fault *Fault
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &fault):
		return fault
	}
	return peer.Censored(err)
}

// ledger is that of the destination's registry.
func (i *image) ledger() *ledger {
	i.run.mu.Lock()
	defer i.run.mu.Unlock()
	key := i.job.To.registryName()
	if i.run.ledgers[key] == nil {
		i.run.ledgers[key] = newLedger()
	}
	return i.run.ledgers[key]
}

// expect says what there is to be copied.
func (i *image) expect(s *survey) {
	for _, size := range s.blobs {
		i.total += size
	}
	i.run.advance(0, i.total)
}

// move says that bytes of a blob have been copied; fewer than none, that they have
// been for nothing.
func (i *image) move(n int64) {
	i.done.Add(n)
	i.run.advance(n, 0)
}

// settle says that nothing more comes: the rest need not be copied, or cannot.
func (i *image) settle() { i.move(i.total - i.done.Load()) }

func (r *run) advance(done, total int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.done += done
	r.total += total
	if r.total > 0 {
		r.options.Progress(r.done, r.total)
	}
}
