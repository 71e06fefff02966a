package local_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"opendev.org/zuul/zuul-registry/server/local"
	"opendev.org/zuul/zuul-registry/server/oci"
	"opendev.org/zuul/zuul-registry/server/storage"
	"opendev.org/zuul/zuul-registry/server/storage/filesystem"
	"opendev.org/zuul/zuul-registry/server/storage/memory"
	"opendev.org/zuul/zuul-registry/server/storage/swift/pretend"
)

// upload pushes the blob that content is.
func upload(t *testing.T, r *local.Registry) {
	t.Helper()
	u, err := r.StartUpload(t.Context(), app(t))
	if err == nil {
		err = u.Append(t.Context(), 0, bytes.NewReader(content))
	}
	if err != nil {
		t.Fatal(err)
	}
	commit(t, r, app(t), u)
}

// store puts an object past the registry.
func store(t *testing.T, d storage.Driver, object, content string) {
	t.Helper()
	if err := d.Put(t.Context(), object, strings.NewReader(content), storage.Durable); err != nil {
		t.Fatal(err)
	}
}

// damageBlob puts content in the place of a blob, in parts.
func damageBlob(t *testing.T, d storage.Driver, object, content string) {
	t.Helper()
	var parts []storage.Part
	for piece := range strings.SplitAfterSeq(content, " ") {
		next, stored, err := d.Append(t.Context(), "_local/segments", parts, strings.NewReader(piece))
		if err := errors.Join(err, stored()); err != nil {
			t.Fatal(err)
		}
		parts = next
	}
	if err := errors.Join(d.Delete(t.Context(), object), d.Concat(t.Context(), object, parts)); err != nil {
		t.Fatal(err)
	}
}

// holds asserts what an object is.
func holds(t *testing.T, d storage.Driver, object, want string) {
	t.Helper()
	f, _, err := d.Open(t.Context(), object)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if got, err := io.ReadAll(f); err != nil || string(got) != want {
		t.Errorf("%s is %q, %v; want %q", object, got, err, want)
	}
}

// finds asserts what Check does.
func finds(t *testing.T, r *local.Registry, quarantine bool, want ...string) {
	t.Helper()
	if got, _, _ := inspect(t, r, quarantine); !slices.Equal(got, want) {
		t.Errorf("it finds\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// What is in quarantine can be pushed again, blobs and manifests alike.
func TestQuarantineHeals(t *testing.T) {
	onEachDriver(t, func(t *testing.T, d storage.Driver) {
		r, name, blob := local.New(d, local.Options{}), app(t), oci.SHA256.Sum(content)
		m := theManifest(t, fmt.Sprintf(`{"mediaType":"application/x-artifact","blobs":[{"size":%d,"digest":"%s"}],"subject":{"size":1,"digest":"%s"}}`,
			len(content), blob, sum("subject")))
		latest, err := oci.ParseTag("latest")
		if err != nil {
			t.Fatal(err)
		}
		push := func() {
			t.Helper()
			upload(t, r)
			if err := r.PutManifest(t.Context(), name, m, latest); err != nil {
				t.Fatal(err)
			}
		}
		push()
		finds(t, r, true)

		object := func(d oci.Digest) string { return "_local/blobs/" + d.String() + "/data" }
		moved := func(d oci.Digest) string { return "_local/quarantine/" + d.String() }
		record := "_local/repos/org/app/manifests/" + m.Digest.String()
		for _, damage := range []string{"damaged once", "damaged again"} {
			damageBlob(t, d, object(blob), damage)
			store(t, d, object(m.Digest), damage)
			// The size of what is damaged would be a fault, too, were it not moved before.
			want := []string{
				object(blob) + ": has the content of " + sum(damage).String() + " -> " + moved(blob),
				object(m.Digest) + ": has the content of " + sum(damage).String() + " -> " + moved(m.Digest),
				record + ": its manifest is not there: " + m.Digest.String(),
			}
			slices.Sort(want)
			finds(t, r, true, want...)
			finds(t, r, true, record+": its manifest is not there: "+m.Digest.String())
			holds(t, d, moved(blob), damage)
			holds(t, d, moved(m.Digest), damage)
			if _, err := r.OpenBlob(t.Context(), name, blob); !errors.Is(err, oci.BlobUnknown) {
				t.Errorf("the blob that was moved: %v, want BLOB_UNKNOWN", err)
			}
			if err := r.PutManifest(t.Context(), name, m); !errors.Is(err, oci.ManifestBlobUnknown) {
				t.Errorf("a manifest of the blob that was moved: %v, want MANIFEST_BLOB_UNKNOWN", err)
			}

			push()
			finds(t, r, true)
			isWhole(t, r)
			got, err := r.GetManifest(t.Context(), name, oci.Reference{Tag: latest})
			if err != nil || got.Digest != m.Digest || string(got.Content) != string(m.Content) {
				t.Errorf("the manifest is %q, %v", got.Content, err)
			}
			holds(t, d, moved(blob), damage)
		}
		if err := d.Delete(t.Context(), moved(blob)); err != nil {
			t.Fatal(err)
		}
		// What was moved first has left its parts.
		err = r.Prune(t.Context(), local.Pruning{
			Ages: local.Ages{Upload: time.Nanosecond, Cache: time.Nanosecond},
			Log:  slog.New(slog.DiscardHandler), Removed: func(local.Removal) {}, Progress: func(int) {},
		})
		if err != nil {
			t.Fatal(err)
		}
		parts, err := d.Parts(t.Context(), object(blob))
		slices.Sort(parts)
		if left := objects(t, d, "_local/segments"); err != nil || !slices.Equal(left, parts) {
			t.Errorf("there are %q, %v; want what the blob has, %q", left, err, parts)
		}
	})
}

// A blob of parts is damaged when one is lost, and can be pushed again when it is moved.
func TestLostParts(t *testing.T) {
	d := pretend.New(t).Open()
	r, blob := local.New(d, local.Options{}), oci.SHA256.Sum(content).String()
	object, moved := "_local/blobs/"+blob+"/data", "_local/quarantine/"+blob
	for _, tt := range []struct {
		lost []int
		want string
	}{
		{[]int{0}, "has lost its part %[1]s"},
		{[]int{3}, "has lost its part %[1]s"},
		{[]int{1, 2}, "has lost 2 of its 4 parts, the first of them %[1]s"},
	} {
		upload(t, r)
		parts, err := d.Parts(t.Context(), object)
		if err != nil || len(parts) != 4 {
			t.Fatalf("the parts are %q, %v; want 4", parts, err)
		}
		for _, i := range tt.lost {
			if err := d.Delete(t.Context(), parts[i]); err != nil {
				t.Fatal(err)
			}
		}
		want := object + ": " + fmt.Sprintf(tt.want, parts[tt.lost[0]])
		finds(t, r, false, want)
		finds(t, r, true, want+" -> "+moved)
		finds(t, r, true)
		if _, err := d.Stat(t.Context(), moved); err != nil {
			t.Errorf("what was moved: %v", err)
		}
	}
	upload(t, r)
	finds(t, r, true)
}

// trap is a store in which something happens when the blob is opened, for the first few
// times.
type trap struct {
	storage.Driver
	times  atomic.Int32
	spring func(open func() (io.ReadSeekCloser, storage.Info, error)) (io.ReadSeekCloser, storage.Info, error)
	list   error
	rename error
	end    func() // called before a Rename; nil: nothing is
}

const trapped = "_local/blobs/sha256:"

func (d *trap) Open(ctx context.Context, name string) (io.ReadSeekCloser, storage.Info, error) {
	if !strings.HasPrefix(name, trapped) || d.times.Add(-1) < 0 {
		return d.Driver.Open(ctx, name)
	}
	return d.spring(func() (io.ReadSeekCloser, storage.Info, error) { return d.Driver.Open(ctx, name) })
}

func (d *trap) List(ctx context.Context, directory, after string) iter.Seq2[storage.Entry, error] {
	if d.list != nil && strings.HasSuffix(directory, "/manifests") {
		return func(yield func(storage.Entry, error) bool) { yield(storage.Entry{}, d.list) }
	}
	return d.Driver.List(ctx, directory, after)
}

func (d *trap) Rename(ctx context.Context, from, to string) error {
	if d.end != nil {
		d.end()
	}
	if err := errors.Join(d.rename, ctx.Err()); err != nil {
		return err
	}
	return d.Driver.Rename(ctx, from, to)
}

// short is content that breaks off as if it ended.
type short struct{ io.ReadSeekCloser }

func (short) Read([]byte) (int, error) { return 0, io.EOF }

// What may be another one by now, or is only not to be had, is not moved.
func TestWhatIsNotMoved(t *testing.T) {
	const (
		good, bad = "content", "CONTENT"
		always    = 1000
	)
	object := "_local/blobs/" + sum(good).String() + "/data"
	damaged := object + ": has the content of " + sum(bad).String()
	moved := " -> _local/quarantine/" + sum(good).String()
	for what, tt := range map[string]struct {
		content string
		times   int32
		after   func(t *testing.T, d storage.Driver) error // what happens when it is open
		instead error                                      // of opening it
		want    []string
	}{
		"what is sound":                   {content: good},
		"what is damaged is":              {content: bad, want: []string{damaged + moved}},
		"what is stored anew meanwhile":   {bad, 1, func(t *testing.T, d storage.Driver) error { store(t, d, object, good); return nil }, nil, nil},
		"what is touched meanwhile is":    {bad, 1, func(t *testing.T, d storage.Driver) error { return d.Touch(t.Context(), object) }, nil, []string{damaged + moved}},
		"what is touched again and again": {bad, always, func(t *testing.T, d storage.Driver) error { return d.Touch(t.Context(), object) }, nil, []string{damaged}},
		"what is deleted meanwhile":       {bad, 1, func(t *testing.T, d storage.Driver) error { return d.Delete(t.Context(), object) }, nil, nil},
		"what cannot be read": {content: good, times: always, instead: errors.New("the disk is on fire"),
			want: []string{object + ": cannot be read: the disk is on fire"}},
		"what could not be read": {content: good, times: 1, instead: errors.New("the disk is on fire"),
			want: []string{object + ": cannot be read: the disk is on fire"}},
		"what breaks off": {content: good, times: always, instead: io.EOF, want: []string{object + ": cannot be read: it ends after 0 of 7 bytes"}},
		"what has gone":   {content: good, times: always, instead: fs.ErrNotExist},
	} {
		t.Run(what, func(t *testing.T) {
			kept := memory.New()
			d := &trap{Driver: kept}
			d.times.Store(tt.times)
			d.spring = func(open func() (io.ReadSeekCloser, storage.Info, error)) (io.ReadSeekCloser, storage.Info, error) {
				f, info, err := open()
				switch {
				case tt.instead == io.EOF:
					return short{f}, info, err
				case tt.instead != nil:
					return nil, storage.Info{}, tt.instead
				}
				return f, info, errors.Join(err, tt.after(t, kept))
			}
			store(t, d, object, tt.content)
			finds(t, local.New(d, local.Options{}), true, tt.want...)
		})
	}
}

func TestWhatCannotBeMoved(t *testing.T) {
	d := &trap{Driver: memory.New(), rename: errors.New("the disk is full")}
	object := "_local/blobs/" + sum("x").String() + "/data"
	store(t, d, object, "y")
	finds(t, local.New(d, local.Options{}), true, object+": has the content of "+sum("y").String()+"; it cannot be moved: the disk is full")
	holds(t, d, object, "y")
}

// Who ends a check is not told that all the rest is damaged, nor that it is sound.
func TestACheckEnds(t *testing.T) {
	for _, atOpening := range []int32{1, 50, 101} { // the last is of a manifest
		ctx, end := context.WithCancel(t.Context())
		d := &trap{Driver: memory.New()}
		d.times.Store(atOpening)
		d.spring = func(open func() (io.ReadSeekCloser, storage.Info, error)) (io.ReadSeekCloser, storage.Info, error) {
			if d.times.Load() == 0 {
				end()
				return nil, storage.Info{}, errors.New("it has ended")
			}
			return open()
		}
		for i := range 100 {
			store(t, d, "_local/blobs/"+sum(fmt.Sprint(i)).String()+"/data", fmt.Sprint(i))
		}
		store(t, d, "_local/repos/a/manifests/latest", `{"x/y":"`+sum("1").String()+`"}`)
		err := local.New(d, local.Options{}).Check(ctx, local.Inspection{
			Quarantine: true,
			Report:     func(f local.Fault) { t.Errorf("it finds %v", f) },
			Progress:   func(int, int) {},
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("Check: %v, want %v", err, context.Canceled)
		}
		end()
	}
}

// What was moved is told also to who has ended the check meanwhile.
func TestAMoveEnds(t *testing.T) {
	ctx, end := context.WithCancel(t.Context())
	object := "_local/blobs/" + sum("x").String() + "/data"
	d := &trap{Driver: memory.New(), end: end}
	store(t, d, object, "y")
	var moved []string
	err := local.New(d, local.Options{}).Check(ctx, local.Inspection{
		Quarantine: true,
		Report:     func(f local.Fault) { moved = append(moved, f.Moved) },
		Progress:   func(int, int) {},
	})
	if want := []string{"_local/quarantine/" + sum("x").String()}; !errors.Is(err, context.Canceled) || !slices.Equal(moved, want) {
		t.Errorf("moved to %q, %v; want %q", moved, err, want)
	}
}

// Where there is no list, nothing is known to be sound.
func TestACheckWithoutLists(t *testing.T) {
	d := &trap{Driver: memory.New(), list: errors.New("no list")}
	store(t, d, "_local/repos/a/manifests/latest", `{`)
	err := local.New(d, local.Options{}).Check(t.Context(), local.Inspection{Report: func(local.Fault) {}, Progress: func(int, int) {}})
	if !errors.Is(err, d.list) {
		t.Errorf("Check: %v, want %v", err, d.list)
	}
}

// BenchmarkCheck reads blobs of 8 MiB.
func BenchmarkCheck(b *testing.B) {
	const blobs, size = 64, 8 << 20
	d, err := filesystem.New(filesystem.Options{Root: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	text := bytes.Repeat([]byte("0123456789abcdef"), size/16)
	for i := range blobs {
		text[0] = byte(i)
		object := "_local/blobs/" + oci.SHA256.Sum(text).String() + "/data"
		if err := d.Put(b.Context(), object, bytes.NewReader(text), storage.Volatile); err != nil {
			b.Fatal(err)
		}
	}
	r := local.New(d, local.Options{})
	b.SetBytes(blobs * size)
	for b.Loop() {
		err := r.Check(b.Context(), local.Inspection{
			Report:   func(f local.Fault) { b.Error(f) },
			Progress: func(int, int) {},
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}
