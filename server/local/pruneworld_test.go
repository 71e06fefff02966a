package local_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"opendev.org/zuul/zuul-registry/server/local"
	"opendev.org/zuul/zuul-registry/server/oci"
	"opendev.org/zuul/zuul-registry/server/storage"
	"opendev.org/zuul/zuul-registry/server/storage/memory"
)

const day = 24 * time.Hour

// ages are what tests prune with that do not care.
var ages = local.Ages{Manifest: 30 * day, Upload: day, Cache: 7 * day}

// world is a registry to prune. Its faults end the test.
type world struct {
	*testing.T
	*local.Registry
	store storage.Driver // below all that a test has put in between
	log   *bytes.Buffer  // of the last prune
}

// timed runs a test in a time of its own, in which a Sleep ages all that there is.
func timed(t *testing.T, test func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(newWorld(t, memory.New())) })
}

func newWorld(t *testing.T, store storage.Driver) *world {
	return &world{t, local.New(store, local.Options{}), store, new(bytes.Buffer)}
}

// through is the same store with something in between.
func (w *world) through(d storage.Driver) *world {
	return &world{w.T, local.New(d, local.Options{}), w.store, w.log}
}

func (w *world) ok(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// named is a repository of an area: "host//org/app", or "org/app" of the local one.
func (w *world) named(text string) oci.Name {
	w.Helper()
	area, path, found := strings.Cut(text, "//")
	if !found {
		area, path = oci.LocalArea, text
	}
	n, err := oci.ParseName(path)
	w.ok(err)
	n.Area = area
	return n
}

func tagOf(text string) oci.Tag {
	t, err := oci.ParseTag(text)
	if err != nil {
		panic(err)
	}
	return t
}

func byTag(text string) oci.Reference { return oci.Reference{Tag: tagOf(text)} }

func byDigest(d oci.Digest) oci.Reference { return oci.Reference{Digest: d} }

// upload pushes a blob, whether it is there or not.
func (w *world) upload(n oci.Name, content string, a oci.Algorithm) oci.Digest {
	w.Helper()
	u, err := w.StartUpload(w.Context(), n)
	w.ok(err)
	u.Expect(a)
	w.ok(u.Append(w.Context(), 0, strings.NewReader(content)))
	d := a.Sum([]byte(content))
	_, err = u.Commit(w.Context(), d)
	w.ok(err)
	return d
}

// begin begins an upload, and leaves it.
func (w *world) begin(n oci.Name, content string) (id string) {
	w.Helper()
	u, err := w.StartUpload(w.Context(), n)
	w.ok(err)
	w.ok(u.Append(w.Context(), 0, strings.NewReader(content)))
	w.ok(u.Close(w.Context()))
	return u.ID()
}

// goods are something to push: blobs, and then manifests, those first that others need.
type goods struct {
	algorithm oci.Algorithm
	blobs     []string
	manifests []oci.Manifest
	top       oci.Manifest // what is tagged
}

// list describes some contents as a field of a manifest does.
func (g *goods) list(mediaType string, contents ...string) string {
	all := []oci.Descriptor{}
	for _, c := range contents {
		if !slices.Contains(g.blobs, c) {
			g.blobs = append(g.blobs, c)
		}
		all = append(all, oci.Descriptor{MediaType: mediaType, Digest: g.algorithm.Sum([]byte(c)), Size: int64(len(c))})
	}
	return inJSON(all)
}

func inJSON(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// add adds a manifest, which is the top one now.
func (g *goods) add(mediaType, format string, values ...any) oci.Manifest {
	m, err := oci.NewManifest(mediaType, fmt.Appendf(nil, format, values...), g.algorithm)
	if err != nil {
		panic(err)
	}
	g.manifests, g.top = append(g.manifests, m), m
	return m
}

func (g *goods) image(mediaType, config string, layers ...string) oci.Manifest {
	descriptor := strings.Trim(g.list("application/vnd.oci.image.config.v1+json", config), "[]")
	return g.add(mediaType, `{"schemaVersion":2,"config":%s,"layers":%s}`, descriptor, g.list("application/vnd.oci.image.layer.v1.tar+gzip", layers...))
}

func (g *goods) index(mediaType string, children ...oci.Manifest) oci.Manifest {
	all := []oci.Descriptor{}
	for _, c := range children {
		all = append(all, c.Descriptor)
	}
	return g.add(mediaType, `{"schemaVersion":2,"manifests":%s}`, inJSON(all))
}

// about is an artifact with a subject, which is not the top one.
func (g *goods) about(subject oci.Descriptor, content string) oci.Manifest {
	top := g.top
	m := g.add("application/vnd.oci.image.manifest.v1+json", `{"schemaVersion":2,"artifactType":"application/x-signature","config":%s,"layers":%s,"subject":%s}`,
		strings.Trim(g.list("application/vnd.oci.empty.v1+json", "{}"), "[]"), g.list("application/x-signature", content), inJSON(subject))
	g.top = top
	return m
}

// An image has a config of its own and a layer of its own, and shares one.
func anImage(mediaType string) func(g *goods, salt string) {
	return func(g *goods, salt string) { g.image(mediaType, "config "+salt, "layer "+salt, "shared layer") }
}

func anIndex(list, image string) func(g *goods, salt string) {
	return func(g *goods, salt string) {
		g.index(list, g.image(image, "config amd64 "+salt, "layer amd64 "+salt, "shared layer"), g.image(image, "config arm64 "+salt, "layer arm64 "+salt))
	}
}

// kinds are all that a repository may hold.
var kinds = map[string]func(g *goods, salt string){
	"Docker image": anImage(oci.MediaTypeDockerManifest),
	"OCI image":    anImage(oci.MediaTypeImageManifest),
	"Docker list":  anIndex(oci.MediaTypeDockerList, oci.MediaTypeDockerManifest),
	"OCI index":    anIndex(oci.MediaTypeImageIndex, oci.MediaTypeImageManifest),
	"nested index": func(g *goods, salt string) {
		inner := g.index(oci.MediaTypeImageIndex, g.image(oci.MediaTypeImageManifest, "config "+salt, "layer "+salt))
		other := g.index(oci.MediaTypeDockerList, g.image(oci.MediaTypeDockerManifest, "config of Docker's "+salt, "layer "+salt))
		g.index(oci.MediaTypeImageIndex, g.index(oci.MediaTypeImageIndex, inner, other), g.image(oci.MediaTypeImageManifest, "outer config "+salt, "outer layer "+salt))
	},
	"artifact with subject": func(g *goods, salt string) {
		image := g.image(oci.MediaTypeImageManifest, "config "+salt, "layer "+salt)
		signature := g.about(image.Descriptor, "signature "+salt)
		g.about(signature.Descriptor, "signature of the signature "+salt)
	},
	"artifact of its own": func(g *goods, salt string) {
		g.add("application/vnd.oci.artifact.manifest.v1+json", `{"artifactType":"application/x-chart","blobs":%s}`, g.list("application/x", "chart "+salt, "values "+salt))
	},
	"unknown media type": func(g *goods, salt string) {
		g.add("application/x-nobody-knows", `{"things":{"deep":[%s]},"layers":%s}`, g.list("application/x", "thing "+salt), g.list("application/x", "layer "+salt))
	},
}

func stock(kind, salt string, a oci.Algorithm) *goods {
	g := &goods{algorithm: a}
	kinds[kind](g, salt)
	return g
}

// onEachKind runs a test for each kind, with digests of each algorithm, in times of their
// own. The goods are different for each salt, but for what they share.
func onEachKind(t *testing.T, test func(w *world, of func(salt string) *goods)) {
	t.Helper()
	for kind := range kinds {
		for _, a := range []oci.Algorithm{oci.SHA256, oci.SHA512} {
			t.Run(kind+" of "+string(a), func(t *testing.T) {
				timed(t, func(w *world) { test(w, func(salt string) *goods { return stock(kind, salt, a) }) })
			})
		}
	}
}

func (w *world) pushBlobs(n oci.Name, g *goods) {
	w.Helper()
	for _, b := range g.blobs {
		w.upload(n, b, g.algorithm)
	}
}

func (w *world) pushManifests(n oci.Name, g *goods, tags ...string) {
	w.Helper()
	for _, m := range g.manifests {
		var all []oci.Tag
		if m.Digest == g.top.Digest {
			for _, t := range tags {
				all = append(all, tagOf(t))
			}
		}
		w.ok(w.PutManifest(w.Context(), n, m, all...))
	}
}

func (w *world) push(n oci.Name, g *goods, tags ...string) *goods {
	w.Helper()
	w.pushBlobs(n, g)
	w.pushManifests(n, g, tags...)
	return g
}

// image is a small image.
func image(salt string) *goods { return stock("OCI image", salt, oci.SHA256) }

// pull pulls all of what was pushed, and makes nothing young by that.
func (w *world) pull(n oci.Name, g *goods, tags ...string) error {
	for _, b := range g.blobs {
		if err := w.read(n, g.algorithm.Sum([]byte(b)), b); err != nil {
			return err
		}
	}
	for _, m := range g.manifests {
		refs := []oci.Reference{byDigest(m.Digest)}
		if m.Digest == g.top.Digest {
			for _, t := range tags {
				refs = append(refs, byTag(t))
			}
		}
		for _, ref := range refs {
			if err := w.readManifest(n, ref, m); err != nil {
				return err
			}
		}
		if err := w.isListed(n, m); err != nil {
			return err
		}
	}
	return nil
}

func (w *world) read(n oci.Name, d oci.Digest, want string) error {
	b, err := w.OpenBlob(w.Context(), n, d)
	if err != nil {
		return err
	}
	got, err := io.ReadAll(b.Content)
	if err = errors.Join(err, b.Content.Close()); err == nil && string(got) != want {
		err = fmt.Errorf("blob %s is %q, want %q", d, got, want)
	}
	return err
}

func (w *world) readManifest(n oci.Name, ref oci.Reference, want oci.Manifest) error {
	got, err := w.GetManifest(w.Context(), n, ref)
	if err == nil && (!bytes.Equal(got.Content, want.Content) || got.MediaType != want.MediaType || got.Digest != want.Digest) {
		err = fmt.Errorf("manifest %s is %+v, want %+v", ref, got.Descriptor, want.Descriptor)
	}
	return err
}

// isListed asserts that a manifest is among the referrers of its subject.
func (w *world) isListed(n oci.Name, m oci.Manifest) error {
	refs, err := m.References()
	if err != nil || refs.Subject == nil {
		return err
	}
	if all := digests(w.T, w.Referrers(w.Context(), n, refs.Subject.Digest)); !slices.Contains(all, m.Digest) {
		return fmt.Errorf("%s is not among the referrers of its subject: %v", m.Digest, all)
	}
	return nil
}

func digests(t *testing.T, list iter.Seq2[oci.Descriptor, error]) (all []oci.Digest) {
	t.Helper()
	for d, err := range list {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, d.Digest)
	}
	return all
}

// isWhole asserts that all of it can be pulled.
func (w *world) isWhole(n oci.Name, g *goods, tags ...string) {
	w.Helper()
	if err := w.pull(n, g, tags...); err != nil {
		w.Errorf("of what was pushed to %s something is lost: %v\nlog: %s", n, err, w.log)
	}
}

func (w *world) objects() []string {
	w.Helper()
	return objects(w.T, w.store, ".")
}

// has asserts which of some objects are there.
func (w *world) has(want bool, names ...string) {
	w.Helper()
	for _, name := range names {
		if _, err := w.store.Stat(w.Context(), name); (err == nil) != want {
			w.Errorf("%s: %v; it is there: want %v", name, err, want)
		}
	}
}

func (w *world) put(name, content string) {
	w.Helper()
	w.ok(w.store.Put(w.Context(), name, strings.NewReader(content), storage.Durable))
}

func (w *world) modified(name string) time.Time {
	w.Helper()
	info, err := w.store.Stat(w.Context(), name)
	w.ok(err)
	return info.Modified
}

// prune prunes, and says what has gone. It asserts that all was certain.
func (w *world) prune(a local.Ages) []local.Removal {
	w.Helper()
	gone, err := w.pruneWith(w.Context(), local.Pruning{Ages: a})
	if err != nil {
		w.Fatalf("Prune: %v\nlog: %s", err, w.log)
	}
	return gone
}

// pruneWith prunes and keeps a log, with the callbacks that are not set.
func (w *world) pruneWith(ctx context.Context, p local.Pruning) (gone []local.Removal, err error) {
	w.log.Reset()
	if p.Log == nil {
		p.Log = slog.New(slog.NewTextHandler(w.log, nil))
	}
	if p.Progress == nil {
		p.Progress = func(int) {}
	}
	if p.Removed == nil {
		p.Removed = func(r local.Removal) { gone = append(gone, r) }
	}
	err = w.Prune(ctx, p)
	return gone, err
}

// names are those of what has gone, in order.
func names(gone []local.Removal) []string {
	var all []string
	for _, r := range gone {
		all = append(all, r.Object)
	}
	slices.Sort(all)
	return all
}

// The names of objects, as package local makes them.

func blobObject(area string, d oci.Digest) string { return area + "/blobs/" + d.String() + "/data" }

func recordObject(n oci.Name, ref string) string {
	return n.Area + "/repos/" + directory(n) + "/manifests/" + ref
}

func fetchedObject(n oci.Name, ref string) string {
	return n.Area + "/upstream/repos/" + directory(n) + "/manifests/" + ref
}

// directory is a repository's, which must not be taken for that of its records.
func directory(n oci.Name) string {
	if n.Repository == "manifests" {
		return "_manifests"
	}
	return n.Repository
}

func sourceObject(area string, d oci.Digest) string {
	return area + "/upstream/sources/" + d.String()
}

func entryObject(n oci.Name, subject, d oci.Digest) string {
	return n.Area + "/referrers/" + n.Repository + "/" + subject.String() + "/" + d.String()
}

func uploadObject(area, id string) string { return area + "/uploads/" + id }

// between is a store before each of whose operations something is asked: it may have
// something done first, or fail the operation.
type between struct {
	storage.Driver
	ask func(op, name string) error
}

func (b between) Open(ctx context.Context, name string) (io.ReadSeekCloser, storage.Info, error) {
	if err := b.ask("open", name); err != nil {
		return nil, storage.Info{}, err
	}
	return b.Driver.Open(ctx, name)
}

func (b between) Stat(ctx context.Context, name string) (storage.Info, error) {
	if err := b.ask("stat", name); err != nil {
		return storage.Info{}, err
	}
	return b.Driver.Stat(ctx, name)
}

func (b between) List(ctx context.Context, directory, after string) iter.Seq2[storage.Entry, error] {
	if err := b.ask("list", directory); err != nil {
		return func(yield func(storage.Entry, error) bool) { yield(storage.Entry{}, err) }
	}
	return b.Driver.List(ctx, directory, after)
}

func (b between) Parts(ctx context.Context, name string) ([]string, error) {
	if err := b.ask("parts", name); err != nil {
		return nil, err
	}
	return b.Driver.Parts(ctx, name)
}

func (b between) Expire(ctx context.Context, name string, moment time.Time) (bool, error) {
	if err := b.ask("expire", name); err != nil {
		return false, err
	}
	return b.Driver.Expire(ctx, name, moment)
}

func (b between) Touch(ctx context.Context, name string) error {
	if err := b.ask("touch", name); err != nil {
		return err
	}
	return b.Driver.Touch(ctx, name)
}

// once has something done the first time that an operation is about a name.
func once(d storage.Driver, op, name string, do func()) storage.Driver {
	var first sync.Once
	return between{d, func(o, n string) error {
		if o == op && n == name {
			first.Do(do)
		}
		return nil
	}}
}
