package local_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"iter"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"opendev.org/zuul/zuul-registry/server/local"
	"opendev.org/zuul/zuul-registry/server/oci"
	"opendev.org/zuul/zuul-registry/server/storage"
)

// counter numbers things from 0.
type counter struct{ n atomic.Int64 }

func (c *counter) next() int { return int(c.n.Add(1)) - 1 }
func (c *counter) last() int { return int(c.n.Load()) - 1 }

// client pushes goods as clients do: what he is told is there he does not push. It is a
// fault when the registry does not have then what it has said.
func (w *world) client(n oci.Name, g *goods, tags ...string) {
	w.Helper()
	for _, b := range g.blobs {
		_, err := w.StatBlob(w.Context(), n, g.algorithm.Sum([]byte(b)))
		if errors.Is(err, oci.BlobUnknown) {
			w.upload(n, b, g.algorithm)
			err = nil
		}
		w.ok(err)
	}
	for _, m := range g.manifests {
		_, err := w.RenewManifest(w.Context(), n, byDigest(m.Digest))
		if m.Digest == g.top.Digest && tags != nil {
			err = oci.Errorf(oci.ManifestUnknown, "by that tag")
		}
		if errors.Is(err, oci.ManifestUnknown) {
			var all []oci.Tag
			if m.Digest == g.top.Digest {
				for _, t := range tags {
					all = append(all, tagOf(t))
				}
			}
			err = w.PutManifest(w.Context(), n, m, all...)
		}
		w.ok(err)
	}
}

// The race that no time is too short for: whatever prune is at, between a look and a
// removal, between marking and sweeping, a pusher is told that what is about to go is
// there. What he has pushed then is whole, and stays so.
func TestAPushBesideAPrune(t *testing.T) {
	before := map[string]func(w *world, n oci.Name, g *goods){
		"to the same repository": func(w *world, n oci.Name, g *goods) { w.push(n, g, "old") },
		"to another repository":  func(w *world, n oci.Name, g *goods) { w.push(w.named("org/before"), g, "old") },
		"without a manifest":     func(w *world, n oci.Name, g *goods) { w.pushBlobs(n, g) },
		"from an upstream":       func(w *world, n oci.Name, g *goods) { w.fetch(n, g, "old") },
		"and a tag of another one": func(w *world, n oci.Name, g *goods) {
			w.push(n, g)
			w.push(n, image("another"), "latest")
		},
	}
	pushes := map[string]func(w *world, n oci.Name, g *goods){
		"HEAD": func(w *world, n oci.Name, g *goods) { w.client(n, g, "latest") },
		"PUT":  func(w *world, n oci.Name, g *goods) { w.push(n, g, "latest") },
	}
	for was, before := range before {
		for how, push := range pushes {
			for _, kind := range []string{"OCI image", "nested index", "artifact with subject", "unknown media type"} {
				t.Run(kind+" that was pushed "+was+", again by "+how, func(t *testing.T) {
					besideEachOperation(t, func(w *world) (meanwhile, after func()) {
						n, g := w.named("org/app"), stock(kind, "a", oci.SHA256)
						before(w, n, g)
						time.Sleep(2 * day)
						return func() { push(w, n, g) }, func() {
							w.isWhole(n, g, "latest")
							time.Sleep(day - time.Second)
							w.prune(local.Ages{Manifest: day, Upload: day, Cache: day})
							w.isWhole(n, g, "latest")
						}
					})
				})
			}
		}
	}
}

// A pusher is told that a manifest is there, and goes on with its digest.
func TestAManifestIsUsedAgainBesideAPrune(t *testing.T) {
	for _, by := range []string{"tag", "digest"} {
		for kind := range kinds {
			t.Run(kind+" by "+by, func(t *testing.T) {
				besideEachOperation(t, func(w *world) (meanwhile, after func()) {
					n, g := w.named("org/app"), stock(kind, "a", oci.SHA256)
					g.manifests = g.manifests[:len(g.manifests):len(g.manifests)]
					w.push(n, g, "latest")
					time.Sleep(2 * day)
					ref, known := byTag("latest"), false
					if by == "digest" {
						ref = byDigest(g.top.Digest)
					}
					list := &goods{algorithm: g.algorithm}
					list.index(oci.MediaTypeImageIndex, g.top)
					return func() {
							_, err := w.RenewManifest(w.Context(), n, ref)
							if known = err == nil; !known && !errors.Is(err, oci.ManifestUnknown) {
								w.Errorf("RenewManifest: %v", err)
							}
						}, func() {
							if !known {
								return
							}
							w.ok(w.readManifest(n, ref, g.top))
							w.pushManifests(n, list, "list")
							w.prune(local.Ages{Manifest: day, Upload: day, Cache: day})
							g.top.Digest = oci.Digest{} // its tag may be gone
							if kind != "artifact with subject" {
								w.isWhole(n, g)
							}
							w.isWhole(n, list, "list")
						}
				})
			})
		}
	}
}

// An index is pushed of images that have long been there, and nothing else is asked.
func TestAnIndexOfOldImagesBesideAPrune(t *testing.T) {
	besideEachOperation(t, func(w *world) (meanwhile, after func()) {
		n, g := w.named("org/app"), stock("nested index", "a", oci.SHA256)
		w.push(n, g)
		time.Sleep(2 * day)
		list, known := &goods{algorithm: g.algorithm}, false
		list.index(oci.MediaTypeDockerList, g.top, g.manifests[0])
		return func() {
				err := w.PutManifest(w.Context(), n, list.top, tagOf("list"))
				if known = err == nil; !known && !errors.Is(err, oci.ManifestBlobUnknown) {
					w.Errorf("PutManifest: %v", err)
				}
			}, func() {
				if known {
					w.isWhole(n, g)
					w.isWhole(n, list, "list")
				}
			}
	})
}

// What was fetched may be fetched again, but is whole or unknown, and no fault.
func TestAPullOfWhatWasFetchedBesideAPrune(t *testing.T) {
	besideEachOperation(t, func(w *world) (meanwhile, after func()) {
		n, g := w.named("org/app"), image("a")
		w.fetch(n, g, "latest")
		time.Sleep(2 * day)
		look := func() {
			for _, ref := range []oci.Reference{byTag("latest"), byDigest(g.top.Digest)} {
				m, _, err := w.FetchedManifest(w.Context(), n, ref)
				if err == nil && string(m.Content) != string(g.top.Content) || err != nil && !errors.Is(err, oci.ManifestUnknown) {
					w.Errorf("FetchedManifest %s: %q, %v", ref, m.Content, err)
				}
			}
		}
		return look, func() {
			look()
			w.fetch(n, g, "latest")
			w.wanted(n, byTag("latest"), g.top)
			w.ok(w.read(n, g.algorithm.Sum([]byte(g.blobs[0])), g.blobs[0]))
		}
	})
}

// So may what has a source: it is there, or a pusher is told that it is not.
func TestASourceIsReliedOnBesideAPrune(t *testing.T) {
	besideEachOperation(t, func(w *world) (meanwhile, after func()) {
		n, far := w.named("org/app"), oci.SHA256.Sum([]byte("far"))
		from := oci.PublicName{Namespace: "docker.io", Repository: "library/debian"}
		w.ok(w.KeepSource(w.Context(), n.Area, far, from))
		time.Sleep(2 * day)
		g := &goods{algorithm: oci.SHA256}
		g.add("application/x", `{"blobs":[{"mediaType":"application/x","size":3,"digest":"%s"}]}`, far)
		return func() {
				err := w.PutManifest(w.Context(), n, g.top, tagOf("latest"))
				if errors.Is(err, oci.ManifestBlobUnknown) {
					w.ok(w.KeepSource(w.Context(), n.Area, far, from))
					err = w.PutManifest(w.Context(), n, g.top, tagOf("latest"))
				}
				w.ok(err)
			}, func() {
				w.isWhole(n, g, "latest")
				if got, err := w.Source(w.Context(), n.Area, far); err != nil || got != from {
					w.Errorf("Source: %+v, %v", got, err)
				}
			}
	})
}

// A deletion beside a prune is done, and no fault.
func TestADeletionBesideAPrune(t *testing.T) {
	besideEachOperation(t, func(w *world) (meanwhile, after func()) {
		n, kept, g := w.named("org/app"), image("kept"), stock("artifact with subject", "a", oci.SHA256)
		w.push(n, g, "latest")
		w.push(n, kept, "kept")
		time.Sleep(2 * day)
		w.ok(w.store.Touch(w.Context(), recordObject(n, "latest")))
		w.ok(w.store.Touch(w.Context(), recordObject(n, "kept")))
		return func() { w.ok(w.DeleteManifest(w.Context(), n, byDigest(g.top.Digest))) }, func() {
			w.has(false, recordObject(n, "latest"))
			w.isWhole(n, kept, "kept")
			time.Sleep(day)
			w.ok(w.store.Touch(w.Context(), recordObject(n, "kept")))
			w.prune(local.Ages{Manifest: day, Upload: day, Cache: day})
			w.isLost(g)
		}
	})
}

// The moments that the contract of Expire is for, by name.
func TestAPusherIsToldBetweenALookAndARemoval(t *testing.T) {
	onEachKind(t, func(w *world, of func(string) *goods) {
		n, g := w.named("org/app"), of("a")
		w.pushBlobs(n, g)
		time.Sleep(2 * day)
		for _, b := range g.blobs {
			d := g.algorithm.Sum([]byte(b))
			there := func() { _, err := w.StatBlob(w.Context(), n, d); w.ok(err) }
			gone, err := w.through(once(w.store, "expire", blobObject(n.Area, d), there)).pruneWith(w.Context(), local.Pruning{Ages: ages, DryRun: false})
			w.ok(err)
			for _, r := range gone {
				if strings.Contains(r.Object, d.String()) {
					w.Errorf("%s is said to be removed", r.Object)
				}
			}
			w.ok(w.read(n, d, b))
			w.pushBlobs(n, g)
			time.Sleep(2 * day)
		}
	})
}

// A renewal that breaks off has not made the record young: that would say of all that it
// needs that it was renewed.
func TestARenewalThatBreaksOff(t *testing.T) {
	for _, ref := range []string{"tag", "digest"} {
		for kind := range kinds {
			t.Run(kind+" by "+ref, func(t *testing.T) {
				for at, more := 0, true; more; at++ {
					timed(t, func(w *world) {
						n, g := w.named("org/app"), stock(kind, "a", oci.SHA256)
						w.push(n, g, "latest")
						by := byTag("latest")
						if ref == "digest" {
							by = byDigest(g.top.Digest)
						}
						time.Sleep(2 * day)
						more = w.renewsThoughOneFails(n, g, by, at)
					})
				}
			})
		}
	}
}

// renewsThoughOneFails renews a manifest, where one of the objects cannot be touched, and
// then again, and says whether there was one to fail.
func (w *world) renewsThoughOneFails(n oci.Name, g *goods, ref oci.Reference, at int) bool {
	w.Helper()
	var touches counter
	broken := w.through(between{w.store, func(op, name string) error {
		if op == "touch" && touches.next() == at {
			return errDisk
		}
		return nil
	}})
	err := broken.renew(n, ref)
	if failed := touches.last() >= at; failed != (err != nil) {
		w.Errorf("RenewManifest where number %d of %d touches fails: %v", at, touches.last(), err)
	}
	w.ok(w.renew(n, ref))
	refs, err := g.top.References()
	w.ok(err)
	young := []string{recordObject(n, g.top.Digest.String()), recordObject(n, ref.String()), blobObject(n.Area, g.top.Digest)}
	for _, d := range refs.Mentioned {
		young = append(young, blobObject(n.Area, d))
	}
	for _, object := range young {
		if at := w.modified(object); !at.Equal(time.Now()) {
			w.Errorf("%s is %v old", object, time.Since(at))
		}
	}
	return touches.last() >= at
}

// A tag expires while it is renewed, and what is below it does at once: nothing must say
// then that all of it was renewed.
func TestATagExpiresWhileItIsRenewed(t *testing.T) {
	for what, digests := range map[string]bool{"with its digests": true, "of the original, which records tags alone": false} {
		for _, by := range []string{"tag", "digest"} {
			t.Run(what+", by "+by, func(t *testing.T) {
				timed(t, func(w *world) {
					n, g := w.named("org/app"), stock("OCI index", "a", oci.SHA256)
					w.push(n, g, "latest")
					time.Sleep(2 * day)
					digest, ref := recordObject(n, g.top.Digest.String()), byTag("latest")
					if by == "digest" {
						ref = byDigest(g.top.Digest)
					}
					if !digests {
						for _, m := range g.manifests {
							w.ok(w.store.Delete(w.Context(), recordObject(n, m.Digest.String())))
						}
					}
					gone := "latest"
					if digests && by == "digest" {
						gone = g.top.Digest.String()
					}
					expire := func() { w.ok(w.store.Delete(w.Context(), recordObject(n, gone))) }
					err := w.through(once(w.store, "stat", blobObject(n.Area, g.top.Digest), expire)).renew(n, ref)
					if by == "digest" && !digests { // which looks at the body first
						err = w.through(once(w.store, "touch", blobObject(n.Area, g.top.Digest), expire)).renew(n, ref)
					}
					if !errors.Is(err, oci.ManifestUnknown) {
						w.Errorf("RenewManifest: %v, want MANIFEST_UNKNOWN", err)
					}
					info, err := w.store.Stat(w.Context(), digest)
					if err == nil && time.Since(info.Modified) < day {
						w.Error("the digest is recorded, or young")
					}
				})
			})
		}
	}
}

// loose is a store that does no more than it has to: what is stored in the place of an
// object that is just being removed is lost, unless somebody has touched that before.
type loose struct {
	storage.Driver
	expiring func(name string) // called when an object is found to be old, and is not yet removed

	mu      sync.Mutex
	touched map[string]int
}

func (l *loose) touches(name string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.touched[name]
}

func (l *loose) Touch(ctx context.Context, name string) error {
	err := l.Driver.Touch(ctx, name)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		l.touched[name]++
	}
	return err
}

func (l *loose) Expire(ctx context.Context, name string, moment time.Time) (bool, error) {
	before := l.touches(name)
	info, err := l.Driver.Stat(ctx, name)
	if err != nil || info.Modified.After(moment) {
		return false, nil
	}
	l.expiring(name)
	if l.touches(name) > before {
		return false, nil
	}
	return true, l.Driver.Delete(ctx, name)
}

// Whatever is stored in the place of something old is there afterwards.
func TestStoresInThePlaceOfWhatExpires(t *testing.T) {
	from := oci.PublicName{Namespace: "quay.io", Repository: "a"}
	for what, tt := range map[string]struct {
		store func(w *world, n oci.Name, g *goods)
		there func(w *world, n oci.Name, g *goods)
	}{
		"a push": {
			func(w *world, n oci.Name, g *goods) { w.push(n, g, "latest") },
			func(w *world, n oci.Name, g *goods) { w.isWhole(n, g, "latest") },
		},
		"what was fetched": {
			func(w *world, n oci.Name, g *goods) { w.fetch(n, g, "latest") },
			func(w *world, n oci.Name, g *goods) {
				w.wanted(n, byTag("latest"), g.top)
				w.wanted(n, byDigest(g.top.Digest), g.top)
				w.ok(w.read(n, g.algorithm.Sum([]byte(g.blobs[0])), g.blobs[0]))
			},
		},
		"a source": {
			func(w *world, n oci.Name, g *goods) { w.ok(w.KeepSource(w.Context(), n.Area, g.top.Digest, from)) },
			func(w *world, n oci.Name, g *goods) { w.has(true, sourceObject(n.Area, g.top.Digest)) },
		},
	} {
		t.Run(what, func(t *testing.T) {
			for at, more := 0, true; more; at++ {
				timed(t, func(w *world) {
					n, g := w.named("org/app"), stock("artifact with subject", "a", oci.SHA256)
					tt.store(w, n, g)
					time.Sleep(2 * day)
					var expires counter
					store := &loose{Driver: w.store, touched: map[string]int{}}
					through := w.through(store)
					store.expiring = func(string) {
						if expires.next() == at {
							tt.store(through, n, g)
						}
					}
					through.prune(local.Ages{Manifest: day, Upload: day, Cache: day})
					if more = expires.last() >= at; more {
						tt.there(w, n, g)
					}
				})
			}
		})
	}
}

// late is a store whose lists lack what was stored in the last hour.
type late struct{ storage.Driver }

func (l late) List(ctx context.Context, directory, after string) iter.Seq2[storage.Entry, error] {
	return func(yield func(storage.Entry, error) bool) {
		for e, err := range l.Driver.List(ctx, directory, after) {
			if err == nil && l.isNew(ctx, path.Join(directory, e.Name)) {
				continue
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

func (l late) isNew(ctx context.Context, name string) bool {
	for _, object := range []string{name, name + "/data"} {
		if info, err := l.Driver.Stat(ctx, object); err == nil && time.Since(info.Modified) < time.Hour {
			return true
		}
	}
	return false
}

// Lists may be late by less than an hour: what a push needs is young then.
func TestLateLists(t *testing.T) {
	onEachKind(t, func(w *world, of func(string) *goods) {
		n, old, g := w.named("org/app"), w.named("org/before"), of("a")
		w.push(old, g, "old")
		time.Sleep(100 * day)
		w.client(n, g, "latest")
		for range 5 {
			time.Sleep(10 * time.Minute)
			w.through(late{w.store}).prune(ages)
			w.isWhole(n, g, "latest")
		}
		time.Sleep(day)
		w.through(late{w.store}).prune(ages)
		w.isWhole(n, g, "latest")
	})
}

// So are the parts of a blob that took long to upload.
func TestLateListsOfParts(t *testing.T) {
	w := onPretended(t)
	n, d := w.named("org/app"), oci.SHA256.Sum(content)
	id := w.begin(n, string(content[:len(content)/2]))
	u := w.resume(n, id)
	w.ok(u.Append(t.Context(), u.Size(), bytes.NewReader(content[u.Size():])))
	w.ok(u.Close(t.Context()))
	w.age(2 * day)
	w.ageUpload(n, id, 2*day)
	commit(t, w.Registry, n, w.resume(n, id))
	w.through(late{w.store}).prune(ages)
	w.ok(w.read(n, d, string(content)))
}

// ageUpload makes an upload begin earlier.
func (w swiftWorld) ageUpload(n oci.Name, id string, by time.Duration) {
	w.Helper()
	name := uploadObject(n.Area, id)
	f, _, err := w.store.Open(w.Context(), name)
	w.ok(err)
	var state map[string]any
	w.ok(json.NewDecoder(f).Decode(&state))
	w.ok(f.Close())
	begun, err := time.Parse(time.RFC3339Nano, state["begun"].(string))
	w.ok(err)
	state["begun"] = begun.Add(-by)
	w.put(name, inJSON(state))
}
