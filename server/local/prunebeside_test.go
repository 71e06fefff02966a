package local_test

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"opendev.org/zuul/zuul-registry/server/local"
	"opendev.org/zuul/zuul-registry/server/oci"
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
