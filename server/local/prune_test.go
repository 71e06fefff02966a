package local_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"opendev.org/zuul/zuul-registry/server/local"
	"opendev.org/zuul/zuul-registry/server/oci"
	"opendev.org/zuul/zuul-registry/server/storage/filesystem"
)

// rules runs a test for each rule, in a time of its own.
func rules(t *testing.T, all map[string]func(w *world)) {
	t.Helper()
	for rule, test := range all {
		t.Run(rule, func(t *testing.T) { timed(t, test) })
	}
}

// What the prune of the original lost, each with every kind of manifest.

func TestBlobsOfAllRepositoriesStay(t *testing.T) {
	onEachKind(t, func(w *world, of func(string) *goods) {
		pushed := map[string]*[]oci.Name{}
		for i, salts := range []string{"a", "b", "a", "c"} {
			for _, area := range []string{"", "quay.io//"} {
				n := w.named(fmt.Sprintf("%sorg/app-%d", area, i))
				w.push(n, of(salts), "latest")
				if pushed[salts] == nil {
					pushed[salts] = new([]oci.Name)
				}
				*pushed[salts] = append(*pushed[salts], n)
			}
		}
		time.Sleep(29 * day)
		w.prune(ages)
		time.Sleep(1000 * day)
		w.prune(local.Ages{Upload: day, Cache: day})
		for salt, repositories := range pushed {
			for _, n := range *repositories {
				w.isWhole(n, of(salt), "latest")
			}
		}
	})
}

// All that a tag needs is as old as can be, and nothing else refers to it.
func TestAYoungTagKeepsAllThatItNeeds(t *testing.T) {
	onEachKind(t, func(w *world, of func(string) *goods) {
		n, kept, lost := w.named("org/app"), of("kept"), of("lost")
		w.push(n, kept, "latest", "old")
		w.push(n, lost, "lost")
		w.push(w.named("org/other"), lost, "lost")
		time.Sleep(1000 * day)
		w.ok(w.store.Touch(w.Context(), recordObject(n, "latest")))
		w.prune(ages)
		w.isWhole(n, kept, "latest")
		if _, err := w.GetManifest(w.Context(), n, byTag("old")); !errors.Is(err, oci.ManifestUnknown) {
			w.Errorf("the old tag: %v, want MANIFEST_UNKNOWN", err)
		}
		w.isLost(lost)
		w.has(false, recordObject(n, "lost"), recordObject(w.named("org/other"), "lost"))
	})
}

func TestAllThatHasExpiredGoes(t *testing.T) {
	onEachKind(t, func(w *world, of func(string) *goods) {
		for _, name := range []string{"org/app", "other", "quay.io//org/app"} {
			w.push(w.named(name), of("a"), "latest")
			w.push(w.named(name), of("b"))
		}
		time.Sleep(30 * day)
		w.prune(ages)
		if left := w.objects(); left != nil {
			w.Errorf("what is left: %q", left)
		}
	})
}

// Whoever uploads takes his time until he pushes the manifest.
func TestLayersAwaitTheirManifest(t *testing.T) {
	onEachKind(t, func(w *world, of func(string) *goods) {
		n, g := w.named("org/app"), of("a")
		w.pushBlobs(n, g)
		for range 23 {
			time.Sleep(time.Hour)
			w.prune(ages)
		}
		w.pushManifests(n, g, "latest")
		time.Sleep(2 * day)
		w.prune(ages)
		w.isWhole(n, g, "latest")
	})
}

func TestBlobsWithoutManifestGo(t *testing.T) {
	onEachKind(t, func(w *world, of func(string) *goods) {
		w.pushBlobs(w.named("org/app"), of("a"))
		time.Sleep(day)
		w.prune(ages)
		if left := w.objects(); left != nil {
			w.Errorf("what is left: %q", left)
		}
	})
}

// told are the ways in which a pusher is told that a blob is there.
var told = map[string]func(w *world, n oci.Name, content string, d oci.Digest){
	"HEAD": func(w *world, n oci.Name, _ string, d oci.Digest) {
		_, err := w.StatBlob(w.Context(), n, d)
		w.ok(err)
	},
	"mount": func(w *world, n oci.Name, _ string, d oci.Digest) {
		_, err := w.MountBlob(w.Context(), n, w.named("org/before"), d)
		w.ok(err)
	},
	"mount from anywhere": func(w *world, n oci.Name, _ string, d oci.Digest) {
		_, err := w.MountBlob(w.Context(), n, oci.Name{}, d)
		w.ok(err)
	},
	"PUT of an upload": func(w *world, n oci.Name, content string, d oci.Digest) { w.upload(n, content, d.Algorithm()) },
	"another manifest": func(w *world, n oci.Name, content string, d oci.Digest) {
		g := &goods{algorithm: d.Algorithm()}
		g.add("application/x-other", `{"blobs":%s}`, g.list("application/x", content))
		w.pushManifests(w.named("org/another"), g)
	},
	"what a manifest misses": func(w *world, n oci.Name, content string, d oci.Digest) {
		g := &goods{algorithm: d.Algorithm()}
		missing, err := w.Missing(w.Context(), n, g.add("application/x-other", `{"blobs":%s}`, g.list("application/x", content)))
		if w.ok(err); missing.Blobs != nil {
			w.Fatalf("%v is missing", missing.Blobs)
		}
	},
}

// A layer from long ago is used again: the pusher is told that it is there, and prune
// comes before his manifest does.
func TestOldLayersAreUsedAgain(t *testing.T) {
	for way, tell := range told {
		t.Run(way, func(t *testing.T) {
			onEachKind(t, func(w *world, of func(string) *goods) {
				n, g := w.named("org/app"), of("a")
				w.pushBlobs(w.named("org/before"), g)
				time.Sleep(100 * day)
				for _, b := range g.blobs {
					tell(w, n, b, g.algorithm.Sum([]byte(b)))
				}
				time.Sleep(day - time.Hour)
				w.prune(local.Ages{Manifest: time.Hour, Upload: day, Cache: day})
				w.pushManifests(n, g, "latest")
				w.isWhole(n, g, "latest")
				time.Sleep(day)
				w.prune(ages)
				w.isWhole(n, g, "latest")
			})
		})
	}
}

// So is a manifest: the pusher need not push what he is told is there.
func TestOldManifestsAreUsedAgain(t *testing.T) {
	for _, ref := range []string{"tag", "digest"} {
		t.Run(ref, func(t *testing.T) {
			onEachKind(t, func(w *world, of func(string) *goods) {
				n, g := w.named("org/app"), of("a")
				w.push(n, g, "latest")
				time.Sleep(100 * day)
				by := byTag("latest")
				if ref == "digest" {
					by = byDigest(g.top.Digest)
				}
				d, err := w.RenewManifest(w.Context(), n, by)
				if w.ok(err); d.Digest != g.top.Digest || d.MediaType != g.top.MediaType || d.Size != g.top.Size {
					w.Errorf("RenewManifest: %+v, want %+v", d, g.top.Descriptor)
				}
				time.Sleep(day - time.Hour)
				w.prune(local.Ages{Manifest: day, Upload: day, Cache: day})
				w.ok(w.readManifest(n, by, g.top))
				list := &goods{algorithm: g.algorithm}
				w.ok(w.PutManifest(w.Context(), n, list.index(oci.MediaTypeImageIndex, g.top), tagOf("list")))
				time.Sleep(day - time.Hour)
				w.prune(local.Ages{Manifest: day, Upload: day, Cache: day})
				w.isWhole(n, g)
			})
		})
	}
}

// A manifest that is gone keeps nobody from pruning.
func TestAManifestIsAlreadyGone(t *testing.T) {
	onEachKind(t, func(w *world, of func(string) *goods) {
		n, g := w.named("org/app"), of("lost")
		w.push(n, g, "latest")
		w.push(n, of("whole"), "whole")
		for _, m := range g.manifests {
			w.ok(w.store.Delete(w.Context(), blobObject(n.Area, m.Digest)))
		}
		time.Sleep(2 * day)
		w.prune(ages)
		if !strings.Contains(w.log.String(), "level=WARN") || !strings.Contains(w.log.String(), g.top.Digest.String()) {
			w.Errorf("the log does not say that it is not there: %s", w.log)
		}
		for _, b := range g.blobs {
			if !slices.Contains(of("whole").blobs, b) {
				w.has(false, blobObject(n.Area, g.algorithm.Sum([]byte(b))))
			}
		}
		w.has(true, recordObject(n, "latest"), recordObject(n, g.top.Digest.String()))
		w.isWhole(n, of("whole"), "whole")
		time.Sleep(30 * day)
		w.prune(ages)
		if left := w.objects(); left != nil {
			w.Errorf("what is left: %q", left)
		}
	})
}

func TestAnUploadGoesOn(t *testing.T) {
	onEachKind(t, func(w *world, of func(string) *goods) {
		n, g := w.named("org/app"), of("a")
		for _, b := range g.blobs {
			id := w.begin(n, "")
			for i := range b {
				u, err := w.ResumeUpload(w.Context(), n, id)
				w.ok(err)
				w.ok(u.Append(w.Context(), int64(i), strings.NewReader(b[i:i+1])))
				w.ok(u.Close(w.Context()))
				time.Sleep(time.Hour)
				w.prune(local.Ages{Upload: 2 * time.Hour, Cache: day})
			}
			u, err := w.ResumeUpload(w.Context(), n, id)
			w.ok(err)
			_, err = u.Commit(w.Context(), g.algorithm.Sum([]byte(b)))
			w.ok(err)
		}
		w.pushBlobs(n, g)
		w.pushManifests(n, g)
		w.prune(local.Ages{Upload: 2 * time.Hour, Cache: day})
		w.isWhole(n, g)
	})
}

// isLost asserts that nothing of some goods is in the store, but for what others share.
func (w *world) isLost(g *goods) {
	w.Helper()
	for _, object := range w.objects() {
		for _, m := range g.manifests {
			if strings.Contains(object, m.Digest.String()) {
				w.Errorf("%s is left", object)
			}
		}
		for _, b := range g.blobs {
			if b != "{}" && b != "shared layer" && strings.Contains(object, g.algorithm.Sum([]byte(b)).String()) {
				w.Errorf("%s is left, of %q", object, b)
			}
		}
	}
}

func TestPruningOfTagsAndDigests(t *testing.T) {
	rules(t, map[string]func(w *world){
		"an old tag goes, and its manifest stays with a newer tag": func(w *world) {
			n, g := w.named("org/app"), image("a")
			w.push(n, g, "old")
			time.Sleep(20 * day)
			w.push(n, g, "new")
			time.Sleep(20 * day)
			w.prune(ages)
			w.isWhole(n, g, "new")
			w.has(false, recordObject(n, "old"))
		},
		"a tag that has moved leaves what it named to age": func(w *world) {
			n, first, second := w.named("org/app"), image("first"), image("second")
			w.push(n, first, "latest")
			time.Sleep(20 * day)
			w.push(n, second, "latest")
			time.Sleep(9 * day)
			w.prune(ages)
			w.isWhole(n, first)
			time.Sleep(day)
			w.prune(ages)
			w.isLost(first)
			w.isWhole(n, second, "latest")
		},
		"what was pushed without a tag stays as long as what has one": func(w *world) {
			n, bare, with := w.named("org/app"), image("bare"), image("with")
			w.push(n, bare)
			w.push(n, with, "latest")
			time.Sleep(30*day - time.Second)
			w.prune(ages)
			w.isWhole(n, bare)
			w.isWhole(n, with, "latest")
			time.Sleep(time.Second)
			w.prune(ages)
			w.isEmpty()
		},
		"what is pushed again is young again": func(w *world) {
			n, g := w.named("org/app"), image("a")
			for range 5 {
				w.push(n, g, "latest")
				time.Sleep(29 * day)
				w.prune(ages)
				w.isWhole(n, g, "latest")
			}
		},
		"without an age they stay for ever": func(w *world) {
			n, g := w.named("org/app"), image("a")
			w.push(n, g, "latest")
			w.push(n, image("b"))
			time.Sleep(10_000 * day)
			if gone := w.prune(local.Ages{Upload: 1, Cache: 1}); gone != nil {
				w.Errorf("gone: %q", names(gone))
			}
			w.isWhole(n, g, "latest")
		},
		"nothing goes before its age": func(w *world) {
			n := w.named("org/app")
			w.push(n, image("a"), "latest")
			w.upload(n, "loose", oci.SHA256)
			w.begin(n, "unfinished")
			w.ok(w.KeepManifest(w.Context(), n, image("fetched").top, tagOf("fetched")))
			w.ok(w.KeepSource(w.Context(), n.Area, image("elsewhere").top.Digest, oci.PublicName{Namespace: "quay.io", Repository: "a"}))
			time.Sleep(day - 1)
			if gone := w.prune(local.Ages{Manifest: day, Upload: day, Cache: day}); gone != nil {
				w.Errorf("gone: %q", names(gone))
			}
			time.Sleep(time.Nanosecond)
			w.prune(local.Ages{Manifest: day, Upload: day, Cache: day})
			w.isEmpty()
		},
		"a manifest of two repositories stays in the one where it is young": func(w *world) {
			old, young, g := w.named("org/old"), w.named("org/young"), image("a")
			w.push(old, g, "latest")
			time.Sleep(20 * day)
			w.push(young, g, "latest")
			time.Sleep(20 * day)
			w.prune(ages)
			w.isWhole(young, g, "latest")
			w.has(false, recordObject(old, "latest"), recordObject(old, g.top.Digest.String()))
		},
		"a layer of two repositories stays as long as one needs it": func(w *world) {
			old, young := w.named("org/old"), w.named("org/young")
			w.push(old, image("old"), "latest")
			time.Sleep(20 * day)
			w.push(young, image("young"), "latest")
			time.Sleep(20 * day)
			w.prune(ages)
			w.isLost(image("old"))
			w.isWhole(young, image("young"), "latest")
		},
		"an index keeps older images, and their digests": func(w *world) {
			n, g := w.named("org/app"), stock("nested index", "a", oci.SHA256)
			for _, b := range g.blobs {
				w.upload(n, b, g.algorithm)
			}
			for i, m := range g.manifests {
				w.ok(w.PutManifest(w.Context(), n, m, tagOf(fmt.Sprint("number-", i))))
			}
			time.Sleep(100 * day)
			w.ok(w.store.Touch(w.Context(), recordObject(n, g.top.Digest.String())))
			w.prune(ages)
			w.isWhole(n, g)
			for i := range g.manifests {
				w.has(false, recordObject(n, fmt.Sprint("number-", i)))
			}
		},
		"an index does not stay for its images": func(w *world) {
			n, g := w.named("org/app"), stock("OCI index", "a", oci.SHA256)
			w.push(n, g, "latest")
			time.Sleep(100 * day)
			first := g.manifests[0]
			w.ok(w.store.Touch(w.Context(), recordObject(n, first.Digest.String())))
			w.prune(ages)
			w.ok(w.readManifest(n, byDigest(first.Digest), first))
			w.has(false, blobObject(n.Area, g.manifests[1].Digest), blobObject(n.Area, g.top.Digest))
		},
		"an image whose digest is not recorded stays with its index": func(w *world) {
			n, g := w.named("org/app"), stock("nested index", "a", oci.SHA512)
			w.push(n, g, "latest")
			for _, m := range g.manifests {
				w.ok(w.store.Delete(w.Context(), recordObject(n, m.Digest.String())))
			}
			time.Sleep(2 * day)
			w.prune(ages)
			for _, b := range g.blobs {
				w.ok(w.read(n, g.algorithm.Sum([]byte(b)), b))
			}
			for _, m := range g.manifests {
				w.ok(w.read(n, m.Digest, string(m.Content)))
			}
		},
		"an image that an index of another repository has stays without its digest": func(w *world) {
			n, other, g := w.named("org/app"), w.named("org/other"), stock("OCI index", "a", oci.SHA256)
			w.push(n, &goods{algorithm: g.algorithm, blobs: g.blobs, manifests: g.manifests[:1]}, "image")
			time.Sleep(20 * day)
			w.push(other, g, "latest")
			time.Sleep(20 * day)
			w.prune(ages)
			w.isWhole(other, g, "latest")
			w.has(false, recordObject(n, g.manifests[0].Digest.String()))
		},
		"a manifest that an unknown type names stays with it": func(w *world) {
			n, g := w.named("org/app"), image("inside")
			inside := g.top
			g.add("application/x-box", `{"content":{"what":%s}}`, inJSON(inside.Descriptor))
			w.push(n, g, "box")
			time.Sleep(100 * day)
			w.ok(w.store.Touch(w.Context(), recordObject(n, "box")))
			w.prune(ages)
			w.isWhole(n, g, "box")
		},
		"an image under an older name stays with an index under ours": func(w *world) {
			ours, older, g := w.named("library/app"), w.named("app"), stock("OCI index", "a", oci.SHA256)
			w.push(older, &goods{algorithm: g.algorithm, blobs: g.blobs, manifests: g.manifests[:2]})
			time.Sleep(20 * day)
			w.Registry = local.New(w.store, local.Options{Older: func(n oci.Name) []oci.Name {
				if n == ours {
					return []oci.Name{older}
				}
				return nil
			}})
			w.ok(w.PutManifest(w.Context(), ours, g.top, tagOf("latest")))
			time.Sleep(20 * day)
			w.prune(ages)
			w.isWhole(ours, g, "latest")
			if left := objects(w.T, w.store, "_local/repos/app"); left != nil {
				w.Errorf("left: %q", left)
			}
		},
		"of the types that the original kept for a tag, all stay": func(w *world) {
			n, first, second := w.named("org/app"), image("first"), image("second")
			w.push(n, first)
			w.push(n, second)
			time.Sleep(100 * day)
			w.put(recordObject(n, "latest"), `{"a/b":"`+first.top.Digest.String()+`","c/d":"`+second.top.Digest.String()+`"}`)
			w.prune(ages)
			w.isWhole(n, first)
			w.isWhole(n, second)
		},
		"a repository of any name is looked at": func(w *world) {
			for _, name := range []string{"a", "a/b", "a-b/c", "manifests", "a/manifests", "manifests/manifests/b", "blobs/data"} {
				w.push(w.named(name), image(name), "latest")
			}
			time.Sleep(2 * day)
			w.prune(ages)
			for _, name := range []string{"a", "a/b", "a-b/c", "manifests", "a/manifests", "manifests/manifests/b", "blobs/data"} {
				w.isWhole(w.named(name), image(name), "latest")
			}
		},
		"what was deleted leaves its content to age": func(w *world) {
			n, g := w.named("org/app"), stock("nested index", "a", oci.SHA256)
			w.push(n, g, "latest")
			time.Sleep(2 * day)
			for _, m := range g.manifests {
				w.ok(w.DeleteManifest(w.Context(), n, byDigest(m.Digest)))
			}
			w.prune(ages)
			w.isEmpty()
		},
		"areas share nothing": func(w *world) {
			here, there, g := w.named("org/app"), w.named("quay.io//org/app"), image("a")
			w.push(here, g, "latest")
			time.Sleep(20 * day)
			w.push(there, g, "latest")
			time.Sleep(20 * day)
			w.prune(ages)
			w.isWhole(there, g, "latest")
			if left := objects(w.T, w.store, "_local"); left != nil {
				w.Errorf("left: %q", left)
			}
		},
		"what is not ours is left alone": func(w *world) {
			for _, object := range []string{"lost+found/x", "_prune", "README", "_local/README", "_local/other/x", "_local/blobs/README",
				"_local/blobs/sha384:abc/data", "_local/blobs/sha384:abc/1", "_local/blobs/x/y/z", "Quay.io/blobs/x/1"} {
				w.put(object, "x")
			}
			before := w.objects()
			time.Sleep(1000 * day)
			w.prune(ages)
			if after := w.objects(); !slices.Equal(before, after) {
				w.Errorf("left: %q, want %q", after, before)
			}
		},
	})
}

func (w *world) isEmpty() {
	w.Helper()
	if left := w.objects(); left != nil {
		w.Errorf("what is left: %q", left)
	}
}

// Signatures and the like.
func TestPruningOfReferrers(t *testing.T) {
	rules(t, map[string]func(w *world){
		"referrers stay with their subject, and theirs with them": func(w *world) {
			n, g, chain := w.named("org/app"), image("a"), []oci.Manifest(nil)
			top := g.top
			for i := range 5 {
				top = g.about(top.Descriptor, fmt.Sprint("signature ", i))
				chain = append(chain, top)
			}
			w.push(n, g, "latest")
			time.Sleep(100 * day)
			w.ok(w.store.Touch(w.Context(), recordObject(n, "latest")))
			w.prune(ages)
			w.isWhole(n, g, "latest")
			w.ok(w.store.Delete(w.Context(), recordObject(n, "latest")))
			w.ok(w.store.Touch(w.Context(), recordObject(n, chain[2].Digest.String())))
			w.prune(ages)
			for i, m := range chain {
				if got := w.isListed(n, m) == nil; got != (i >= 2) {
					w.Errorf("number %d is listed: %v", i, got)
				}
			}
			w.has(false, blobObject(n.Area, g.top.Digest), entryObject(n, g.top.Digest, chain[0].Digest))
		},
		"a referrer does not keep its subject": func(w *world) {
			n, g := w.named("org/app"), stock("artifact with subject", "a", oci.SHA256)
			w.push(n, g, "latest")
			time.Sleep(100 * day)
			signature := g.manifests[1]
			w.ok(w.store.Touch(w.Context(), recordObject(n, signature.Digest.String())))
			w.prune(ages)
			w.ok(w.readManifest(n, byDigest(signature.Digest), signature))
			w.ok(w.isListed(n, signature))
			w.has(false, blobObject(n.Area, g.top.Digest), recordObject(n, "latest"))
		},
		"a referrer without its subject stays while it is young": func(w *world) {
			n, g := w.named("org/app"), &goods{algorithm: oci.SHA256}
			m := g.about(oci.Descriptor{MediaType: "application/x", Digest: oci.SHA256.Sum([]byte("nowhere")), Size: 7}, "signature")
			w.push(n, g)
			time.Sleep(29 * day)
			w.prune(ages)
			w.ok(w.isListed(n, m))
			time.Sleep(day)
			w.prune(ages)
			w.isEmpty()
		},
		"a referrer of an index's image stays": func(w *world) {
			n, g := w.named("org/app"), stock("nested index", "a", oci.SHA256)
			g.about(g.manifests[0].Descriptor, "signature of an image")
			w.push(n, g, "latest")
			time.Sleep(100 * day)
			w.ok(w.store.Touch(w.Context(), recordObject(n, "latest")))
			w.prune(ages)
			w.isWhole(n, g, "latest")
		},
		"an index among the referrers keeps its images": func(w *world) {
			n, g := w.named("org/app"), image("a")
			other := stock("OCI index", "b", oci.SHA256)
			g.blobs, g.manifests = append(g.blobs, other.blobs...), append(g.manifests, other.manifests[:2]...)
			top := g.top
			g.add(oci.MediaTypeImageIndex, `{"schemaVersion":2,"manifests":[%s,%s],"subject":%s}`,
				inJSON(other.manifests[0].Descriptor), inJSON(other.manifests[1].Descriptor), inJSON(top.Descriptor))
			g.about(other.manifests[1].Descriptor, "signature of one of its images")
			g.top = top
			w.push(n, g, "latest")
			time.Sleep(100 * day)
			w.ok(w.store.Touch(w.Context(), recordObject(n, "latest")))
			w.prune(ages)
			w.isWhole(n, g, "latest")
		},
		"a referrer in another repository is not one": func(w *world) {
			n, other, g := w.named("org/app"), w.named("org/other"), stock("artifact with subject", "a", oci.SHA256)
			w.push(n, image("a"), "latest")
			w.push(other, g)
			time.Sleep(100 * day)
			w.push(n, &goods{algorithm: g.algorithm, blobs: g.blobs, manifests: g.manifests[:1], top: g.top}, "latest")
			w.prune(ages)
			for _, m := range g.manifests[1:] {
				w.has(false, recordObject(other, m.Digest.String()), blobObject(n.Area, m.Digest))
			}
		},
		"an entry of a manifest that is gone goes": func(w *world) {
			n, g := w.named("org/app"), stock("artifact with subject", "a", oci.SHA256)
			w.push(n, g, "latest")
			for _, m := range g.manifests[1:] {
				w.ok(w.store.Delete(w.Context(), recordObject(n, m.Digest.String())))
			}
			time.Sleep(day)
			w.prune(ages)
			if left := objects(w.T, w.store, "_local/referrers"); left != nil {
				w.Errorf("left: %q", left)
			}
			w.isWhole(n, alone(g), "latest")
		},
	})
}

// alone are goods without their referrers.
func alone(g *goods) *goods {
	refs, err := g.top.References()
	if err != nil {
		panic(err)
	}
	only := &goods{algorithm: g.algorithm, manifests: []oci.Manifest{g.top}, top: g.top}
	for _, b := range g.blobs {
		for _, d := range refs.Blobs {
			if d.Digest == g.algorithm.Sum([]byte(b)) {
				only.blobs = append(only.blobs, b)
			}
		}
	}
	return only
}

// A tag may say what it belongs to.
func TestTagsThatAreCalledAfterADigest(t *testing.T) {
	for _, a := range []oci.Algorithm{oci.SHA256, oci.SHA512} {
		called := func(m oci.Manifest, suffix string) string { // "Referrers Tag Schema" of the specification
			_, digits, _ := strings.Cut(m.Digest.String(), ":")
			return string(a) + "-" + digits[:64] + suffix
		}
		for _, suffix := range []string{"", ".sig", ".att", ".sbom", ".a.b"} {
			t.Run(string(a)+suffix, func(t *testing.T) {
				timed(t, func(w *world) {
					n, g, signature := w.named("org/app"), stock("OCI index", "a", a), stock("OCI index", "signature", a)
					w.push(n, g, "latest")
					w.push(n, signature, called(g.top, suffix))
					ofImage, ofSignature := stock("Docker image", "of an image", a), stock("artifact with subject", "of the signature", a)
					w.push(n, ofImage, called(g.manifests[0], suffix))
					w.push(n, ofSignature, called(signature.top, suffix))
					other := image("other")
					w.push(n, other, called(other.top, suffix), called(stock("OCI image", "nowhere", a).top, suffix))
					time.Sleep(100 * day)
					w.ok(w.store.Touch(w.Context(), recordObject(n, "latest")))
					w.prune(ages)
					w.isWhole(n, g, "latest")
					w.isWhole(n, signature, called(g.top, suffix))
					w.isWhole(n, ofImage, called(g.manifests[0], suffix))
					w.isWhole(n, ofSignature, called(signature.top, suffix))
					w.isLost(other)
					w.ok(w.store.Delete(w.Context(), recordObject(n, "latest")))
					w.prune(ages)
					w.isEmpty()
				})
			})
		}
	}
}

func TestTagsThatAreNotCalledAfterADigest(t *testing.T) {
	timed(t, func(w *world) {
		n, g, signature := w.named("org/app"), image("a"), image("signature")
		w.push(n, g, "latest")
		_, digits, _ := strings.Cut(g.top.Digest.String(), ":")
		tags := []string{"sha256-", "sha256-" + digits[:63], "sha256-" + digits + "0", "sha512-" + digits, "SHA256-" + digits, "x-sha256-" + digits,
			"sha256-" + strings.ToUpper(digits), "sha256_" + digits, "sha256-" + digits + "-sig", "." + digits, "sha256." + digits}
		for _, tag := range tags {
			if _, err := oci.ParseTag(tag); err == nil {
				w.push(n, signature, tag)
			}
		}
		time.Sleep(100 * day)
		w.ok(w.store.Touch(w.Context(), recordObject(n, "latest")))
		w.prune(ages)
		w.isLost(signature)
		w.isWhole(n, g, "latest")
		if left := objects(w.T, w.store, "_local/repos"); len(left) != 2 {
			w.Errorf("left: %q", left)
		}
	})
}

// The time of what is needed is that of whoever needs it.
func TestAnIndexMakesYoungWhatItNeeds(t *testing.T) {
	for name, put := range map[string]func(w *world, n oci.Name, g *goods) error{
		"PutManifest":   func(w *world, n oci.Name, g *goods) error { return w.PutManifest(w.Context(), n, g.top) },
		"RenewManifest": func(w *world, n oci.Name, g *goods) error { return w.renew(n, byDigest(g.top.Digest)) },
		"RenewManifest of a tag": func(w *world, n oci.Name, g *goods) error {
			return w.renew(n, byTag("latest"))
		},
		"an index of it": func(w *world, n oci.Name, g *goods) error {
			above := &goods{algorithm: g.algorithm}
			return w.PutManifest(w.Context(), n, above.index(oci.MediaTypeImageIndex, g.top))
		},
		"what an index of it misses": func(w *world, n oci.Name, g *goods) error {
			above := &goods{algorithm: g.algorithm}
			_, err := w.Missing(w.Context(), n, above.index(oci.MediaTypeImageIndex, g.top))
			return err
		},
	} {
		for _, kind := range []string{"nested index", "Docker list", "OCI image", "artifact of its own", "unknown media type"} {
			t.Run(name+" of "+kind, func(t *testing.T) {
				timed(t, func(w *world) {
					n, g := w.named("org/app"), stock(kind, "a", oci.SHA256)
					if kind == "OCI image" {
						far := oci.Descriptor{MediaType: "application/x", Digest: oci.SHA256.Sum([]byte("far")), Size: 3}
						w.ok(w.KeepSource(w.Context(), n.Area, far.Digest, oci.PublicName{Namespace: "quay.io", Repository: "a"}))
						g.add("application/x", `{"blobs":[%s],"layers":%s}`, inJSON(far), g.list("x", "near"))
						g.top = g.index(oci.MediaTypeImageIndex, g.top, g.manifests[0])
					}
					w.push(n, g, "latest")
					time.Sleep(100 * day)
					w.ok(put(w, n, g))
					now := time.Now()
					for _, object := range w.objects() {
						if tag := recordObject(n, "latest"); object != tag && !w.modified(object).Equal(now) {
							w.Errorf("%s is %v old", object, time.Since(w.modified(object)))
						}
					}
				})
			})
		}
	}
}

func (w *world) renew(n oci.Name, ref oci.Reference) error {
	_, err := w.RenewManifest(w.Context(), n, ref)
	return err
}

// fetch keeps goods as if they came from an upstream.
func (w *world) fetch(n oci.Name, g *goods, tag string) {
	w.Helper()
	for _, m := range g.manifests {
		var t oci.Tag
		if m.Digest == g.top.Digest && tag != "" {
			t = tagOf(tag)
		}
		w.ok(w.KeepManifest(w.Context(), n, m, t))
	}
	for _, b := range g.blobs {
		in, err := w.Receive(w.Context(), n, oci.Descriptor{Digest: g.algorithm.Sum([]byte(b)), Size: int64(len(b))})
		w.ok(err)
		w.ok(keep(w.Context(), in, strings.NewReader(b)))
	}
}

// wanted asserts whether a manifest is kept that was fetched, which makes it wanted.
func (w *world) wanted(n oci.Name, ref oci.Reference, m oci.Manifest) {
	w.Helper()
	got, _, err := w.FetchedManifest(w.Context(), n, ref)
	if err != nil || got.Digest != m.Digest || string(got.Content) != string(m.Content) {
		w.Errorf("FetchedManifest %s: %+v, %v; want %s", ref, got, err, m.Digest)
	}
}

func TestPruningOfWhatWasFetched(t *testing.T) {
	rules(t, map[string]func(w *world){
		"it stays while somebody wants it, with what it needs": func(w *world) {
			for kind := range kinds {
				g := stock(kind, "a", oci.SHA256)
				w.fetch(w.named("docker.io//library/"+strings.ToLower(strings.ReplaceAll(kind, " ", "-"))), g, "latest")
			}
			for range 5 {
				time.Sleep(7*day - time.Second)
				w.prune(ages)
				for kind := range kinds {
					n, g := w.named("docker.io//library/"+strings.ToLower(strings.ReplaceAll(kind, " ", "-"))), stock(kind, "a", oci.SHA256)
					for _, m := range g.manifests {
						w.wanted(n, byDigest(m.Digest), m)
					}
					for _, b := range g.blobs {
						w.ok(w.read(n, g.algorithm.Sum([]byte(b)), b))
					}
				}
			}
			time.Sleep(7 * day)
			w.prune(ages)
			w.isEmpty()
		},
		"a tag stays as long as its manifest is wanted by the digest": func(w *world) {
			n, g := w.named("org/app"), image("a")
			w.fetch(n, g, "latest")
			time.Sleep(6 * day)
			w.wanted(n, byDigest(g.top.Digest), g.top)
			time.Sleep(6 * day)
			w.prune(ages)
			w.wanted(n, byTag("latest"), g.top)
			w.ok(w.read(n, oci.SHA256.Sum([]byte(g.blobs[0])), g.blobs[0]))
		},
		"a manifest stays as long as it is wanted by a tag": func(w *world) {
			n, g := w.named("org/app"), image("a")
			w.fetch(n, g, "latest")
			for range 3 {
				time.Sleep(6 * day)
				w.wanted(n, byTag("latest"), g.top)
				w.prune(ages)
			}
			w.has(true, fetchedObject(n, g.top.Digest.String()))
			w.ok(w.read(n, oci.SHA256.Sum([]byte(g.blobs[0])), g.blobs[0]))
		},
		"a tag is as of when the upstream confirmed it, and not of when it was wanted": func(w *world) {
			n, g := w.named("org/app"), image("a")
			w.fetch(n, g, "latest")
			then := time.Now()
			for range 2 {
				time.Sleep(day)
				if _, asOf, err := w.FetchedManifest(w.Context(), n, byTag("latest")); err != nil || !asOf.Equal(then) {
					w.Errorf("FetchedManifest: as of %v, %v; want %v", asOf, err, then)
				}
				if at := w.modified(fetchedObject(n, g.top.Digest.String())); !at.Equal(time.Now()) {
					w.Errorf("the digest was wanted at %v", at)
				}
			}
			w.ok(w.ForgetManifest(w.Context(), n, byTag("latest")))
			time.Sleep(6 * day)
			w.prune(ages)
			w.wanted(n, byDigest(g.top.Digest), g.top)
		},
		"a tag that the upstream confirms stays, and its manifest": func(w *world) {
			n, g := w.named("org/app"), image("a")
			w.fetch(n, g, "latest")
			for range 3 {
				time.Sleep(6 * day)
				w.ok(w.ConfirmManifest(w.Context(), n, byTag("latest")))
				w.prune(ages)
			}
			w.wanted(n, byTag("latest"), g.top)
			w.wanted(n, byDigest(g.top.Digest), g.top)
		},
		"a tag that has moved on leaves what it named to age": func(w *world) {
			n, first, second := w.named("org/app"), image("first"), image("second")
			w.fetch(n, first, "latest")
			time.Sleep(6 * day)
			w.fetch(n, second, "latest")
			time.Sleep(6 * day)
			w.prune(ages)
			w.isLost(first)
			w.wanted(n, byTag("latest"), second.top)
			w.ok(w.read(n, oci.SHA256.Sum([]byte(second.blobs[0])), second.blobs[0]))
		},
		"the images of an index go one by one": func(w *world) {
			n, g := w.named("org/app"), stock("OCI index", "a", oci.SHA256)
			w.fetch(n, g, "latest")
			for range 3 {
				time.Sleep(6 * day)
				w.wanted(n, byTag("latest"), g.top)
				w.wanted(n, byDigest(g.manifests[0].Digest), g.manifests[0])
			}
			w.prune(ages)
			w.wanted(n, byTag("latest"), g.top)
			w.wanted(n, byDigest(g.manifests[0].Digest), g.manifests[0])
			for _, b := range []string{"config amd64 a", "layer amd64 a"} {
				w.ok(w.read(n, oci.SHA256.Sum([]byte(b)), b))
			}
			w.has(false, fetchedObject(n, g.manifests[1].Digest.String()), blobObject(n.Area, g.manifests[1].Digest),
				blobObject(n.Area, oci.SHA256.Sum([]byte("layer arm64 a"))))
		},
		"what was pushed does not stay for it, nor it for what was pushed": func(w *world) {
			n, g := w.named("org/app"), image("a")
			w.push(n, g, "latest")
			w.fetch(n, g, "latest")
			time.Sleep(8 * day)
			w.prune(ages)
			w.isWhole(n, g, "latest")
			w.has(false, fetchedObject(n, "latest"), fetchedObject(n, g.top.Digest.String()))
			w.fetch(n, g, "latest")
			time.Sleep(23 * day)
			w.wanted(n, byTag("latest"), g.top)
			w.prune(ages)
			w.has(false, recordObject(n, "latest"), recordObject(n, g.top.Digest.String()))
			w.wanted(n, byTag("latest"), g.top)
			w.ok(w.read(n, oci.SHA256.Sum([]byte(g.blobs[0])), g.blobs[0]))
		},
		"a blob is fetched before the manifest that needs it is wanted": func(w *world) {
			n, g := w.named("org/app"), image("a")
			w.fetch(n, &goods{algorithm: g.algorithm, blobs: g.blobs}, "")
			time.Sleep(day - time.Second)
			w.prune(ages)
			w.ok(w.KeepManifest(w.Context(), n, g.top, tagOf("latest")))
			time.Sleep(5 * day)
			w.prune(ages)
			w.ok(w.read(n, oci.SHA256.Sum([]byte(g.blobs[0])), g.blobs[0]))
		},
		"damage in it is no doubt: it is fetched again": func(w *world) {
			n, g := w.named("org/app"), image("a")
			w.fetch(n, g, "latest")
			w.fetch(w.named("org/other"), image("b"), "latest")
			w.put(blobObject(n.Area, g.top.Digest), "damaged")
			for _, text := range []string{"", "{", "{}", "[]", `{"x":"y"}`} {
				w.put(fetchedObject(w.named("org/other"), "latest"), text)
				w.put(fetchedObject(w.named("org/other"), image("b").top.Digest.String()), text)
				time.Sleep(6 * day)
				w.prune(ages)
				w.has(true, fetchedObject(w.named("org/other"), "latest"))
			}
			time.Sleep(day)
			w.prune(ages)
			w.isEmpty()
		},
	})
}

func TestPruningOfSources(t *testing.T) {
	from := oci.PublicName{Namespace: "docker.io", Repository: "library/debian"}
	// base needs a layer and a manifest that are not here.
	base := func(w *world, n oci.Name) (g *goods, layer, child oci.Digest) {
		far := image("far")
		g = &goods{algorithm: oci.SHA256}
		g.index(oci.MediaTypeImageIndex, far.top)
		layer = oci.SHA256.Sum([]byte("far"))
		g.add(oci.MediaTypeImageManifest, `{"schemaVersion":2,"config":%s,"layers":[{"mediaType":"application/x","size":3,"digest":"%s"}]}`,
			strings.Trim(g.list("application/x", "near"), "[]"), layer)
		g.index(oci.MediaTypeDockerList, g.manifests...)
		w.ok(w.KeepSource(w.Context(), n.Area, layer, from))
		w.ok(w.KeepSource(w.Context(), n.Area, far.top.Digest, from))
		return g, layer, far.top.Digest
	}
	rules(t, map[string]func(w *world){
		"one stays as long as a manifest needs it": func(w *world) {
			n := w.named("org/app")
			g, layer, child := base(w, n)
			time.Sleep(day - time.Hour)
			w.push(n, g, "latest")
			for range 4 {
				time.Sleep(7 * day)
				w.prune(ages)
				w.has(true, sourceObject(n.Area, layer), sourceObject(n.Area, child))
			}
			time.Sleep(2 * day)
			w.prune(ages)
			w.isEmpty()
		},
		"one that nothing needs goes": func(w *world) {
			n := w.named("org/app")
			_, layer, child := base(w, n)
			time.Sleep(day - 1)
			w.prune(ages)
			w.has(true, sourceObject(n.Area, layer), sourceObject(n.Area, child))
			time.Sleep(time.Nanosecond)
			w.prune(ages)
			w.isEmpty()
		},
		"one that a pusher relies on is young": func(w *world) {
			n := w.named("org/app")
			g, layer, child := base(w, n)
			time.Sleep(100 * day)
			for _, m := range g.manifests {
				_, err := w.Missing(w.Context(), n, m)
				w.ok(err)
			}
			w.prune(ages)
			w.has(true, sourceObject(n.Area, layer), sourceObject(n.Area, child))
			w.push(n, g, "latest")
			time.Sleep(2 * day)
			w.prune(ages)
			w.has(true, sourceObject(n.Area, layer), sourceObject(n.Area, child))
		},
		"what is fetched for one stays while it is wanted": func(w *world) {
			n := w.named("org/app")
			g, layer, _ := base(w, n)
			w.push(n, g, "latest")
			w.fetch(n, &goods{algorithm: oci.SHA256, blobs: []string{"far"}}, "")
			time.Sleep(2 * day)
			w.prune(ages)
			w.has(true, blobObject(n.Area, layer), sourceObject(n.Area, layer))
		},
	})
}

// varied is a store in which there is something of each kind to prune, and to keep.
func (w *world) varied() {
	w.Helper()
	for _, area := range []string{"", "quay.io//"} {
		for kind := range kinds {
			name := area + strings.ToLower(strings.ReplaceAll(kind, " ", "-"))
			w.push(w.named(name), stock(kind, "old", oci.SHA256), "old", "moved")
			w.fetch(w.named(name), stock(kind, "old and fetched", oci.SHA512), "old")
		}
		n := w.named(area + "org/app")
		w.begin(n, "unfinished")
		w.upload(n, "loose", oci.SHA512)
		w.ok(w.KeepSource(w.Context(), n.Area, oci.SHA256.Sum(nil), oci.PublicName{Namespace: "quay.io", Repository: "a"}))
		w.put(n.Area+"/uploads/0123/metadata", "{}")
		w.put(n.Area+"/uploads/0123/1", "chunk")
		w.put(n.Area+"/blobs/"+oci.SHA256.Sum([]byte("{}")).String()+"/1", "chunk")
		w.put(n.Area+"/segments/lost", "chunk")
		w.put(uploadObject(n.Area, "DAMAGED"), "{")
	}
	time.Sleep(40 * day)
	for _, area := range []string{"", "quay.io//"} {
		for kind := range kinds {
			name := area + strings.ToLower(strings.ReplaceAll(kind, " ", "-"))
			w.push(w.named(name), stock(kind, "new", oci.SHA512), "new", "moved")
			w.fetch(w.named(name), stock(kind, "new and fetched", oci.SHA256), "new")
		}
		w.begin(w.named(area+"org/app"), "just begun")
	}
}

func TestADryRunSaysWhatWouldGo(t *testing.T) {
	timed(t, func(w *world) {
		w.varied()
		before := w.objects()
		would, err := w.pruneWith(w.Context(), local.Pruning{Ages: ages, DryRun: true})
		w.ok(err)
		if after := w.objects(); !slices.Equal(before, after) {
			w.Errorf("a dry run changes the store: %q, %q", before, after)
		}
		did := w.prune(ages)
		sort := func(a, b local.Removal) int { return strings.Compare(a.Object, b.Object) }
		slices.SortFunc(would, sort)
		slices.SortFunc(did, sort)
		if !slices.Equal(would, did) {
			w.Errorf("it would remove\n%v\nand did remove\n%v", would, did)
		}
		left := w.objects()
		for _, r := range did {
			if slices.Contains(left, r.Object) {
				w.Errorf("%s is left", r.Object)
			}
		}
		if len(left)+len(did) != len(before) {
			w.Errorf("of %d objects %d are left, and %d were removed", len(before), len(left), len(did))
		}
		if again := w.prune(ages); again != nil {
			w.Errorf("a prune afterwards removes %q", names(again))
		}
	})
}

func TestARemovalSaysWhatItIs(t *testing.T) {
	timed(t, func(w *world) {
		n, g := w.named("org/app"), stock("artifact with subject", "a", oci.SHA256)
		w.push(n, g, "latest")
		signature := g.manifests[1]
		w.fetch(n, image("fetched"), "fetched")
		id := w.begin(n, "unfinished")
		w.ok(w.KeepSource(w.Context(), n.Area, oci.SHA256.Sum(nil), oci.PublicName{Namespace: "quay.io", Repository: "a"}))
		time.Sleep(40 * day)
		w.upload(n, "loose", oci.SHA256)
		time.Sleep(2 * day)
		want := map[string]local.Removal{}
		for object, kind := range map[string]local.Kind{
			recordObject(n, "latest"):                              local.TagKind,
			recordObject(n, g.top.Digest.String()):                 local.ManifestKind,
			recordObject(n, signature.Digest.String()):             local.ManifestKind,
			entryObject(n, g.top.Digest, signature.Digest):         local.ReferrerKind,
			blobObject(n.Area, g.top.Digest):                       local.BlobKind,
			blobObject(n.Area, oci.SHA256.Sum([]byte("config a"))): local.BlobKind,
			blobObject(n.Area, oci.SHA256.Sum([]byte("loose"))):    local.BlobKind,
			fetchedObject(n, "fetched"):                            local.CachedKind,
			fetchedObject(n, image("fetched").top.Digest.String()): local.CachedKind,
			uploadObject(n.Area, id):                               local.UploadKind,
			objects(w.T, w.store, "_local/segments")[0]:            local.PartKind,
			sourceObject(n.Area, oci.SHA256.Sum(nil)):              local.SourceKind,
		} {
			info, err := w.store.Stat(w.Context(), object)
			w.ok(err)
			age := 42 * day
			if strings.Contains(object, oci.SHA256.Sum([]byte("loose")).String()) {
				age = 2 * day
			}
			want[object] = local.Removal{Object: object, Kind: kind, Size: info.Size, Age: age}
		}
		got := map[string]local.Removal{}
		var kinds []local.Kind
		for _, r := range w.prune(ages) {
			got[r.Object] = r
			kinds = append(kinds, r.Kind)
		}
		for object, r := range want {
			if got[object] != r {
				w.Errorf("%s: %+v, want %+v", object, got[object], r)
			}
		}
		for _, k := range local.Kinds {
			if !slices.Contains(kinds, k) {
				w.Errorf("nothing was a %s", k)
			}
		}
	})
}

// Progress counts up, and says that it goes on wherever there is much to look at.
func TestPruneSaysHowFarItIs(t *testing.T) {
	timed(t, func(w *world) {
		w.varied()
		count := func(p local.Pruning) (last int) {
			p.Ages = ages
			p.Progress = func(looked int) {
				if looked != last+1 {
					w.Errorf("after %d objects it looked at %d", last, looked)
				}
				last = looked
			}
			_, err := w.pruneWith(w.Context(), p)
			w.ok(err)
			return last
		}
		if dry, all := count(local.Pruning{DryRun: true}), len(w.objects()); dry < all {
			w.Errorf("it looked at %d objects of %d", dry, all)
		}
		if real, left := count(local.Pruning{}), len(w.objects()); real < left {
			w.Errorf("it looked at %d objects of %d", real, left)
		}
	})
}

// Two prunes at once remove what one does, and each object once.
func TestTwoPrunesAtOnce(t *testing.T) {
	timed(t, func(w *world) {
		w.varied()
		would, err := w.pruneWith(w.Context(), local.Pruning{Ages: ages, DryRun: true})
		w.ok(err)
		const many = 4
		gone := make(chan []local.Removal, many)
		for range many {
			other := w.through(w.store)
			other.log = new(bytes.Buffer)
			go func() {
				removed, err := other.pruneWith(w.Context(), local.Pruning{Ages: ages})
				if err != nil {
					w.Errorf("Prune: %v\n%s", err, other.log)
				}
				gone <- removed
			}()
		}
		var all []local.Removal
		for range many {
			all = append(all, <-gone...)
		}
		if got, want := names(all), names(would); !slices.Equal(got, want) {
			w.Errorf("they removed %q, want %q", got, want)
		}
		for kind := range kinds {
			n := w.named(strings.ToLower(strings.ReplaceAll(kind, " ", "-")))
			w.isWhole(n, stock(kind, "new", oci.SHA512), "new", "moved")
		}
	})
}

// On files, which have no time of the tests' own, and directories that must not stay.
func TestPruneOfFiles(t *testing.T) {
	root := t.TempDir()
	d, err := filesystem.New(filesystem.Options{Root: root})
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, d)
	age := func(by time.Duration) {
		w.ok(filepath.Walk(root, func(path string, info os.FileInfo, err error) error {
			if err != nil || info.IsDir() {
				return err
			}
			at := info.ModTime().Add(-by)
			return os.Chtimes(path, at, at)
		}))
	}
	for kind := range kinds {
		w.push(w.named("old/"+strings.ToLower(strings.ReplaceAll(kind, " ", "-"))), stock(kind, "old", oci.SHA256), "latest")
		w.push(w.named("kept/"+strings.ToLower(strings.ReplaceAll(kind, " ", "-"))), stock(kind, "kept", oci.SHA512), "latest")
	}
	w.begin(w.named("old/app"), "unfinished")
	age(40 * day)
	for kind := range kinds {
		n := w.named("kept/" + strings.ToLower(strings.ReplaceAll(kind, " ", "-")))
		w.ok(d.Touch(t.Context(), recordObject(n, "latest")))
	}
	id := w.begin(w.named("kept/app"), "unfin")
	command, err := filesystem.Attach(root) // as the command prune does, beside the server
	w.ok(err)
	w.through(command).prune(ages)
	for kind := range kinds {
		w.isLost(stock(kind, "old", oci.SHA256))
		w.isWhole(w.named("kept/"+strings.ToLower(strings.ReplaceAll(kind, " ", "-"))), stock(kind, "kept", oci.SHA512), "latest")
	}
	u, err := w.ResumeUpload(t.Context(), w.named("kept/app"), id)
	w.ok(err)
	w.ok(u.Append(t.Context(), 5, strings.NewReader("ished")))
	_, err = u.Commit(t.Context(), oci.SHA256.Sum([]byte("unfinished")))
	w.ok(err)
	if _, err := os.Stat(filepath.Join(root, "_local/repos/old")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory of repositories that are gone: %v", err)
	}
	age(40 * day)
	w.through(command).prune(ages)
	w.isEmpty()
	for _, r := range []string{"blobs", "repos", "segments", "uploads", "referrers"} {
		if left, err := os.ReadDir(filepath.Join(root, "_local", r)); err == nil && len(left) > 0 {
			t.Errorf("%s is not empty: %v", r, left)
		}
	}
}
