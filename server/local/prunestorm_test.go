package local_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"opendev.org/zuul/zuul-registry/server/local"
	"opendev.org/zuul/zuul-registry/server/oci"
	"opendev.org/zuul/zuul-registry/server/storage"
	"opendev.org/zuul/zuul-registry/server/storage/filesystem"
	"opendev.org/zuul/zuul-registry/server/storage/swift/pretend"
)

// Everything at once, with ages so short that things expire and come back all the time:
// clients push, push again, delete and pull, and several processes prune without a pause.
// Whatever was acknowledged is whole for as long as it was promised, nobody sees a fault
// of the store, and at the end nothing stays that nobody needs.
func TestPruneStorm(t *testing.T) {
	for store, w := range map[string]weather{
		"filesystem": {
			open: onFiles, pushers: 8, pushes: 2000, rest: 1, most: 3, contents: 400,
			ages: local.Ages{Manifest: time.Second, Upload: 400 * time.Millisecond, Cache: 700 * time.Millisecond},
		},
		"swift": {
			open: onSwift, pushers: 4, pushes: 400, rest: 20, most: 2, contents: 100,
			ages: local.Ages{Manifest: 1600 * time.Millisecond, Upload: 1200 * time.Millisecond, Cache: 1200 * time.Millisecond},
		},
	} {
		if testing.Short() {
			w.pushes /= 5
		}
		t.Run(store, func(t *testing.T) { newStorm(t, w).run() })
	}
}

// weather is what a storm is like.
type weather struct {
	open     func(t *testing.T) (serve, prune []storage.Driver)
	ages     local.Ages
	pushers  int
	pushes   int // that are to be acknowledged
	rest     int // pushes in which a prune may begin
	most     int // layers of an image
	contents int // of layers
}

// onFiles are two that share a driver, and the process of the command prune.
func onFiles(t *testing.T) (serve, prune []storage.Driver) {
	root := t.TempDir()
	d, err := filesystem.New(filesystem.Options{Root: root})
	if err != nil {
		t.Fatal(err)
	}
	attached, err := filesystem.Attach(root)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = attached.Close(), d.Close() })
	return []storage.Driver{d, d}, []storage.Driver{d, d, attached}
}

// onSwift are replicas, and the process of the command: only one process removes what is
// old at a time.
func onSwift(t *testing.T) (serve, prune []storage.Driver) {
	s := pretend.New(t)
	return []storage.Driver{s.Open(), s.Open()}, []storage.Driver{s.Open()}
}

// storm is the test while it runs.
type storm struct {
	*testing.T
	weather
	store   storage.Driver
	servers []*local.Registry
	pruners []*local.Registry
	shared  [][]byte // layers of many images
	layers  pool
	far     pool     // what is not here
	catalog []*wares // of the repository that all pushers share
	book    book
	tally   tally
	left    atomic.Int64 // pushes
	faults  atomic.Int64
	enough  atomic.Bool // faults
	prunes  atomic.Int64
	due     chan struct{} // takes a value when a prune may begin
}

// thought is what a client may need for one.
const thought = 100 * time.Millisecond

// margin is by how much a file's time may be behind the clock.
const margin = 20 * time.Millisecond

func newStorm(t *testing.T, w weather) *storm {
	t.Helper()
	s := &storm{T: t, weather: w, due: make(chan struct{}, 1)}
	serve, prune := w.open(t)
	s.store = serve[0]
	for _, d := range serve {
		s.servers = append(s.servers, local.New(frail{d}, local.Options{Grace: w.ages.Upload}))
	}
	for _, d := range prune {
		s.pruners = append(s.pruners, local.New(d, local.Options{}))
	}
	for i := range w.contents {
		s.layers.all = append(s.layers.all, aged[[]byte]{it: bytes.Repeat(fmt.Appendf(nil, "layer %d;", i), 1+rand.IntN(200))})
	}
	for i := range w.contents / 4 {
		s.far.all = append(s.far.all, aged[[]byte]{it: fmt.Appendf(nil, "elsewhere %d", i)})
	}
	for i := range 3 {
		s.shared = append(s.shared, fmt.Appendf(nil, "shared layer %d", i))
	}
	for i := range 12 {
		s.catalog = append(s.catalog, s.image(fmt.Sprint("of all, ", i)))
	}
	s.left.Store(int64(w.pushes))
	return s
}

func (s *storm) run() {
	begin := time.Now()
	var clients, prunes sync.WaitGroup
	for i := range s.pushers {
		p := &pusher{storm: s, number: i, name: s.repository(fmt.Sprint("storm/", i)), attached: map[*wares][]promised{}}
		clients.Go(p.run)
	}
	for range 2 {
		prunes.Go(func() {
			for range s.due {
				n := s.prunes.Add(1)
				s.prune(s.pruners[int(n)%len(s.pruners)], s.ages, n%10 == 0)
			}
		})
	}
	clients.Wait()
	close(s.due)
	prunes.Wait()
	took := time.Since(begin)
	s.check()
	s.prune(s.pruners[0], local.Ages{Manifest: 1}, false) // all has expired
	if left := objects(s.T, s.store, "."); left != nil {
		s.Errorf("%d objects are left, the first of them %q", len(left), left[:min(len(left), 10)])
	}
	s.Logf("%v: %s", took.Round(time.Millisecond), &s.tally)
	if again := s.tally.of("too slow") + s.tally.of("told too long ago"); 2*again > s.pushes {
		s.Errorf("%d of %d pushes were too slow to be sure of anything", again, s.pushes)
	}
}

// fault is an error of the test, the first few of which are enough.
func (s *storm) fault(format string, args ...any) {
	const most = 20
	if s.faults.Add(1) <= most {
		s.Errorf(format, args...)
	} else {
		s.enough.Store(true)
	}
}

func (s *storm) prune(r *local.Registry, ages local.Ages, dry bool) {
	var said bytes.Buffer
	err := r.Prune(s.Context(), local.Pruning{
		Ages: ages, DryRun: dry, Log: slog.New(slog.NewTextHandler(&said, nil)),
		Removed: func(r local.Removal) {
			if !dry {
				s.tally.add(string(r.Kind) + " removed")
			}
		},
		Progress: func(int) {},
	})
	s.tally.add("prunes")
	if err != nil {
		s.fault("Prune: %v\n%s", err, &said)
	}
	if strings.Contains(said.String(), "left to another prune") {
		s.tally.add("prunes that met another")
	}
}

func (s *storm) check() {
	err := s.servers[0].Check(s.Context(), local.Inspection{
		Report:   func(f local.Fault) { s.Errorf("Check: %s: %s", f.Object, f.Problem) },
		Progress: func(int, int) {},
	})
	if err != nil {
		s.Errorf("Check: %v", err)
	}
}

func (s *storm) server() *local.Registry { return s.servers[rand.IntN(len(s.servers))] }

// isSure says whether there was no time to forget in what was said then.
func (s *storm) isSure(then time.Time) bool { return time.Since(then) <= s.ages.Upload/2 }

func (s *storm) repository(path string) oci.Name {
	n, err := oci.ParseName(path)
	if err != nil {
		s.Fatal(err)
	}
	return n
}

func tagged(format string, args ...any) oci.Tag {
	tag, err := oci.ParseTag(fmt.Sprintf(format, args...))
	if err != nil {
		panic(err)
	}
	return tag
}

// chance is true once in n times.
func chance(n int) bool { return rand.IntN(n) == 0 }

func one[T any](of []T) T { return of[rand.IntN(len(of))] }

// aged is something that was used once.
type aged[T any] struct {
	it T
	at time.Time
}

// ripeness is an age at which prune may be about to take what nobody has pushed since.
func (s *storm) ripeness() time.Duration { return s.ages.Manifest + rand.N(s.ages.Upload/2) }

// ripe is the index of one of some of them, which is about as old.
func ripe[T any](all []aged[T], age time.Duration) (best int) {
	distance := func(i int) time.Duration { return (time.Since(all[i].at) - age).Abs() }
	best = rand.IntN(len(all))
	for range 8 {
		if i := rand.IntN(len(all)); distance(i) < distance(best) {
			best = i
		}
	}
	return best
}

// pool are contents of layers, which come back when they may be going.
type pool struct {
	mu  sync.Mutex
	all []aged[[]byte]
}

func (p *pool) take(age time.Duration) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	one := &p.all[ripe(p.all, age)]
	one.at = time.Now()
	return one.it
}

// tally counts what happens.
type tally struct {
	mu     sync.Mutex
	counts map[string]int
}

func (t *tally) add(what string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.counts == nil {
		t.counts = map[string]int{}
	}
	t.counts[what]++
}

func (t *tally) of(what string) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.counts[what]
}

func (t *tally) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var all []string
	for _, what := range slices.Sorted(maps.Keys(t.counts)) {
		all = append(all, fmt.Sprintf("%s %d", what, t.counts[what]))
	}
	return strings.Join(all, ", ")
}

// wares are a manifest with what it needs.
type wares struct {
	oci.Manifest
	blobs     [][]byte
	elsewhere []oci.Digest // blobs that are not here, but have a source
	children  []*wares
	subject   *wares
}

type fields map[string]any

func described(mediaType string, content []byte) fields {
	return fields{"mediaType": mediaType, "digest": oci.SHA256.Sum(content), "size": len(content)}
}

func (s *storm) wares(w wares, mediaType string, f fields) *wares {
	text, err := json.Marshal(f)
	if err == nil {
		w.Manifest, err = oci.NewManifest(mediaType, text, oci.SHA256)
	}
	if err != nil {
		s.Fatal(err)
	}
	return &w
}

// image has layers that other images have, and maybe a config of its own.
func (s *storm) image(note string) *wares {
	w := wares{blobs: [][]byte{[]byte(note)}}
	if chance(3) {
		w.blobs[0] = s.shared[0]
	}
	layers := []fields{}
	for range 1 + rand.IntN(s.most) {
		layer := one(s.shared)
		if !chance(3) {
			layer = s.layers.take(s.ripeness())
		}
		w.blobs = append(w.blobs, layer)
		layers = append(layers, described("layer", layer))
	}
	if chance(5) {
		far := s.far.take(s.ripeness())
		w.elsewhere = append(w.elsewhere, oci.SHA256.Sum(far))
		layers = append(layers, described("layer", far))
	}
	return s.wares(w, oci.MediaTypeImageManifest, fields{
		"schemaVersion": 2, "config": described("config", w.blobs[0]), "layers": layers, "annotations": fields{"note": note},
	})
}

func (s *storm) index(note string, children ...*wares) *wares {
	var manifests []fields
	for _, c := range children {
		manifests = append(manifests, described(c.MediaType, c.Content))
	}
	return s.wares(wares{children: children}, oci.MediaTypeImageIndex,
		fields{"schemaVersion": 2, "manifests": manifests, "annotations": fields{"note": note}})
}

func (s *storm) artifact(note string, subject *wares) *wares {
	w := wares{blobs: [][]byte{[]byte(note)}, subject: subject}
	return s.wares(w, oci.MediaTypeImageManifest, fields{
		"schemaVersion": 2, "artifactType": "application/x", "config": described("config", w.blobs[0]), "layers": []fields{},
		"subject": described(subject.MediaType, subject.Content),
	})
}

// promised is what one can ask for.
type promised struct {
	name    oci.Name
	ref     oci.Reference
	fetched bool // and not pushed
}

func (k promised) String() string {
	return fmt.Sprintf("%s of %s (fetched: %v)", k.ref, k.name, k.fetched)
}

// promise is what one gets then.
type promise struct {
	*wares
	until  time.Time
	broken int // how often it was taken back
}

// book has all promises.
type book struct {
	mu       sync.Mutex
	promises map[promised]promise
	order    []promised // as they were made
}

// keep makes a promise, or has it last longer.
func (b *book) keep(k promised, w *wares, until time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.promises == nil {
		b.promises = map[promised]promise{}
	}
	p, ok := b.promises[k]
	if !ok || p.wares == nil {
		b.order = append(b.order, k)
	}
	if p.wares != w || p.until.Before(until) {
		p.until = until
	}
	p.wares = w
	b.promises[k] = p
}

// prolong has a promise last longer, if it still does.
func (b *book) prolong(k promised, p promise, until time.Time) {
	if b.holds(k, p) {
		b.keep(k, p.wares, until)
	}
}

// takeBack ends a promise: it is about to be deleted, or to become another.
func (b *book) takeBack(k promised) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if p, ok := b.promises[k]; ok {
		b.promises[k] = promise{broken: p.broken + 1}
	}
}

// get is a promise that holds now.
func (b *book) get(k promised) (promise, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.promises[k]
	return p, time.Now().Before(p.until)
}

// holds says whether a promise held all the time since it was got.
func (b *book) holds(k promised, p promise) bool {
	now, ok := b.get(k)
	return ok && now.broken == p.broken && now.wares == p.wares
}

// recent is any that was made not long ago.
func (b *book) recent() (promised, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	const many = 500
	if len(b.order) == 0 {
		return promised{}, false
	}
	return one(b.order[max(0, len(b.order)-many):]), true
}

// look reads what was promised, or was once: then it may have gone. A deep look is one at
// the blobs, too.
func (s *storm) look(k promised, deep bool) {
	p, ok := s.book.get(k)
	if p.wares == nil || !ok && !chance(8) {
		return
	}
	begin := time.Now()
	err := s.read(s.server(), k, p.wares, deep)
	switch {
	case !ok || !s.book.holds(k, p):
		s.isTold(err, "reading what may have gone")
		s.tally.add("reads too late")
	case err != nil:
		s.fault("%s was promised for another %v: %v", k, time.Until(p.until), err)
	case k.fetched: // and wanted, that is
		s.book.prolong(k, p, begin.Add(s.ages.Cache-s.ages.Upload/8-margin))
	}
	s.tally.add("reads")
}

// isTold asserts that an error is not one of the store.
func (s *storm) isTold(err error, doing string) {
	if _, told := oci.AsError(err); err != nil && !told && !errors.Is(err, errOther) {
		s.fault("%s: %v", doing, err)
	}
}

// errOther is for what has changed meanwhile.
var errOther = errors.New("it is not what was promised")

func (s *storm) read(r *local.Registry, k promised, w *wares, deep bool) error {
	var m oci.Manifest
	var err error
	if k.fetched {
		m, _, err = r.FetchedManifest(s.Context(), k.name, k.ref)
	} else {
		m, err = r.GetManifest(s.Context(), k.name, k.ref)
	}
	if err == nil && (m.Digest != w.Digest || m.MediaType != w.MediaType || !bytes.Equal(m.Content, w.Content)) {
		err = errOther
	}
	if err != nil || !deep {
		return err
	}
	for _, b := range w.blobs {
		if err == nil {
			err = s.readBlob(r, k.name, b)
		}
	}
	for _, d := range w.elsewhere {
		if err == nil && !k.fetched {
			_, err = r.Source(s.Context(), k.name.Area, d)
		}
	}
	for _, c := range w.children {
		if err == nil {
			err = s.read(r, promised{name: k.name, ref: oci.Reference{Digest: c.Digest}}, c, true)
		}
	}
	if err == nil && w.subject != nil {
		err = s.isReferrer(r, k.name, w)
	}
	return err
}

func (s *storm) readBlob(r *local.Registry, name oci.Name, want []byte) error {
	b, err := r.OpenBlob(s.Context(), name, oci.SHA256.Sum(want))
	if err != nil {
		return err
	}
	got, err := io.ReadAll(b.Content)
	if err == nil && !bytes.Equal(got, want) {
		err = fmt.Errorf("the blob %s has other content", b.Digest)
	}
	return errors.Join(err, b.Content.Close())
}

func (s *storm) isReferrer(r *local.Registry, name oci.Name, w *wares) error {
	for d, err := range r.Referrers(s.Context(), name, w.subject.Digest) {
		if err != nil || d.Digest == w.Digest {
			return err
		}
	}
	return oci.Errorf(oci.ManifestUnknown, "%s is not listed as referring to %s", w.Digest, w.subject.Digest)
}

// frail is a store that fails where a process may end that pushes, if the context says so.
type frail struct{ storage.Driver }

type crash string

const (
	beforeBlob crash = "before the blob is made"
	afterBlob  crash = "after the blob is made"
	afterAll   crash = "before the upload is gone"
)

var errCrash = errors.New("the process has ended")

func (f frail) Concat(ctx context.Context, name string, parts []storage.Part) error {
	switch ctx.Value(errCrash) {
	case beforeBlob:
		return errCrash
	case afterBlob:
		return errors.Join(f.Driver.Concat(ctx, name, parts), errCrash)
	}
	return f.Driver.Concat(ctx, name, parts)
}

func (f frail) Delete(ctx context.Context, name string) error {
	if ctx.Value(errCrash) == afterAll && strings.Contains(name, "/uploads/") {
		return errCrash
	}
	return f.Driver.Delete(ctx, name)
}

// pusher is a client that pushes one thing after the other.
type pusher struct {
	*storm
	number   int
	name     oci.Name // of its repository, in which nobody else tags or deletes
	serial   int
	past     []aged[*wares]
	again    []promised            // to be looked at shortly before they may go
	attached map[*wares][]promised // to what was pushed
	pinned   map[*wares]bool       // others need it
}

func (p *pusher) run() {
	p.pinned = map[*wares]bool{}
	for p.left.Load() > 0 && !p.enough.Load() {
		p.lookAgain()
		if k, ok := p.book.recent(); ok && chance(3) {
			p.look(k, true)
		}
		p.serial++
		p.act()
	}
}

func (p *pusher) act() {
	note := fmt.Sprintf("number %d of %d", p.serial, p.number)
	n := rand.IntN(100)
	if len(p.past) < 3 {
		n = 0
	}
	switch {
	case n < 38:
		p.push(p.name, p.image(note), p.someTag())
	case n < 58:
		p.tally.add("pushed again")
		p.push(p.name, p.old(), p.someTag())
	case n < 65:
		p.push(p.repository("storm/all"), one(p.catalog), tagged("by-%d", p.number))
	case n < 77:
		p.push(p.name, p.index(note, p.old(), p.old()), p.someTag())
	case n < 82:
		p.attach(p.artifact(note, p.old()))
	case n < 86:
		p.sign(note, p.old())
	case n < 88:
		p.renew(p.someOld())
	case n < 93:
		p.fetch(note)
	case n < 97:
		p.delete(p.old())
	default:
		p.forget([]byte(note))
	}
}

// old is something that it has pushed. Some of it may have gone.
func (p *pusher) old() *wares {
	const many = 100
	p.past = p.past[max(0, len(p.past)-many):]
	if chance(3) {
		return one(p.past).it
	}
	return p.past[ripe(p.past, p.ripeness())].it
}

// someOld is one of those by its digest, or what a tag is that moves.
func (p *pusher) someOld() promised {
	if chance(2) {
		return promised{name: p.name, ref: oci.Reference{Tag: tagged("moves-%d", rand.IntN(3))}}
	}
	return promised{name: p.name, ref: oci.Reference{Digest: p.old().Digest}}
}

// someTag is a tag that moves, or a new one.
func (p *pusher) someTag() oci.Tag {
	if chance(2) {
		return tagged("moves-%d", rand.IntN(3))
	}
	return tagged("number-%d", p.serial)
}

// lookAgain looks at what may go soon.
func (p *pusher) lookAgain() {
	p.again = slices.DeleteFunc(p.again, func(k promised) bool {
		promise, ok := p.book.get(k)
		if ok && time.Until(promise.until) > p.ages.Upload/4 {
			return false
		}
		if k.ref.IsDigest() || chance(4) {
			p.look(k, true)
		}
		return true
	})
}

// push pushes what is said to be missing and then the manifest, until that is acknowledged
// in time.
func (p *pusher) push(name oci.Name, w *wares, tags ...oci.Tag) bool {
	const most = 50
	for range most {
		done, goOn := p.try(name, w, tags)
		if done || !goOn || p.enough.Load() {
			return done
		}
	}
	p.fault("a push does not come to its end")
	return false
}

func (p *pusher) try(name oci.Name, w *wares, tags []oci.Tag) (done, goOn bool) {
	told := map[oci.Digest]time.Time{}
	for _, b := range w.blobs {
		told[oci.SHA256.Sum(b)] = p.provide(name, b)
	}
	p.point(name, w, told)
	p.ask(name, w, told)
	if chance(3) {
		time.Sleep(rand.N(thought))
	}
	for _, t := range tags {
		p.book.takeBack(promised{name: name, ref: oci.Reference{Tag: t}})
	}
	begin := time.Now()
	err := p.server().PutManifest(p.Context(), name, w.Manifest, tags...)
	switch {
	case err == nil && p.isSure(begin):
		p.acknowledged(name, w, begin, tags)
		return true, false
	case err == nil:
		p.tally.add("too slow")
		return false, true
	case errors.Is(err, oci.ManifestBlobUnknown):
		return false, p.mayMiss(name, w, told, err)
	}
	p.fault("PutManifest: %v", err)
	return false, false
}

// provide has a blob be there, as far as the registry says, and gives the time of that.
func (p *pusher) provide(name oci.Name, content []byte) time.Time {
	d := oci.SHA256.Sum(content)
	for !p.enough.Load() {
		begin := time.Now()
		var err error
		if chance(2) {
			_, err = p.server().StatBlob(p.Context(), name, d)
		} else {
			_, err = p.server().MountBlob(p.Context(), name, oci.Name{}, d)
		}
		if err == nil {
			p.tally.add("blobs there")
			return begin
		}
		if !errors.Is(err, oci.BlobUnknown) {
			p.fault("StatBlob: %v", err)
		}
		if begin, ok := p.send(name, content); ok {
			p.tally.add("blobs uploaded")
			return begin
		}
	}
	return time.Time{}
}

// point says where the blobs are that are not here.
func (p *pusher) point(name oci.Name, w *wares, told map[oci.Digest]time.Time) {
	if len(w.elsewhere) == 0 {
		return
	}
	begin := time.Now()
	missing, err := p.server().Missing(p.Context(), name, w.Manifest)
	p.isTold(err, "Missing")
	for _, d := range w.elsewhere {
		told[d] = begin
	}
	for _, b := range missing.Blobs {
		if slices.Contains(w.elsewhere, b.Digest) {
			told[b.Digest] = time.Now()
			p.isTold(p.server().KeepSource(p.Context(), name.Area, b.Digest, oci.PublicName{Namespace: "quay.io", Repository: "a/b"}), "KeepSource")
		}
	}
}

// ask asks for some of the children, as clients do that do not know them to be there.
func (p *pusher) ask(name oci.Name, w *wares, told map[oci.Digest]time.Time) {
	for _, c := range w.children {
		if chance(3) {
			told[c.Digest] = p.renew(promised{name: name, ref: oci.Reference{Digest: c.Digest}})
		}
	}
}

// renew asks for a manifest as a client does that may rely on it, and gives the time since
// when it may.
func (p *pusher) renew(k promised) (since time.Time) {
	was, promised := p.book.get(k)
	begin := time.Now()
	d, err := p.server().RenewManifest(p.Context(), k.name, k.ref)
	if err != nil && promised && p.book.holds(k, was) {
		p.fault("RenewManifest of %s, which was promised for another %v: %v", k, time.Until(was.until), err)
	}
	p.isTold(err, "RenewManifest")
	p.tally.add("renewed")
	if err != nil || was.wares == nil || was.Digest != d.Digest || !p.isSure(begin) {
		return since
	}
	byDigest := k
	byDigest.ref = oci.Reference{Digest: d.Digest}
	until := begin.Add(p.ages.Manifest - p.ages.Upload/8 - margin)
	p.book.keep(k, was.wares, until)
	p.book.keep(byDigest, was.wares, until)
	p.again = append(p.again, k, byDigest)
	return begin
}

// mayMiss says whether to try once more. What is missing was said to be there too long
// ago; children may have expired.
func (p *pusher) mayMiss(name oci.Name, w *wares, told map[oci.Digest]time.Time, err error) bool {
	fault, _ := oci.AsError(err)
	for _, missing := range fault.Detail.(map[string][]string)["missing"] {
		d, err := oci.ParseDigest(missing)
		if err != nil {
			p.fault("what is missing: %v", err)
		}
		at := told[d]
		_, promised := p.book.get(promised{name: name, ref: oci.Reference{Digest: d}})
		if p.isSure(at) || promised {
			p.fault("%s is missing, which was said to be there %v ago; promised: %v", d, time.Since(at), promised)
		}
	}
	if len(w.children) > 0 {
		p.tally.add("children gone")
		return false
	}
	p.tally.add("told too long ago")
	return true
}

// acknowledged notes what was promised by a push, and looks whether it is so.
func (p *pusher) acknowledged(name oci.Name, w *wares, begin time.Time, tags []oci.Tag) {
	until := begin.Add(p.ages.Manifest - margin)
	keys := []promised{{name: name, ref: oci.Reference{Digest: w.Digest}}}
	for _, t := range tags {
		keys = append(keys, promised{name: name, ref: oci.Reference{Tag: t}})
	}
	for _, k := range keys {
		p.book.keep(k, w, until)
	}
	for _, c := range w.children {
		p.pinned[c] = true
		p.book.keep(promised{name: name, ref: oci.Reference{Digest: c.Digest}}, c, until)
	}
	if name == p.name {
		for _, k := range p.attached[w] { // what belongs to it stays with it
			if attached, ok := p.book.get(k); ok {
				p.book.prolong(k, attached, until)
			}
		}
		p.past = append(p.past, aged[*wares]{w, begin})
	}
	for i, k := range keys {
		p.look(k, i == len(keys)-1)
	}
	p.again = append(p.again, keys...)
	p.tally.add("pushes")
	if left := p.left.Add(-1); left%int64(p.rest) == 0 {
		select {
		case p.due <- struct{}{}:
		default: // one is due
		}
	}
}

// attach pushes what has a subject.
func (p *pusher) attach(w *wares) {
	if p.push(p.name, w) {
		p.pinned[w.subject] = true
		p.attached[w.subject] = append(p.attached[w.subject], promised{name: p.name, ref: oci.Reference{Digest: w.Digest}})
	}
}

// sign pushes something under a tag that says what it belongs to, as cosign does.
func (p *pusher) sign(note string, of *wares) {
	tag := tagged("%s.sig", strings.Replace(of.Digest.String(), ":", "-", 1))
	if w := p.image(note); p.push(p.name, w, tag) {
		p.pinned[of] = true
		p.attached[of] = append(p.attached[of], promised{name: p.name, ref: oci.Reference{Tag: tag}})
	}
}

// fetch keeps an image as if it came from an upstream: the manifest first, and then what
// is not here.
func (p *pusher) fetch(note string) {
	name, w, tag := p.repository(fmt.Sprint("fetched/", p.number)), p.image(note), tagged("moves-%d", rand.IntN(2))
	w.elsewhere = nil
	keys := []promised{{name, oci.Reference{Digest: w.Digest}, true}, {name, oci.Reference{Tag: tag}, true}}
	p.book.takeBack(keys[1])
	begin := time.Now()
	if err := p.server().KeepManifest(p.Context(), name, w.Manifest, tag); err != nil {
		p.fault("KeepManifest: %v", err)
		return
	}
	for _, b := range w.blobs {
		p.receive(name, b)
	}
	p.tally.add("fetched")
	if !p.isSure(begin) {
		return
	}
	for _, k := range keys {
		p.book.keep(k, w, begin.Add(p.ages.Cache-margin))
		p.look(k, true)
	}
	p.again = append(p.again, keys...)
}

func (p *pusher) receive(name oci.Name, content []byte) {
	r, d := p.server(), oci.SHA256.Sum(content)
	_, err := r.StatBlob(p.Context(), name, d)
	if errors.Is(err, oci.BlobUnknown) {
		var in *local.Incoming
		if in, err = r.Receive(p.Context(), name, oci.Descriptor{Digest: d, Size: int64(len(content))}); err == nil {
			err = keep(p.Context(), in, bytes.NewReader(content))
		}
	}
	if err != nil {
		p.fault("receiving a blob: %v", err)
	}
}

// delete deletes a tag that moves, or an image with all its tags, unless others need it.
func (p *pusher) delete(w *wares) {
	k := promised{name: p.name, ref: oci.Reference{Tag: tagged("moves-%d", rand.IntN(3))}}
	if chance(2) && !p.pinned[w] {
		k.ref = oci.Reference{Digest: w.Digest}
		for _, other := range p.book.of(p.name, w) {
			p.book.takeBack(other)
		}
	}
	before, promised := p.book.get(k)
	p.book.takeBack(k)
	err := p.server().DeleteManifest(p.Context(), p.name, k.ref)
	if promised && err != nil {
		p.fault("DeleteManifest of %s, which was promised until %v: %v", k, before.until, err)
	}
	p.isTold(err, "DeleteManifest")
	if _, err := p.server().GetManifest(p.Context(), p.name, k.ref); !errors.Is(err, oci.ManifestUnknown) {
		p.fault("%s is there though it was deleted: %v", k, err)
	}
	p.tally.add("deletes")
}

// of are the promises of a repository that are about the same.
func (b *book) of(name oci.Name, w *wares) (all []promised) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for k, p := range b.promises {
		if k.name == name && p.wares == w {
			all = append(all, k)
		}
	}
	return all
}

// forget begins an upload, and leaves or cancels it.
func (p *pusher) forget(content []byte) {
	u, err := p.server().StartUpload(p.Context(), p.name)
	if err == nil {
		err = u.Append(p.Context(), 0, bytes.NewReader(content))
	}
	if err == nil && chance(4) {
		err = u.Cancel(p.Context())
	}
	if err = errors.Join(err, u.Close(p.Context())); err != nil {
		p.fault("an upload that is not finished: %v", err)
	}
	p.tally.add("uploads left")
}

// sending is an upload as its client sees it.
type sending struct {
	*pusher
	name  oci.Name
	d     oci.Digest
	u     oci.Upload
	known time.Time // when the registry last had it
	ended bool      // in a crash, maybe after all that makes the blob
}

// send uploads a blob in one of the ways that clients have. That the upload is unknown is
// none of ok where it has taken long.
func (p *pusher) send(name oci.Name, content []byte) (begin time.Time, ok bool) {
	s := &sending{pusher: p, name: name, d: oci.SHA256.Sum(content)}
	if !s.step(func() (err error) { s.u, err = p.server().StartUpload(p.Context(), name); return err }) {
		return begin, false
	}
	requests := 1
	if chance(2) {
		requests += rand.IntN(3)
	}
	for i := range requests {
		if i > 0 && !s.resume() {
			return begin, false
		}
		from, to := len(content)*i/requests, len(content)*(i+1)/requests
		if !s.step(func() error { return s.u.Append(p.Context(), int64(from), bytes.NewReader(content[from:to])) }) {
			return begin, false
		}
	}
	begin = time.Now()
	if requests > 1 && chance(4) {
		return begin, s.crash(content)
	}
	return begin, s.step(func() error { _, err := s.u.Commit(p.Context(), s.d); return err })
}

// step is a step of an upload, after which it is known, or lost.
func (s *sending) step(do func() error) bool {
	begin := time.Now()
	err := do()
	switch {
	case err == nil:
		s.known = begin
		return true
	case !errors.Is(err, oci.BlobUploadUnknown):
		s.fault("an upload: %v", err)
	case s.isSure(s.known) && !s.ended:
		s.fault("an upload was lost after %v: %v", time.Since(s.known), err)
	default:
		s.tally.add("uploads lost")
	}
	if s.u != nil {
		s.isTold(s.u.Close(s.Context()), "closing an upload")
	}
	return false
}

// resume ends a request and begins the next, maybe at another server, and maybe late.
func (s *sending) resume() bool {
	if !s.step(func() error { return s.u.Close(s.Context()) }) {
		return false
	}
	switch rand.IntN(16) {
	case 0:
		time.Sleep(s.ages.Upload*3/4 + rand.N(s.ages.Upload/2))
	case 1, 2:
		time.Sleep(rand.N(thought))
	}
	var next oci.Upload
	ok := s.step(func() (err error) { next, err = s.server().ResumeUpload(s.Context(), s.name, s.u.ID()); return err })
	s.u = next
	if ok && chance(4) { // the content is slow to come
		time.Sleep(rand.N(thought))
	}
	return ok
}

// crash finishes an upload in a process that ends in the midst. The client may have another
// one finish it.
func (s *sending) crash(content []byte) bool {
	when := one([]crash{beforeBlob, afterBlob, afterAll})
	_, err := s.u.Commit(context.WithValue(s.Context(), errCrash, when), s.d)
	if err == nil || !errors.Is(err, errCrash) { // somebody else has made the blob
		return s.step(func() error { return err })
	}
	s.tally.add("crashes")
	s.ended = true
	s.isTold(s.u.Close(s.Context()), "closing what has crashed")
	return chance(2) && s.resume() && s.step(func() error {
		err := s.u.Append(s.Context(), s.u.Size(), bytes.NewReader(content[s.u.Size():])) // if it was not recorded
		if err == nil {
			_, err = s.u.Commit(s.Context(), s.d)
		}
		return err
	})
}
