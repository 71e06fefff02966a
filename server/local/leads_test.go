package local_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"opendev.org/zuul/zuul-registry/server/oci"
	"opendev.org/zuul/zuul-registry/server/storage"
	"opendev.org/zuul/zuul-registry/server/storage/memory"
)

// A manifest that only a tag names is deleted by its digest like others.
func TestDeleteWhatOnlyATagNames(t *testing.T) {
	onAllDrivers(t, func(t *testing.T, o *original, h heir) {
		d := o.manifest("org/app", "1.0", dockerImage, o.image("an image"))
		o.manifest("docker.io/org/app", "latest", dockerImage, o.image("an image"))
		elsewhere := o.manifest("org/other", "1.0", dockerImage, o.image("an image"))
		h.delete("org/app", d.String())
		for _, h := range []heir{h, h.again()} {
			h.misses("org/app", "1.0", "latest", d.String())
			if got := h.tags("org/app", ""); got != nil {
				t.Errorf("tags %q are left", got)
			}
			h.gives("org/other", "1.0", dockerImage, elsewhere)
			h.gives("org/other", d.String(), dockerImage, elsewhere)
		}
	})
}

// family is an index of the original's of which only the tag is recorded.
type family struct {
	inner, outer                 oci.Digest // indexes
	amd64, arm64, riscv, missing oci.Digest
}

func (o *original) family(repository, tag string) (f family) {
	o.Helper()
	f.amd64, f.arm64, f.riscv = o.body(o.image("amd64")), o.body(o.image("arm64")), o.body(o.image("riscv"))
	f.missing = oci.SHA256.Sum([]byte("missing"))
	f.inner = o.body(indexOf(child{dockerImage, f.arm64}, child{dockerImage, f.riscv}))
	f.outer = o.manifest(repository, tag, dockerList, indexOf(child{dockerImage, f.amd64}, child{dockerList, f.inner}, child{dockerImage, f.missing}))
	return f
}

// Children are found that only an index names, and are recorded then, as is all that the
// tag has below it. What is another repository's is not.
func TestChildrenWithoutRecords(t *testing.T) {
	onAllDrivers(t, func(t *testing.T, o *original, h heir) {
		f := o.family("docker.io/org/app", "1.0")
		foreign := o.manifest("org/other", "1.0", dockerImage, o.image("foreign"))
		loose := o.body(o.image("loose"))

		h.misses("org/app", foreign.String(), loose.String(), f.missing.String(), oci.SHA256.Sum([]byte("layer of amd64")).String())
		h.gives("org/app", f.riscv.String(), dockerImage, f.riscv)
		want := []string{f.outer.String(), f.inner.String(), f.amd64.String(), f.arm64.String(), f.riscv.String()}
		slices.Sort(want)
		if got := h.records("org/app"); !slices.Equal(got, want) {
			t.Errorf("the records are %q, want %q", got, want)
		}
		for _, h := range []heir{h, h.again()} {
			h.gives("org/app", "1.0", dockerList, f.outer)
			h.gives("org/app", f.outer.String(), dockerList, f.outer)
			h.gives("org/app", f.inner.String(), dockerList, f.inner)
			h.gives("org/app", f.amd64.String(), dockerImage, f.amd64)
			h.gives("org/app", f.arm64.String(), dockerImage, f.arm64)
			h.misses("org/app", foreign.String(), loose.String(), f.missing.String())
			h.hasTags("org/app", "", "1.0")
		}
	})
}

// A child that is deleted is gone, though indexes still name it; the others stay.
func TestDeleteChildWithoutRecord(t *testing.T) {
	for _, before := range []string{"", "1.0", "the child"} {
		t.Run("after GET of "+before, func(t *testing.T) {
			onAllDrivers(t, func(t *testing.T, o *original, h heir) {
				f := o.family("org/app", "1.0")
				second := o.manifest("docker.io/org/app", "2.0", dockerList, indexOf(child{dockerList, f.inner}))
				switch before {
				case "1.0":
					h.gives("org/app", "1.0", dockerList, f.outer)
				case "the child":
					h.gives("org/app", f.riscv.String(), dockerImage, f.riscv)
				}
				h.delete("org/app", f.riscv.String())
				for _, h := range []heir{h, h.again()} {
					h.misses("org/app", f.riscv.String())
					h.gives("org/app", f.arm64.String(), dockerImage, f.arm64)
					h.gives("org/app", f.amd64.String(), dockerImage, f.amd64)
					h.gives("org/app", "1.0", dockerList, f.outer)
					h.gives("org/app", "2.0", dockerList, second)
					h.gives("org/app", second.String(), dockerList, second)
				}
			})
		})
	}
}

// What was pushed here and deleted is gone, whatever index still names it.
func TestDeletedChildOfOurIndexIsGone(t *testing.T) {
	onAllDrivers(t, func(t *testing.T, o *original, h heir) {
		amd64, arm64 := h.push("org/app", dockerImage, o.image("amd64")), h.push("org/app", dockerImage, o.image("arm64"))
		index := h.push("org/app", dockerList, indexOf(child{dockerImage, amd64}, child{dockerImage, arm64}), "latest")
		h.delete("org/app", arm64.String())
		for _, h := range []heir{h, h.again()} {
			h.misses("org/app", arm64.String())
			h.gives("org/app", "latest", dockerList, index)
			h.gives("org/app", amd64.String(), dockerImage, amd64)
		}
	})
}

// An index may be pushed of what the original stored, and does not depend on the tags
// that led there.
func TestIndexOfWhatTheOriginalStored(t *testing.T) {
	onAllDrivers(t, func(t *testing.T, o *original, h heir) {
		byTag := o.manifest("org/app", "amd64", dockerImage, o.image("amd64"))
		byDigest := o.manifest("docker.io/org/app", "", dockerImage, o.image("arm64"))
		former := o.manifest("org/app", "both", dockerImage, o.image("former"))
		o.manifest("org/app", "both", ociImage, imageOf(ociImage, o.blob("latter")))
		index := h.push("org/app", dockerList, indexOf(child{dockerImage, byTag}, child{dockerImage, byDigest}, child{dockerImage, former}), "latest")
		want := []string{index.String(), byTag.String(), byDigest.String(), former.String(), "amd64", "both", "latest"}
		slices.Sort(want)
		if got := h.records("org/app"); !slices.Equal(got, want) {
			t.Errorf("the records are %q, want %q", got, want)
		}
		h.delete("org/app", "amd64")
		h.delete("org/app", "both")
		h.again().gives("org/app", byTag.String(), dockerImage, byTag)
		h.again().gives("org/app", former.String(), dockerImage, former)
	})
}

// A layer is kept that only the child of an index needs, or a manifest that a tag named
// before.
func TestBlobsOfWhatIsNotRecordedStay(t *testing.T) {
	onAllDrivers(t, func(t *testing.T, o *original, h heir) {
		f := o.family("org/app", "1.0")
		o.manifest("org/app", "both", dockerImage, o.image("former"))
		o.manifest("org/app", "both", ociImage, imageOf(ociImage, o.blob("latter")))
		for what, d := range map[string]oci.Digest{
			"a layer of a child":           oci.SHA256.Sum([]byte("layer of riscv")),
			"a child":                      f.riscv,
			"a layer of a former manifest": oci.SHA256.Sum([]byte("layer of former")),
		} {
			if err := h.DeleteBlob(t.Context(), h.name("org/app"), d); !errors.Is(err, oci.Unsupported) {
				t.Errorf("DELETE of %s: %v, want UNSUPPORTED", what, err)
			}
		}
		loose := o.blob("loose")
		if err := h.DeleteBlob(t.Context(), h.name("org/app"), loose); err != nil {
			t.Errorf("DELETE of a blob that nothing needs: %v", err)
		}
	})
}

// A record that is young says of all that it needs that it was renewed.
func TestWhatIsAdoptedIsYoung(t *testing.T) {
	withTimes(t, func(t *testing.T, o *original, h heir) {
		f := o.family("busybox", "1.0")
		time.Sleep(24 * time.Hour)
		h.gives("busybox", f.arm64.String(), dockerImage, f.arm64)
		for _, d := range []oci.Digest{
			f.outer, f.inner, f.amd64, f.arm64, f.riscv,
			oci.SHA256.Sum([]byte("layer of amd64")), oci.SHA256.Sum([]byte("layer of arm64")), oci.SHA256.Sum([]byte("layer of riscv")),
		} {
			info, err := h.store.Stat(t.Context(), path.Join("_local/blobs", d.String(), "data"))
			if age := time.Since(info.Modified); err != nil || age > time.Minute {
				t.Errorf("%s is %v old, %v", d, age, err)
			}
		}
	})
}

// watched is a store that takes a second for each record that is read, and counts.
type watched struct {
	storage.Driver
	mu     sync.Mutex
	opened map[string]int
	fault  func(name string) error
}

func (w *watched) Open(ctx context.Context, name string) (io.ReadSeekCloser, storage.Info, error) {
	w.mu.Lock()
	w.opened[name]++
	w.mu.Unlock()
	if strings.Contains(name, "/manifests/tag") {
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return nil, storage.Info{}, ctx.Err()
		}
	}
	if w.fault != nil {
		if err := w.fault(name); err != nil {
			return nil, storage.Info{}, err
		}
	}
	return w.Driver.Open(ctx, name)
}

func whileWatched(t *testing.T, test func(t *testing.T, o *original, h heir, w *watched)) {
	synctest.Test(t, func(t *testing.T) {
		w := &watched{Driver: memory.New(), opened: map[string]int{}}
		test(t, newOriginal(t, w), inherit(t, w), w)
	})
}

// However many ask, a repository is searched once, some tags at a time.
func TestARepositoryIsSearchedOnce(t *testing.T) {
	const tags = 160
	whileWatched(t, func(t *testing.T, o *original, h heir, w *watched) {
		var all []oci.Digest
		for i := range tags {
			all = append(all, o.manifest("busybox", fmt.Sprintf("tag%d", i), dockerImage, o.image(fmt.Sprint(i))))
		}
		loose := o.body(o.image("loose"))
		begin := time.Now()
		var asking sync.WaitGroup
		for range 20 {
			asking.Go(func() { h.misses("busybox", loose.String()) })
		}
		asking.Wait()
		if took := time.Since(begin); took > 11*time.Second {
			t.Errorf("the search took %v", took)
		}
		for i := range tags {
			if n := w.opened[o.record("busybox", fmt.Sprintf("tag%d", i))]; n != 1 {
				t.Fatalf("tag%d was read %d times, want once", i, n)
			}
		}
		begin = time.Now()
		h.gives("busybox", all[7].String(), dockerImage, all[7])
		if took := time.Since(begin); took > 3*time.Second {
			t.Errorf("the next answer took %v", took)
		}
	})
}

// A client that goes ends its search, and another one begins anew.
func TestAClientEndsItsSearch(t *testing.T) {
	whileWatched(t, func(t *testing.T, o *original, h heir, _ *watched) {
		var last oci.Digest
		for i := range 160 {
			last = o.manifest("busybox", fmt.Sprintf("tag%d", i), dockerImage, o.image(fmt.Sprint(i)))
		}
		begin := time.Now()
		leaving, leave := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer leave()
		if _, err := h.GetManifest(leaving, h.name("busybox"), h.ref(last.String())); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("GET: %v, want the end of its time", err)
		}
		if took := time.Since(begin); took > 2*time.Second {
			t.Errorf("the search ended after %v", took)
		}
		h.gives("busybox", last.String(), dockerImage, last)
	})
}

// A fault of the store is one of the answer; what is damaged hides nothing else.
func TestFaultsWhileSearching(t *testing.T) {
	whileWatched(t, func(t *testing.T, o *original, h heir, w *watched) {
		d := o.manifest("busybox", "good", dockerImage, o.image("good"))
		o.put(o.record("busybox", "damaged"), "{")
		garbage := o.manifest("busybox", "garbage", dockerList, "garbage")
		sibling := o.body(o.image("sibling"))
		o.manifest("busybox", "list", dockerList, indexOf(child{dockerList, garbage}, child{dockerImage, sibling}))
		o.manifest("busybox", "missing", dockerList, "missing")
		if err := w.Delete(t.Context(), path.Join("_local/blobs", oci.SHA256.Sum([]byte("missing")).String(), "data")); err != nil {
			t.Fatal(err)
		}
		w.fault = func(name string) error {
			if strings.HasSuffix(name, "/good") {
				return errors.New("the disk fails")
			}
			return nil
		}
		_, err := h.GetManifest(t.Context(), h.name("busybox"), h.ref(d.String()))
		if _, ok := oci.AsError(err); err == nil || ok {
			t.Errorf("GET: %v, want a fault of the server", err)
		}
		w.fault = nil
		h.gives("busybox", d.String(), dockerImage, d)
		h.gives("busybox", sibling.String(), dockerImage, sibling)
		h.gives("busybox", garbage.String(), dockerList, garbage) // as by its tag
	})
}

// An answer does not depend on whether it can be recorded.
func TestAStoreThatCannotBeWrittenTo(t *testing.T) {
	store := memory.New()
	d := newOriginal(t, store).manifest("busybox", "latest", dockerImage, imageOf(dockerImage, oci.SHA256.Sum(nil)))
	inherit(t, full{store}).gives("busybox", d.String(), dockerImage, d)
}

type full struct{ storage.Driver }

func (full) Put(context.Context, string, io.Reader, storage.Durability) error {
	return errors.New("the disk is full")
}
