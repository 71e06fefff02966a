package provenance_test

import (
	"context"
	"errors"
	"io"
	"iter"
	"slices"
	"strings"
	"testing"

	"opendev.org/zuul/zuul-registry/server/local"
	"opendev.org/zuul/zuul-registry/server/namespace"
	"opendev.org/zuul/zuul-registry/server/oci"
	"opendev.org/zuul/zuul-registry/server/provenance"
	"opendev.org/zuul/zuul-registry/server/registrytest"
	"opendev.org/zuul/zuul-registry/server/storage/memory"
)

// What is recorded is not changed.
func TestRecordIsARegistry(t *testing.T) {
	registrytest.Suite{New: func(*testing.T) oci.Registry {
		return provenance.Record(local.New(memory.New(), local.Options{}), func(provenance.Event) {})
	}}.Run(t)
}

// world is a recorded registry, and what was noted.
type world struct {
	*testing.T
	oci.Registry
	ctx    context.Context
	events []provenance.Event
}

var somebody = provenance.Client{User: "zuul", Tool: "docker/29.1", Address: "192.0.2.1"}

func newWorld(t *testing.T, r oci.Registry) *world {
	w := &world{T: t, ctx: provenance.WithClient(t.Context(), somebody)}
	w.Registry = provenance.Record(r, func(e provenance.Event) { w.events = append(w.events, e) })
	return w
}

func newLocal() oci.Registry { return local.New(memory.New(), local.Options{}) }

func (w *world) name(path string) oci.Name {
	w.Helper()
	name, err := namespace.Auto.Name(path, "")
	if err != nil {
		w.Fatal(err)
	}
	return name
}

// push pushes a blob.
func (w *world) push(name oci.Name, content string) oci.Digest {
	w.Helper()
	u, err := w.StartUpload(w.ctx, name)
	if err != nil {
		w.Fatal(err)
	}
	d, err := u.Commit(w.ctx, w.append(u, content))
	if err != nil {
		w.Fatal(err)
	}
	return d.Digest
}

func (w *world) append(u oci.Upload, content string) oci.Digest {
	w.Helper()
	if err := u.Append(w.ctx, 0, strings.NewReader(content)); err != nil {
		w.Fatal(err)
	}
	return oci.SHA256.Sum([]byte(content))
}

// put pushes an image.
func (w *world) put(name oci.Name, tags ...oci.Tag) oci.Manifest {
	w.Helper()
	config := w.push(name, "{}")
	m, err := oci.NewManifest(oci.MediaTypeImageManifest,
		[]byte(`{"config":{"mediaType":"a/b","digest":"`+config.String()+`","size":2}}`), oci.SHA256)
	if err == nil {
		err = w.PutManifest(w.ctx, name, m, tags...)
	}
	if err != nil {
		w.Fatal(err)
	}
	return m
}

// noted asserts what was, and begins anew.
func (w *world) noted(want ...provenance.Event) {
	w.Helper()
	if !slices.Equal(w.events, want) {
		w.Errorf("noted:\n%+v\nwant:\n%+v", w.events, want)
	}
	w.events = nil
}

func tag(text string) oci.Tag {
	t, err := oci.ParseTag(text)
	if err != nil {
		panic(err)
	}
	return t
}

func TestWhatIsNoted(t *testing.T) {
	w := newWorld(t, newLocal())
	name := w.name("alpine")
	event := func(a provenance.Action, k provenance.Kind, reference string, d oci.Digest, size int64, s oci.Origin) provenance.Event {
		return provenance.Event{Action: a, Kind: k, Name: "docker.io/library/alpine", Reference: reference, Digest: d, Size: size, Origin: s, Client: somebody}
	}
	config := oci.SHA256.Sum([]byte("{}"))
	pushed := event(provenance.Push, provenance.Blob, config.String(), config, 2, "")
	m := w.put(name, tag("1"), tag("2"))
	w.noted(pushed,
		event(provenance.Push, provenance.Manifest, "1", m.Digest, m.Size, ""),
		event(provenance.Push, provenance.Manifest, "2", m.Digest, m.Size, ""))
	_ = w.put(name)
	w.noted(pushed, event(provenance.Push, provenance.Manifest, m.Digest.String(), m.Digest, m.Size, ""))

	_, _ = w.StatManifest(w.ctx, name, oci.Reference{Tag: tag("1")})
	w.noted(event(provenance.Resolve, provenance.Manifest, "1", m.Digest, m.Size, oci.Speculative))
	_, _ = w.GetManifest(w.ctx, name, oci.Reference{Digest: m.Digest})
	w.noted(event(provenance.Pull, provenance.Manifest, m.Digest.String(), m.Digest, m.Size, oci.Speculative))
	b, err := w.OpenBlob(w.ctx, name, config)
	if err != nil || b.Content.Close() != nil {
		t.Error(err)
	}
	w.noted(event(provenance.Pull, provenance.Blob, config.String(), config, 2, oci.Kept))

	// Whoever pushes asks for blobs.
	_, _ = w.StatBlob(w.ctx, name, config)
	_, _ = w.MountBlob(w.ctx, name, name, config)
	w.noted()

	_ = w.DeleteManifest(w.ctx, name, oci.Reference{Tag: tag("1")})
	w.noted(event(provenance.Delete, provenance.Manifest, "1", oci.Digest{}, 0, ""))
	_ = w.DeleteManifest(w.ctx, name, oci.Reference{Digest: m.Digest})
	w.noted(event(provenance.Delete, provenance.Manifest, m.Digest.String(), m.Digest, 0, ""))
	_ = w.DeleteBlob(w.ctx, name, config)
	w.noted(event(provenance.Delete, provenance.Blob, config.String(), config, 0, ""))
}

// An upload that another process began is noted where it ends.
func TestResumedUploadIsNoted(t *testing.T) {
	r := newLocal()
	w := newWorld(t, r)
	name := w.name("org/app")
	u, err := w.StartUpload(w.ctx, name)
	if err != nil {
		t.Fatal(err)
	}
	d := w.append(u, "content")
	if err := u.Close(w.ctx); err != nil {
		t.Fatal(err)
	}
	w.noted()
	u, err = w.ResumeUpload(w.ctx, name, u.ID())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := u.Commit(w.ctx, d); err != nil {
		t.Fatal(err)
	}
	w.noted(provenance.Event{Action: provenance.Push, Kind: provenance.Blob, Name: "docker.io/org/app", Reference: d.String(),
		Digest: d, Size: 7, Client: somebody})
}

// broken answers everything with one error.
type broken struct{ err error }

func (b broken) StatBlob(context.Context, oci.Name, oci.Digest) (oci.Descriptor, error) {
	return oci.Descriptor{}, b.err
}
func (b broken) OpenBlob(context.Context, oci.Name, oci.Digest) (oci.Blob, error) {
	return oci.Blob{}, b.err
}
func (b broken) MountBlob(context.Context, oci.Name, oci.Name, oci.Digest) (oci.Descriptor, error) {
	return oci.Descriptor{}, b.err
}
func (b broken) DeleteBlob(context.Context, oci.Name, oci.Digest) error { return b.err }
func (b broken) StartUpload(context.Context, oci.Name) (oci.Upload, error) {
	return nil, b.err
}
func (b broken) ResumeUpload(context.Context, oci.Name, string) (oci.Upload, error) {
	return nil, b.err
}
func (b broken) StatManifest(context.Context, oci.Name, oci.Reference) (oci.Descriptor, error) {
	return oci.Descriptor{}, b.err
}
func (b broken) GetManifest(context.Context, oci.Name, oci.Reference) (oci.Manifest, error) {
	return oci.Manifest{}, b.err
}
func (b broken) PutManifest(context.Context, oci.Name, oci.Manifest, ...oci.Tag) error { return b.err }
func (b broken) DeleteManifest(context.Context, oci.Name, oci.Reference) error         { return b.err }
func (b broken) Repositories(context.Context, string) iter.Seq2[oci.Name, error]       { return nil }
func (b broken) Tags(context.Context, oci.Name, oci.Tag) iter.Seq2[oci.Tag, error]     { return nil }
func (b broken) Referrers(context.Context, oci.Name, oci.Digest) iter.Seq2[oci.Descriptor, error] {
	return nil
}

func TestWhatWasNotGot(t *testing.T) {
	const fault = "the registry has a fault, which is in its log"
	for _, tt := range []struct {
		err    error
		origin oci.Origin
		detail string
	}{
		{oci.Errorf(oci.ManifestUnknown, "there is none"), oci.Miss, "there is none"},
		{oci.Errorf(oci.NameUnknown, "no"), oci.Miss, "no"},
		{oci.Errorf(oci.BlobUnknown, "no"), oci.Miss, "no"},
		{oci.Errorf(oci.Unauthorized, "log in"), oci.Refused, "log in"},
		{oci.Errorf(oci.Denied, "no"), oci.Refused, "no"},
		{&oci.Error{Code: oci.Unavailable, Message: "quay.io is down", Cause: io.EOF}, oci.Failed, "quay.io is down"},
		{oci.Errorf(oci.ManifestInvalid, "%s", strings.Repeat("x", 1000)), oci.Failed, strings.Repeat("x", 300)},
		{errors.New("/secret/path is full"), oci.Failed, fault},
	} {
		w := newWorld(t, broken{tt.err})
		name := w.name("quay.io/org/app")
		latest, d := oci.Reference{Tag: tag("latest")}, oci.SHA256.Sum(nil)
		_, _ = w.StatManifest(w.ctx, name, latest)
		_, _ = w.GetManifest(w.ctx, name, latest)
		_, _ = w.OpenBlob(w.ctx, name, d)
		_ = w.PutManifest(w.ctx, name, oci.Manifest{}, tag("latest"))
		_ = w.DeleteManifest(w.ctx, name, latest)
		_ = w.DeleteBlob(w.ctx, name, d)
		_, _ = w.StartUpload(w.ctx, name)
		_, _ = w.ResumeUpload(w.ctx, name, "x")
		if len(w.events) != 8 {
			t.Errorf("%v: %d events", tt.err, len(w.events))
		}
		for _, e := range w.events {
			if e.Origin != tt.origin || e.Detail != tt.detail || e.Name != "quay.io/org/app" || e.Client != somebody {
				t.Errorf("%v: %+v, want %s because %s", tt.err, e, tt.origin, tt.detail)
			}
		}
	}
}

// Whoever has left before there was an answer has missed nothing.
func TestWhoLeavesIsNotNoted(t *testing.T) {
	w := newWorld(t, broken{context.Canceled})
	left, leave := context.WithCancel(w.ctx)
	leave()
	_, _ = w.GetManifest(left, w.name("org/app"), oci.Reference{Tag: tag("latest")})
	w.noted()
}

func TestWrites(t *testing.T) {
	var got []provenance.Action
	note := provenance.Writes(func(e provenance.Event) { got = append(got, e.Action) })
	for _, a := range []provenance.Action{provenance.Resolve, provenance.Push, provenance.Pull, provenance.Delete} {
		note(provenance.Event{Action: a})
	}
	if want := []provenance.Action{provenance.Push, provenance.Delete}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
