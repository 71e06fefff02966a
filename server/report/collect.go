package report

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"opendev.org/zuul/zuul-registry/server/local"
	"opendev.org/zuul/zuul-registry/server/oci"
	"opendev.org/zuul/zuul-registry/server/provenance"
	"opendev.org/zuul/zuul-registry/server/storage"
	"opendev.org/zuul/zuul-registry/server/upstream"
)

// Sources are what a Report is made of.
type Sources struct {
	Journal   *provenance.Journal
	Kept      *local.Registry
	Store     storage.Driver
	Driver    string // what kind of store that is
	Upstreams upstream.Registries
	// Name is the repository that a path means, as in api.Options.
	Name    func(path, ns string) (oci.Name, error)
	Version string
	Log     *slog.Logger

	images  remembered[imageList]
	uploads remembered[[]Upload]
	usage   remembered[Storage]
}

// imageList is a part of the images, if there are more.
type imageList struct {
	images []Image
	more   bool
}

// remembered is what the store says that may take it some time. It is asked by one at a
// time, also if that one leaves, and what it says is good for a while.
type remembered[V any] struct {
	mu    sync.Mutex
	value V
	err   error
	until time.Time
}

const (
	// timeToLook is how long the store may take.
	timeToLook = 2 * time.Second
	// cheap is what it may take each time.
	cheap = 50 * time.Millisecond
	// spared is for how many times as long something is good that takes longer.
	spared = 10
)

func (m *remembered[V]) get(ctx context.Context, find func(context.Context) (V, error)) (V, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	begin := time.Now()
	if begin.Before(m.until) {
		return m.value, m.err
	}
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), timeToLook)
	defer stop()
	m.value, m.err = find(ctx)
	if took := time.Since(begin); took > cheap {
		m.until = begin.Add((1 + spared) * took)
	}
	return m.value, m.err
}

// orPartial is nil where there was only no time for more.
func orPartial(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	return err
}

// Collect makes a Report. What cannot be found out is one of its Faults.
func (s *Sources) Collect(ctx context.Context, f Filter) Report {
	r := Report{Schema: Schema, Version: s.Version, Time: time.Now(), Filter: f, Faults: []string{}}
	var mu sync.Mutex
	var doing sync.WaitGroup
	for what, add := range map[string]func(context.Context, *Report) error{
		"a part of the journal is lost": s.addJournal,
		"images cannot be listed":       s.addImages,
		"uploads cannot be listed":      s.addUploads,
		"the store cannot be measured":  s.addUsage,
	} {
		doing.Go(func() {
			if err := add(ctx, &r); err != nil && ctx.Err() == nil {
				s.Log.ErrorContext(ctx, what, "error", err)
				mu.Lock()
				defer mu.Unlock()
				r.Faults = append(r.Faults, what+": the registry's log says why")
			}
		})
	}
	doing.Wait()
	slices.Sort(r.Faults)
	r.Upstreams = upstreams(s.Upstreams.States(), f)
	r.tell()
	return r
}

// addJournal is not spared: a pull that has just been is in the report.
func (s *Sources) addJournal(ctx context.Context, r *Report) (err error) {
	ctx, stop := context.WithTimeout(ctx, timeToLook)
	defer stop()
	past, err := s.Journal.Past(ctx)
	r.Journal, r.Cut = past.Entries, past.Cut
	if past.Lost > 0 {
		err = errors.Join(err, fmt.Errorf("%d entries are lost: the store did not take them", past.Lost))
	}
	r.Lost = err != nil
	return err
}

func (s *Sources) addImages(ctx context.Context, r *Report) error {
	list, err := s.images.get(ctx, s.findImages)
	r.Images, r.More = []Image{}, list.more
	for _, i := range list.images {
		if r.Filter.takesName(i.Name) && (r.Filter.Origin == "" || r.Filter.Origin == i.Origin) {
			r.Images = append(r.Images, i)
		}
	}
	return err
}

func (s *Sources) addUploads(ctx context.Context, r *Report) error {
	all, err := s.uploads.get(ctx, s.findUploads)
	r.Uploads = []Upload{}
	for _, u := range all {
		if r.Filter.takesName(u.Name) {
			r.Uploads = append(r.Uploads, u)
		}
	}
	return err
}

func (s *Sources) addUsage(ctx context.Context, r *Report) (err error) {
	r.Storage, err = s.usage.get(ctx, func(ctx context.Context) (Storage, error) {
		u, err := s.Store.Usage(ctx)
		return Storage{s.Driver, u.Bytes, u.Objects, err != nil}, orPartial(err)
	})
	return err
}

// public is what the rest of the world calls a repository of the store.
func (s *Sources) public(n oci.Name) (name string, namespace string) {
	meant, err := s.Name(n.String(), "")
	if err != nil {
		meant = n
	}
	return meant.Public(), meant.Shadows.Namespace
}

const (
	// mostImages that are looked at.
	mostImages = 5000
	// lookAtOnce is how many of them are looked at at the same time.
	lookAtOnce = 16
)

// findImages finds the tags that there are, up to mostImages.
func (s *Sources) findImages(ctx context.Context) (list imageList, err error) {
	var mu sync.Mutex
	group, looking := errgroup.WithContext(ctx)
	group.SetLimit(lookAtOnce)
	started, cut := 0, false
	for t, fault := range s.Kept.Tagged(looking) {
		if err, cut = fault, fault != nil || started == mostImages; cut {
			break
		}
		started++
		group.Go(func() error {
			image, err := s.image(looking, t)
			if errors.Is(err, oci.ManifestUnknown) {
				return nil
			}
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				list.images = append(list.images, image)
			}
			return err
		})
	}
	err = cmp.Or(group.Wait(), err)
	list.more = cut || err != nil
	slices.SortFunc(list.images, func(a, b Image) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Tag, b.Tag), strings.Compare(string(b.Origin), string(a.Origin)))
	})
	return list, orPartial(err)
}

func (s *Sources) image(ctx context.Context, t local.Tagged) (Image, error) {
	i, err := s.Kept.Item(ctx, t)
	name, namespace := s.public(t.Name)
	image := Image{
		Name: name, Tag: t.Tag.String(), Digest: i.Digest, MediaType: i.MediaType, Platforms: i.Platforms, Size: i.Size,
		Origin: t.Origin, Time: i.Modified,
	}
	if image.Platforms == nil {
		image.Platforms = []string{}
	}
	if image.Origin == oci.Cached {
		image.Upstream = namespace
	}
	return image, err
}

func (s *Sources) findUploads(ctx context.Context) (all []Upload, err error) {
	for u, err := range s.Kept.Unfinished(ctx) {
		if err != nil {
			return all, orPartial(err)
		}
		name, _ := s.public(u.Name)
		all = append(all, Upload{Name: name, Size: u.Size, Begun: u.Begun, Last: u.Modified})
	}
	return all, nil
}

// upstreams are those of a namespace, or all.
func upstreams(states []upstream.State, f Filter) []Upstream {
	all := []Upstream{}
	now := time.Now()
	for _, s := range states {
		if f.Namespace != "" && f.Namespace != s.Namespace {
			continue
		}
		u := Upstream{
			Namespace: s.Namespace, URL: s.URL, State: health(s, now), Problem: s.Problem, Asked: s.Asked, Answered: s.Answered,
			ClosedUntil: s.ClosedUntil, Found: s.Found, Absent: s.Absent, Refused: s.Refused, Unavailable: s.Unavailable,
		}
		if s.Limited {
			u.RateLimit = &RateLimit{s.Limit, s.Remaining, s.Window.Seconds(), s.LimitSeen}
		}
		all = append(all, u)
	}
	return all
}

func health(s upstream.State, now time.Time) Health {
	switch {
	case s.ClosedUntil.After(now):
		return Waiting
	case s.Asked.IsZero():
		return Unasked
	case s.Problem != "":
		return Down
	}
	return Up
}
