package report

import (
	"cmp"
	"context"
	"errors"
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

	found remembered[found]
	usage remembered[Storage]
}

// remembered is what took some time to find out, and is good for some time. It is found
// out by one at a time.
type remembered[V any] struct {
	mu    sync.Mutex
	of    Filter
	value V
	until time.Time
}

// spared is how many times as long as it took to find out something is good.
const spared = 10

func (m *remembered[V]) get(of Filter, find func() (V, error)) (V, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.of == of && time.Now().Before(m.until) {
		return m.value, nil
	}
	begin := time.Now()
	v, err := find()
	if err == nil {
		m.of, m.value, m.until = of, v, time.Now().Add(spared*time.Since(begin))
	}
	return v, err
}

const (
	// mostImages that are looked at for one Report.
	mostImages = 1000
	// timeToLook is how long the search for images may take, and so may the count of what
	// the store holds, side by side.
	timeToLook = 2 * time.Second
	// lookAtOnce is how many images are looked at at the same time.
	lookAtOnce = 16
)

// Collect makes a Report. What cannot be found out is one of its Faults.
func (s *Sources) Collect(ctx context.Context, f Filter) Report {
	r := Report{
		Schema: Schema, Version: s.Version, Time: time.Now(), Filter: f, Faults: []string{},
		Uploads: []Upload{},
	}
	looking, stop := context.WithTimeout(ctx, timeToLook)
	defer stop()
	var mu sync.Mutex
	var doing sync.WaitGroup
	for what, do := range map[string]func() error{
		"the journal cannot be read":   func() (err error) { r.Journal, err = s.Journal.Entries(ctx); return },
		"uploads cannot be listed":     func() (err error) { r.Uploads, err = s.uploads(looking, f); return },
		"images cannot be listed":      func() error { return s.addImages(looking, &r) },
		"the store cannot be measured": func() error { return s.addUsage(looking, &r) },
	} {
		doing.Go(func() {
			if err := do(); err != nil && ctx.Err() == nil {
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
	r.tell(f)
	return r
}

// public is what the rest of the world calls a repository of the store.
func (s *Sources) public(n oci.Name) (name string, namespace string) {
	meant, err := s.Name(n.String(), "")
	if err != nil || meant.Shadows.IsZero() {
		return n.String(), ""
	}
	return meant.Shadows.String(), meant.Shadows.Namespace
}

func (s *Sources) addImages(ctx context.Context, r *Report) error {
	f, err := s.found.get(Filter{Namespace: r.Filter.Namespace, Origin: r.Filter.Origin}, func() (found, error) {
		return s.images(ctx, r.Filter)
	})
	r.Images, r.More = slices.Clone(f.images), f.more
	if r.Images == nil {
		r.Images = []Image{}
	}
	slices.SortFunc(r.Images, func(a, b Image) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Tag, b.Tag), strings.Compare(string(b.Origin), string(a.Origin)))
	})
	return err
}

func (s *Sources) addUsage(ctx context.Context, r *Report) error {
	u, err := s.usage.get(Filter{}, func() (Storage, error) {
		u, err := s.Store.Usage(ctx)
		return Storage{s.Driver, u.Bytes, u.Objects, err != nil}, orPartial(err)
	})
	r.Storage = u
	return err
}

// images are the tags that there are, up to mostImages.
func (s *Sources) images(ctx context.Context, f Filter) (found found, err error) {
	wanted := func(n oci.Name) bool {
		name, _ := s.public(n)
		return f.takesName(name)
	}
	var mu sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(lookAtOnce)
	started := 0
	for t, err := range s.Kept.Tagged(ctx, wanted) {
		if err != nil || started == mostImages {
			found.more, err = true, orPartial(err)
			return found, errors.Join(err, group.Wait())
		}
		if f.Origin != "" && f.Origin != t.State {
			continue
		}
		started++
		group.Go(func() error {
			image, err := s.image(ctx, t)
			if errors.Is(err, oci.ManifestUnknown) {
				return nil
			}
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				found.images = append(found.images, image)
			}
			found.more = found.more || err != nil
			return orPartial(err)
		})
	}
	return found, group.Wait()
}

// found are images.
type found struct {
	images []Image
	more   bool
}

// orPartial is nil where there was only no time for more.
func orPartial(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	return err
}

func (s *Sources) image(ctx context.Context, t local.Tagged) (Image, error) {
	i, err := s.Kept.Item(ctx, t)
	name, namespace := s.public(t.Name)
	image := Image{
		Name: name, Tag: t.Tag.String(), Digest: i.Digest, MediaType: i.MediaType, Platforms: i.Platforms, Size: i.ImageSize,
		Origin: t.State, Time: i.Modified,
	}
	if image.Platforms == nil {
		image.Platforms = []string{}
	}
	if image.Origin == oci.Cached {
		image.Upstream = namespace
	}
	return image, err
}

func (s *Sources) uploads(ctx context.Context, f Filter) ([]Upload, error) {
	all := []Upload{}
	for u, err := range s.Kept.Unfinished(ctx) {
		if err != nil {
			return all, err
		}
		name, _ := s.public(u.Name)
		if f.takesName(name) {
			all = append(all, Upload{Name: name, Size: u.Size, Begun: u.Begun, Last: u.Modified})
		}
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
