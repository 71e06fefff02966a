package report

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"opendev.org/zuul/zuul-registry/server/local"
	"opendev.org/zuul/zuul-registry/server/namespace"
	"opendev.org/zuul/zuul-registry/server/oci"
	"opendev.org/zuul/zuul-registry/server/provenance"
	"opendev.org/zuul/zuul-registry/server/storage"
	"opendev.org/zuul/zuul-registry/server/storage/memory"
)

// slow is a store whose lists take some time, or never come.
type slow struct {
	storage.Driver

	mu    sync.Mutex
	takes time.Duration
	fails error
}

// becomes has it take some time, and fail.
func (s *slow) becomes(takes time.Duration, fails error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.takes, s.fails = takes, fails
}

func (s *slow) List(ctx context.Context, directory, after string) iter.Seq2[storage.Entry, error] {
	s.mu.Lock()
	defer s.mu.Unlock()
	takes, fails := s.takes, s.fails
	return func(yield func(storage.Entry, error) bool) {
		select {
		case <-ctx.Done():
			yield(storage.Entry{}, ctx.Err())
			return
		case <-time.After(takes):
		}
		if fails != nil {
			yield(storage.Entry{}, fails)
			return
		}
		s.Driver.List(ctx, directory, after)(yield)
	}
}

// sources are those of a store with some images.
func sources(t *testing.T, images int) (*Sources, *slow) {
	t.Helper()
	store := &slow{Driver: memory.New()}
	kept := local.New(store, local.Options{})
	m, err := oci.NewManifest(oci.MediaTypeImageIndex, []byte(`{"manifests":[]}`), oci.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	for i := range images {
		name, err := namespace.Auto.Name([]string{"alpine", "quay.io/org/app"}[i%2], "")
		if err != nil {
			t.Fatal(err)
		}
		tag, err := oci.ParseTag(fmt.Sprint("v", i))
		if err == nil {
			err = kept.PutManifest(t.Context(), name, m, tag)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	journal := provenance.Open(store, slog.New(slog.DiscardHandler))
	t.Cleanup(journal.Close)
	return &Sources{Journal: journal, Kept: kept, Store: store, Driver: "memory", Name: namespace.Auto.Name, Log: slog.New(slog.DiscardHandler)}, store
}

func names(images []Image) string {
	var all []string
	for _, i := range images {
		all = append(all, image(i.Name, i.Tag))
	}
	return strings.Join(all, " ")
}

// Those who ask for different parts at once each get theirs, though they wait for each other.
func TestCollectAtOnce(t *testing.T) {
	s, store := sources(t, 2)
	store.becomes(20*time.Millisecond, nil)
	want := map[string]string{
		"": "docker.io/library/alpine:v0 quay.io/org/app:v1", "docker.io": "docker.io/library/alpine:v0",
		"quay.io": "quay.io/org/app:v1", "gcr.io": "",
	}
	var all sync.WaitGroup
	for range 5 {
		for namespace, want := range want {
			all.Go(func() {
				r := s.Collect(t.Context(), Filter{Namespace: namespace})
				if got := names(r.Images); got != want || r.More || len(r.Faults) > 0 || r.Storage.Objects < 5 {
					t.Errorf("of %q there are %q, more: %v, faults %q, storage %+v; want %q", namespace, got, r.More, r.Faults, r.Storage, want)
				}
			})
		}
	}
	all.Wait()
}

// A store that hangs gives what can be had, and it is said what cannot.
func TestCollectFromAStoreThatHangs(t *testing.T) {
	s, store := sources(t, 2)
	s.Journal.Note(provenance.Event{Action: provenance.Pull, Kind: provenance.Manifest, Name: app, Reference: "1", Origin: oci.Speculative})
	store.becomes(time.Hour, nil)
	r := s.Collect(t.Context(), Filter{})
	if !r.More || len(r.Images) > 0 || len(r.Pulls) != 1 || !slices.Equal(r.Faults, []string{"a part of the journal is lost: the registry's log says why"}) {
		t.Errorf("%+v", r)
	}
	if !r.Lost {
		t.Error("nothing is lost of a journal that could not be read")
	}
}

// Who leaves while the store is asked spoils the answer for nobody.
func TestCollectForWhoLeaves(t *testing.T) {
	s, store := sources(t, 2)
	store.becomes(2*cheap, nil)
	left, leave := context.WithCancel(t.Context())
	time.AfterFunc(3*cheap/2, leave)
	s.Collect(left, Filter{})
	if r := s.Collect(t.Context(), Filter{}); len(r.Faults) > 0 || r.Lost || len(r.Images) != 2 {
		t.Errorf("%d images, faults %q", len(r.Images), r.Faults)
	}
}

// What is wrong with a store is for its log.
func TestCollectFromAStoreThatFails(t *testing.T) {
	s, store := sources(t, 2)
	store.becomes(0, errors.New("secret place"))
	if r := s.Collect(t.Context(), Filter{}); len(r.Faults) != 3 || strings.Contains(fmt.Sprint(r.Faults), "secret") {
		t.Errorf("faults: %q", r.Faults)
	}
}

func TestCollectIsBounded(t *testing.T) {
	s, _ := sources(t, mostImages+10)
	r := s.Collect(t.Context(), Filter{Origin: oci.Speculative})
	if len(r.Images) != mostImages || !r.More {
		t.Errorf("%d images, more: %v", len(r.Images), r.More)
	}
	if r = s.Collect(t.Context(), Filter{Origin: oci.Cached}); len(r.Images) != 0 {
		t.Errorf("%d images that were fetched", len(r.Images))
	}
}
