package local_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"opendev.org/zuul/zuul-registry/server/local"
	"opendev.org/zuul/zuul-registry/server/oci"
	"opendev.org/zuul/zuul-registry/server/storage"
	"opendev.org/zuul/zuul-registry/server/storage/memory"
)

// Stores grow at random, for months, and are pruned now and then. What has to be left is
// worked out beside that by a model, from what was done alone, and in the simplest way.
func TestPruneAsTheModelSays(t *testing.T) {
	const stores = 200
	for seed := range stores {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { newLife(t, uint64(seed)).live() })
		})
	}
}

// thing is a manifest that may be pushed or fetched, and what it is made of.
type thing struct {
	oci.Manifest
	blobs    []bit // in fields that known types have
	others   []bit // in fields that nobody knows
	far      []oci.Digest
	children []*thing
	inside   []*thing // manifests in fields that nobody knows
	subject  oci.Digest
}

// bit is a blob that one needs.
type bit struct {
	oci.Digest
	content string
}

// noted is a record.
type noted struct {
	oci.Name
	oci.Reference
	fetched bool // and not pushed
	*thing
}

// model is what there ought to be.
type model struct {
	at      map[string]time.Time  // when each object was stored, or somebody was told that it is there
	records map[string]noted      // by their objects
	parts   map[string][]string   // of the uploads, by their objects
	blobs   map[string]oci.Digest // those of objects, of blobs and sources
	entries map[string]bool       // those that are of referrers
}

func newModel() *model {
	return &model{at: map[string]time.Time{}, records: map[string]noted{}, parts: map[string][]string{}, blobs: map[string]oci.Digest{}, entries: map[string]bool{}}
}

func (m *model) has(object string) bool { _, ok := m.at[object]; return ok }

// touch makes something young that is there.
func (m *model) touch(object string) bool {
	if !m.has(object) {
		return false
	}
	m.at[object] = time.Now()
	return true
}

func (m *model) remove(object string) {
	delete(m.at, object)
	delete(m.records, object)
	delete(m.parts, object)
	delete(m.blobs, object)
	delete(m.entries, object)
}

func (m *model) blob(area string, d oci.Digest) {
	object := blobObject(area, d)
	m.at[object], m.blobs[object] = time.Now(), d
}

func (m *model) source(area string, d oci.Digest) {
	object := sourceObject(area, d)
	m.at[object], m.blobs[object] = time.Now(), d
}

func (m *model) record(r noted) {
	m.at[r.object()], m.records[r.object()] = time.Now(), r
}

func (r noted) object() string {
	if r.fetched {
		return fetchedObject(r.Name, r.Reference.String())
	}
	return recordObject(r.Name, r.Reference.String())
}

// had makes a blob young, or where it can be fetched.
func (m *model) had(area string, d oci.Digest) bool {
	return m.touch(blobObject(area, d)) || m.touch(sourceObject(area, d))
}

// put is a PUT of a manifest, and says whether it is accepted.
func (m *model) put(n oci.Name, t *thing, tags ...oci.Tag) bool {
	whole := true
	for _, b := range t.blobs {
		whole = m.had(n.Area, b.Digest) && whole
	}
	for _, d := range t.far {
		whole = m.had(n.Area, d) && whole
	}
	for _, c := range t.children {
		whole = (m.renew(n, byDigest(c.Digest)) || m.touch(sourceObject(n.Area, c.Digest))) && whole
	}
	if !whole {
		return false
	}
	m.blob(n.Area, t.Digest)
	m.record(noted{n, byDigest(t.Digest), false, t})
	if !t.subject.IsZero() {
		object := entryObject(n, t.subject, t.Digest)
		m.at[object], m.entries[object] = time.Now(), true
	}
	for _, tag := range tags {
		m.record(noted{n, oci.Reference{Tag: tag}, false, t})
	}
	return true
}

// renew is a HEAD of a manifest by a pusher, and says whether it is there.
func (m *model) renew(n oci.Name, ref oci.Reference) bool {
	object := recordObject(n, ref.String())
	r, ok := m.records[object]
	switch {
	case !ok:
		return false
	case m.at[object].Equal(time.Now()):
		return true
	case !m.has(blobObject(n.Area, r.thing.Digest)):
		return false
	}
	t := r.thing
	for _, b := range slices.Concat(t.blobs, t.others) {
		m.had(n.Area, b.Digest)
	}
	for _, d := range t.far {
		m.had(n.Area, d)
	}
	for _, c := range t.children {
		if !m.renew(n, byDigest(c.Digest)) {
			m.touch(sourceObject(n.Area, c.Digest))
		}
	}
	for _, c := range t.inside {
		if !m.renew(n, byDigest(c.Digest)) {
			m.touch(blobObject(n.Area, c.Digest))
		}
	}
	m.touch(entryObject(n, t.subject, t.Digest))
	m.blob(n.Area, t.Digest)
	m.record(noted{n, byDigest(t.Digest), false, t})
	m.touch(object)
	return true
}

// delete is a DELETE of a manifest or tag.
func (m *model) delete(n oci.Name, ref oci.Reference) bool {
	object := recordObject(n, ref.String())
	r, ok := m.records[object]
	if !ok {
		return false
	}
	if ref.IsDigest() {
		for other, tag := range m.records {
			if tag.Name == n && !tag.fetched && tag.thing == r.thing {
				m.remove(other)
			}
		}
		m.remove(entryObject(n, r.subject, ref.Digest))
	}
	m.remove(object)
	return true
}

// wantsFetched is a GET of what was fetched.
func (m *model) wantsFetched(n oci.Name, ref oci.Reference) *thing {
	r, ok := m.records[fetchedObject(n, ref.String())]
	if !ok || !m.has(blobObject(n.Area, r.thing.Digest)) {
		return nil
	}
	m.touch(fetchedObject(n, r.thing.Digest.String()))
	return r.thing
}

// prune removes what has to go, and says what that is.
func (m *model) prune(a local.Ages) (gone []string) {
	isOld := func(object string, age time.Duration) bool { return time.Since(m.at[object]) >= age }
	needed := map[string]bool{} // objects
	wanted := map[string]map[oci.Digest]bool{}
	for object, r := range m.records {
		repository := r.Name.Area + "//" + r.Repository
		if wanted[repository] == nil {
			wanted[repository] = map[oci.Digest]bool{}
			for _, t := range m.kept(r.Name, a) {
				m.needs(r.Name.Area, t, needed)
				if !t.subject.IsZero() {
					needed[entryObject(r.Name, t.subject, t.Digest)] = true
				}
			}
		}
		if r.fetched && !isOld(object, a.Cache) {
			wanted[repository][r.thing.Digest] = true
			m.needsFetched(r.Name.Area, r.thing, needed)
		}
	}
	for object, r := range m.records {
		switch {
		case r.fetched && isOld(object, a.Cache) && !wanted[r.Name.Area+"//"+r.Repository][r.thing.Digest]:
			gone = append(gone, object)
		case !r.fetched && a.Manifest > 0 && isOld(object, a.Manifest) && !m.staysWithOthers(r, a):
			gone = append(gone, object)
		}
	}
	uses := map[string]bool{}
	for object, parts := range m.parts {
		for _, p := range parts {
			uses[p] = uses[p] || !isOld(object, a.Upload)
		}
	}
	for object := range m.at {
		_, isRecord := m.records[object]
		area, _, _ := strings.Cut(object, "/")
		d, isBlob := m.blobs[object]
		stays := isRecord || !isOld(object, a.Upload) || isBlob && needed[blobObject(area, d)] || m.entries[object] && needed[object] || uses[object]
		if !stays {
			gone = append(gone, object)
		}
	}
	for _, object := range gone {
		m.remove(object)
	}
	slices.Sort(gone)
	return gone
}

// kept are the manifests of a repository that stay: those of young records, and all that
// belongs to one which is kept.
func (m *model) kept(n oci.Name, a local.Ages) map[oci.Digest]*thing {
	kept := map[oci.Digest]*thing{}
	for before := -1; before < len(kept); {
		before = len(kept)
		for object, r := range m.records {
			if r.Name != n || r.fetched {
				continue
			}
			t := r.thing
			young := a.Manifest == 0 || time.Since(m.at[object]) < a.Manifest
			refers := r.IsDigest() && kept[t.subject] != nil && m.has(blobObject(n.Area, t.Digest))
			if young || refers || !r.IsDigest() && isCalledAfter(r.Tag, kept) {
				kept[t.Digest] = t
			}
		}
		for _, t := range maps.Clone(kept) {
			if !m.has(blobObject(n.Area, t.Digest)) {
				continue
			}
			for _, c := range t.children {
				kept[c.Digest] = c
			}
			for _, c := range t.inside {
				if m.isNamed(n, c) {
					kept[c.Digest] = c
				}
			}
		}
	}
	return kept
}

func (m *model) isNamed(n oci.Name, t *thing) bool {
	for _, r := range m.records {
		if r.Name == n && !r.fetched && r.thing == t {
			return true
		}
	}
	return false
}

func isCalledAfter(tag oci.Tag, kept map[oci.Digest]*thing) bool {
	for d := range kept {
		if name := strings.Replace(d.String(), ":", "-", 1); strings.HasPrefix(tag.String(), name[:len("sha256-")+64]+".") {
			return true
		}
	}
	return false
}

// staysWithOthers says whether an old record belongs to what is kept.
func (m *model) staysWithOthers(r noted, a local.Ages) bool {
	kept := m.kept(r.Name, a)
	return r.IsDigest() && kept[r.thing.Digest] != nil || !r.IsDigest() && isCalledAfter(r.Tag, kept)
}

// needs notes the blobs of a manifest that stays, and of what is in it.
func (m *model) needs(area string, t *thing, needed map[string]bool) {
	if !m.has(blobObject(area, t.Digest)) {
		return
	}
	m.needsFetched(area, t, needed)
	for _, c := range t.children {
		needed[blobObject(area, c.Digest)] = true
	}
}

func (m *model) needsFetched(area string, t *thing, needed map[string]bool) {
	if !m.has(blobObject(area, t.Digest)) {
		return
	}
	needed[blobObject(area, t.Digest)] = true
	for _, b := range slices.Concat(t.blobs, t.others) {
		needed[blobObject(area, b.Digest)] = true
	}
	for _, d := range t.far {
		needed[blobObject(area, d)] = true
	}
	for _, c := range t.inside {
		needed[blobObject(area, c.Digest)] = true
	}
}

// life is a store beside its model.
type life struct {
	*world
	*rand.Rand
	model   *model
	watched *watchedParts
	names   []oci.Name
	things  []*thing
	uploads []begun
	serial  int
	story   []string
}

// begun is an upload.
type begun struct {
	oci.Name
	id, content string
}

// watchedParts is a store that knows the last parts of an upload.
type watchedParts struct {
	storage.Driver
	parts []string
}

func (w *watchedParts) Append(ctx context.Context, directory string, parts []storage.Part, content io.Reader) ([]storage.Part, storage.Stored, error) {
	all, stored, err := w.Driver.Append(ctx, directory, parts, content)
	w.parts = nil
	for _, p := range all {
		w.parts = append(w.parts, p.Name)
	}
	return all, stored, err
}

func newLife(t *testing.T, seed uint64) *life {
	watched := &watchedParts{Driver: memory.New()}
	l := &life{world: newWorld(t, watched), Rand: rand.New(rand.NewPCG(seed, 7)), model: newModel(), watched: watched}
	for _, name := range []string{"a", "a/b", "manifests", "quay.io//a"} {
		l.names = append(l.names, l.named(name))
	}
	return l
}

func (l *life) live() {
	for range 3 + l.IntN(4) {
		for range 5 + l.IntN(40) {
			l.act()
			l.rest()
		}
		l.pruneBoth()
		if l.Failed() {
			l.Fatalf("what was done:\n%s", strings.Join(l.story, "\n"))
		}
	}
}

func (l *life) rest() {
	switch l.IntN(4) {
	case 0:
	case 1:
		time.Sleep(time.Duration(1+l.IntN(5)) * time.Hour)
	default:
		time.Sleep(time.Duration(1+l.IntN(72)) * time.Hour)
	}
}

// tell notes what is done.
func (l *life) tell(format string, args ...any) {
	l.story = append(l.story, time.Now().Format("2006-01-02 15h ")+fmt.Sprintf(format, args...))
}

// agrees asserts that the registry answers as the model does.
func (l *life) agrees(err error, model bool, code oci.Code) {
	l.Helper()
	if model && err != nil || !model && !errors.Is(err, code) {
		l.Fatalf("%v; the model says %v\nwhat was done:\n%s", err, model, strings.Join(l.story, "\n"))
	}
}

func (l *life) chance(n int) bool { return l.IntN(n) == 0 }

func (l *life) name() oci.Name { return l.names[l.IntN(len(l.names))] }

func (l *life) thing() *thing {
	if len(l.things) == 0 || l.chance(3) {
		l.things = append(l.things, l.invent())
		return l.things[len(l.things)-1]
	}
	// The newest are of most interest.
	return l.things[len(l.things)-1-l.IntN(min(len(l.things), 1+l.IntN(20)))]
}

// tags are some for a thing: of its own, that move, and such as say what it belongs to.
func (l *life) tags() (all []oci.Tag) {
	for range l.IntN(3) {
		text := fmt.Sprint("tag-", l.IntN(4))
		if l.chance(3) && len(l.things) > 0 {
			name := strings.Replace(l.thing().Digest.String(), ":", "-", 1)
			text = name[:len("sha256-")+64] + ".sig"
		}
		all = append(all, tagOf(text))
	}
	return all
}

// reference is one that there may be.
func (l *life) reference() oci.Reference {
	if l.chance(2) {
		return byDigest(l.thing().Digest)
	}
	return byTag(fmt.Sprint("tag-", l.IntN(4)))
}

func (l *life) act() {
	n := l.name()
	switch l.IntN(20) {
	case 0, 1, 2, 3, 4, 5:
		l.push(n, l.thing(), l.tags()...)
	case 6, 7:
		l.putAlone(n, l.thing(), l.tags()...)
	case 8, 9:
		l.head(n, l.reference())
	case 10:
		l.deleteOne(n, l.reference())
	case 11, 12:
		l.keepFetched(n, l.thing())
	case 13, 14:
		l.getFetched(n, l.reference())
	case 15:
		l.headBlob(n, l.thing())
	case 16:
		l.beginUpload(n)
	case 17, 18:
		l.goOnWithAnUpload()
	default:
		l.pullAll()
	}
}

// invent makes something new, of which the parts may be old.
func (l *life) invent() *thing {
	l.serial++
	salt, t := fmt.Sprint("number ", l.serial), &thing{}
	g := &goods{algorithm: oci.SHA256}
	if l.chance(4) {
		g.algorithm = oci.SHA512
	}
	var below []*thing
	for range 1 + l.IntN(3) {
		if len(l.things) > 0 {
			below = append(below, l.anyThing())
		}
	}
	var layers []string
	for range l.IntN(4) {
		layers = append(layers, fmt.Sprint("layer ", l.IntN(12)))
	}
	switch kind := l.IntN(8); {
	case kind < 3 || len(below) == 0:
		t.Manifest = g.image(oneOf(l, oci.MediaTypeImageManifest, oci.MediaTypeDockerManifest), "config of "+salt, layers...)
	case kind < 5:
		t.children = below
		t.Manifest = g.add(oneOf(l, oci.MediaTypeImageIndex, oci.MediaTypeDockerList), `{"schemaVersion":2,"manifests":%s,"annotations":{"is":"%s"}}`,
			inJSON(descriptorsOf(below)), salt)
	case kind == 5:
		t.subject = below[0].Digest
		t.Manifest = g.about(below[0].Descriptor, "signature of "+salt)
	case kind == 6: // all in one
		far := oci.Descriptor{MediaType: "application/x", Digest: g.algorithm.Sum([]byte("far " + salt)), Size: 1}
		t.far, t.children, t.subject = []oci.Digest{far.Digest}, below, below[0].Digest
		t.Manifest = g.add("application/x-all", `{"layers":%s,"blobs":[%s],"manifests":%s,"subject":%s}`,
			g.list("application/x", layers...), inJSON(far), inJSON(descriptorsOf(below)), inJSON(below[0].Descriptor))
	default:
		t.inside = below
		other := "thing of " + salt
		t.others = []bit{{g.algorithm.Sum([]byte(other)), other}}
		t.Manifest = g.add("application/x-nobody-knows", `{"layers":%s,"x":[{"y":%s}],"z":[{"digest":"%s"}]}`,
			g.list("application/x", layers...), inJSON(descriptorsOf(below)), t.others[0].Digest)
	}
	for _, b := range g.blobs {
		t.blobs = append(t.blobs, bit{g.algorithm.Sum([]byte(b)), b})
	}
	return t
}

func (l *life) anyThing() *thing { return l.things[l.IntN(len(l.things))] }

func oneOf(l *life, all ...string) string { return all[l.IntN(len(all))] }

func descriptorsOf(things []*thing) (all []oci.Descriptor) {
	for _, t := range things {
		all = append(all, t.Descriptor)
	}
	return all
}

// push pushes a thing with all that it needs, as a client does who asks what is there, or
// does not ask.
func (l *life) push(n oci.Name, t *thing, tags ...oci.Tag) {
	for _, b := range slices.Concat(t.blobs, t.others) {
		l.pushBlob(n, b)
	}
	for _, d := range t.far {
		if !l.model.had(n.Area, d) {
			l.ok(l.KeepSource(l.Context(), n.Area, d, oci.PublicName{Namespace: "quay.io", Repository: "a"}))
			l.model.source(n.Area, d)
		}
	}
	for _, c := range slices.Concat(t.children, t.inside) {
		if known := l.chance(2) && l.head(n, byDigest(c.Digest)); !known {
			l.push(n, c)
		}
	}
	if !l.putAlone(n, t, tags...) {
		l.Fatalf("a whole manifest is refused\nwhat was done:\n%s", strings.Join(l.story, "\n"))
	}
}

func (l *life) pushBlob(n oci.Name, b bit) {
	if l.chance(2) {
		var err error
		if l.chance(2) {
			_, err = l.StatBlob(l.Context(), n, b.Digest)
		} else {
			_, err = l.MountBlob(l.Context(), n, oci.Name{}, b.Digest)
		}
		there := l.model.touch(blobObject(n.Area, b.Digest))
		if l.agrees(err, there, oci.BlobUnknown); there {
			return
		}
	}
	if l.chance(4) {
		in, err := l.Receive(l.Context(), n, oci.Descriptor{Digest: b.Digest, Size: int64(len(b.content))})
		l.ok(err)
		l.ok(keep(l.Context(), in, strings.NewReader(b.content)))
	} else {
		l.upload(n, b.content, b.Digest.Algorithm())
	}
	l.model.blob(n.Area, b.Digest)
}

// putAlone pushes a manifest, whether what it needs is there or not. Whoever pushes what
// nobody knows has asked for its blobs.
func (l *life) putAlone(n oci.Name, t *thing, tags ...oci.Tag) bool {
	l.tell("PUT %s to %s as %v", brief(t.Digest), n, tags)
	for _, b := range t.others {
		_, err := l.StatBlob(l.Context(), n, b.Digest)
		there := l.model.touch(blobObject(n.Area, b.Digest))
		if l.agrees(err, there, oci.BlobUnknown); !there {
			return false
		}
	}
	for _, c := range t.inside {
		if !l.head(n, byDigest(c.Digest)) {
			return false
		}
	}
	err := l.PutManifest(l.Context(), n, t.Manifest, tags...)
	accepted := l.model.put(n, t, tags...)
	l.agrees(err, accepted, oci.ManifestBlobUnknown)
	return accepted
}

func brief(d oci.Digest) string { return d.String()[:14] }

func (l *life) head(n oci.Name, ref oci.Reference) bool {
	l.tell("HEAD %s of %s", ref, n)
	_, err := l.RenewManifest(l.Context(), n, ref)
	there := l.model.renew(n, ref)
	l.agrees(err, there, oci.ManifestUnknown)
	return there
}

func (l *life) headBlob(n oci.Name, t *thing) {
	for _, b := range slices.Concat(t.blobs, t.others) {
		_, err := l.StatBlob(l.Context(), n, b.Digest)
		l.agrees(err, l.model.touch(blobObject(n.Area, b.Digest)), oci.BlobUnknown)
	}
}

func (l *life) deleteOne(n oci.Name, ref oci.Reference) {
	l.tell("DELETE %s of %s", ref, n)
	l.agrees(l.DeleteManifest(l.Context(), n, ref), l.model.delete(n, ref), oci.ManifestUnknown)
}

func (l *life) keepFetched(n oci.Name, t *thing) {
	l.tell("fetch %s of %s", brief(t.Digest), n)
	var tag oci.Tag
	if l.chance(2) {
		tag = tagOf(fmt.Sprint("tag-", l.IntN(4)))
		l.model.record(noted{n, oci.Reference{Tag: tag}, true, t})
	}
	l.ok(l.KeepManifest(l.Context(), n, t.Manifest, tag))
	l.model.blob(n.Area, t.Digest)
	l.model.record(noted{n, byDigest(t.Digest), true, t})
	for _, b := range t.blobs {
		if l.chance(2) {
			l.pushBlob(n, b)
		}
	}
}

// getFetched is what a pull through us does about a reference.
func (l *life) getFetched(n oci.Name, ref oci.Reference) {
	l.tell("GET %s of %s as fetched", ref, n)
	switch l.IntN(6) {
	case 0:
		l.ok(l.ConfirmManifest(l.Context(), n, ref))
		l.model.touch(fetchedObject(n, ref.String()))
	case 1:
		l.ok(l.ForgetManifest(l.Context(), n, ref))
		l.model.remove(fetchedObject(n, ref.String()))
	default:
		m, _, err := l.FetchedManifest(l.Context(), n, ref)
		t := l.model.wantsFetched(n, ref)
		if l.agrees(err, t != nil, oci.ManifestUnknown); t != nil && !bytes.Equal(m.Content, t.Content) {
			l.Errorf("fetched: %s, want %s", m.Digest, t.Digest)
		}
	}
}

func (l *life) beginUpload(n oci.Name) {
	l.watched.parts = nil
	u := begun{Name: n, content: strings.Repeat("u", l.IntN(3))}
	u.id = l.begin(n, u.content)
	l.tell("POST %s to %s", u.id, n)
	l.uploads = append(l.uploads, u)
	l.noteUpload(u)
}

// noteUpload notes an upload that was left, and which part is new.
func (l *life) noteUpload(u begun) {
	object := uploadObject(u.Area, u.id)
	for _, p := range l.watched.parts {
		if !slices.Contains(l.model.parts[object], p) {
			l.model.at[p] = time.Now()
			l.model.parts[object] = append(l.model.parts[object], p)
		}
	}
	l.model.at[object] = time.Now()
	if l.model.parts[object] == nil {
		l.model.parts[object] = []string{}
	}
}

func (l *life) goOnWithAnUpload() {
	if len(l.uploads) == 0 {
		return
	}
	i := l.IntN(len(l.uploads))
	u, object := &l.uploads[i], uploadObject(l.uploads[i].Area, l.uploads[i].id)
	l.tell("go on with %s", u.id)
	request, err := l.ResumeUpload(l.Context(), u.Name, u.id)
	there := l.model.touch(object)
	l.agrees(err, there, oci.BlobUploadUnknown)
	if !there {
		l.uploads = slices.Delete(l.uploads, i, i+1)
		return
	}
	l.watched.parts = nil
	switch l.IntN(4) {
	case 0:
		l.ok(request.Cancel(l.Context()))
		l.endUpload(object)
	case 1:
		d := oci.SHA256.Sum([]byte(u.content))
		_, err := request.Commit(l.Context(), d)
		l.ok(err)
		l.endUpload(object)
		l.model.blob(u.Area, d)
		l.ok(l.read(u.Name, d, u.content))
	case 2:
		l.ok(request.Append(l.Context(), request.Size(), strings.NewReader("more")))
		u.content += "more"
		fallthrough
	default:
		l.ok(request.Close(l.Context()))
		l.noteUpload(*u)
	}
}

func (l *life) endUpload(object string) {
	for _, p := range l.model.parts[object] {
		l.model.remove(p)
	}
	l.model.remove(object)
}

// pruneBoth prunes the store and the model with some ages.
func (l *life) pruneBoth() {
	a := local.Ages{Manifest: time.Duration(l.IntN(20*24)) * time.Hour, Upload: time.Duration(1+l.IntN(5*24)) * time.Hour, Cache: time.Duration(1+l.IntN(10*24)) * time.Hour}
	if l.chance(4) {
		a.Manifest = 0
	}
	l.tell("prune %+v", a)
	would, err := l.pruneWith(l.Context(), local.Pruning{Ages: a, DryRun: true})
	l.ok(err)
	did := l.prune(a)
	want := l.model.prune(a)
	if got := names(would); !slices.Equal(got, want) {
		l.Errorf("a dry run would remove what the model does not, and the other way round: %q", difference(got, want))
	}
	if got := names(did); !slices.Equal(got, want) {
		l.Errorf("it removes what the model does not, and the other way round: %q", difference(got, want))
	}
	if got, want := slices.Sorted(slices.Values(l.objects())), slices.Sorted(maps.Keys(l.model.at)); !slices.Equal(got, want) {
		l.Errorf("there is what is not in the model, and the other way round: %q", difference(got, want))
	}
	l.pullAll()
}

// difference is what only one of two sets has.
func difference(a, b []string) (all []string) {
	for _, s := range a {
		if !slices.Contains(b, s) {
			all = append(all, "+"+s)
		}
	}
	for _, s := range b {
		if !slices.Contains(a, s) {
			all = append(all, "-"+s)
		}
	}
	return all
}

// pullAll pulls all that was pushed and not deleted.
func (l *life) pullAll() {
	for object, r := range l.model.records {
		if r.fetched {
			continue
		}
		if err := l.pullOne(r.Name, r.Reference, r.thing); err != nil {
			l.Errorf("%s: %v", object, err)
		}
	}
}

// pullOne pulls a manifest with all that it needs, which is here or where it can be fetched.
func (l *life) pullOne(n oci.Name, ref oci.Reference, t *thing) error {
	if err := l.readManifest(n, ref, t.Manifest); err != nil {
		return err
	}
	for _, b := range slices.Concat(t.blobs, t.others) {
		if err := l.read(n, b.Digest, b.content); err != nil {
			return err
		}
	}
	for _, d := range t.far {
		if _, err := l.Source(l.Context(), n.Area, d); err != nil {
			return err
		}
	}
	for _, c := range slices.Concat(t.children, t.inside) {
		err := l.read(n, c.Digest, string(c.Content))
		if _, recorded := l.model.records[recordObject(n, c.Digest.String())]; recorded && err == nil {
			err = l.pullOne(n, byDigest(c.Digest), c)
		}
		if err != nil {
			return err
		}
	}
	return l.isListed(n, t.Manifest)
}
