// Package registrytest states the rules of oci.Registry as a suite of tests. It
// runs over every maker of a registry and every wrapper that is transparent.
package registrytest

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"strings"
	"testing"

	"opendev.org/zuul/zuul-registry/server/oci"
)

// Suite is the rules, for the registries of one maker.
type Suite struct {
	New     func(t *testing.T) oci.Registry           // makes an empty registry
	Context context.Context                           // of all calls; nil: no particular one
	Name    func(repository string) (oci.Name, error) // nil: oci.ParseName
}

// Run runs the suite.
func (s Suite) Run(t *testing.T) {
	if s.Context == nil {
		s.Context = context.Background()
	}
	if s.Name == nil {
		s.Name = oci.ParseName
	}
	tests := []struct {
		rule string
		test func(t *testing.T, r registry)
	}{
		{"a blob that is not there is BLOB_UNKNOWN", blobUnknown},
		{"a blob is read as it was pushed", pushAndOpenBlob},
		{"a blob is mounted from another repository, or from anywhere", mountBlob},
		{"a blob is deleted unless a manifest needs it", deleteBlob},
		{"an upload is resumed where it was left", resumeUpload},
		{"an upload belongs to its repository", foreignUpload},
		{"content out of order is RANGE_INVALID", outOfOrder},
		{"content that breaks off counts", brokenUpload},
		{"a wrong digest leaves the upload as it was", wrongDigest},
		{"a cancelled upload is gone", cancelUpload},
		{"a digest of an unexpected algorithm is as good", otherAlgorithm},
		{"a request waits for its turn at an upload", turns},
		{"two that finish one digest at once both succeed", finishAtOnce},
		{"a manifest is read by tag and by digest, byte for byte", putAndGetManifest},
		{"a manifest without what it refers to is MANIFEST_BLOB_UNKNOWN", incompleteManifest},
		{"an index has its children, nested", nestedIndex},
		{"a tag names the manifest that was pushed last", moveTag},
		{"deleting a tag leaves the digest", deleteTag},
		{"deleting a digest takes its tags along", deleteDigest},
		{"pushes and deletions side by side leave nothing half there", pushBesideDelete},
		{"tags are listed in order, after a tag", listTags},
		{"repositories are listed in order, after a name", listRepositories},
		{"referrers are listed by subject", listReferrers},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) { tt.test(t, registry{t, s.New(t), s.Context, s.Name}) })
	}
}

// registry is a registry whose faults end the test.
type registry struct {
	*testing.T
	oci.Registry
	ctx   context.Context
	named func(string) (oci.Name, error)
}

func (r registry) name(s string) oci.Name {
	r.Helper()
	return must(r.named(s))(r.T)
}

func must[V any](v V, err error) func(t *testing.T) V {
	return func(t *testing.T) V {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func tag(s string) oci.Tag {
	t, err := oci.ParseTag(s)
	if err != nil {
		panic(err)
	}
	return t
}

func byTag(s string) oci.Reference { return oci.Reference{Tag: tag(s)} }

func byDigest(d oci.Digest) oci.Reference { return oci.Reference{Digest: d} }

// is asserts an error's code.
func (r registry) is(err error, code oci.Code, doing string) {
	r.Helper()
	if !errors.Is(err, code) {
		r.Errorf("%s: %v, want %s", doing, err, code)
	}
}

func (r registry) ok(err error, doing string) {
	r.Helper()
	if err != nil {
		r.Fatalf("%s: %v", doing, err)
	}
}

func (r registry) start(name oci.Name) oci.Upload {
	r.Helper()
	u, err := r.StartUpload(r.ctx, name)
	r.ok(err, "StartUpload")
	r.Cleanup(func() { _ = u.Close(r.ctx) })
	return u
}

func (r registry) resume(name oci.Name, id string) oci.Upload {
	r.Helper()
	u, err := r.ResumeUpload(r.ctx, name, id)
	r.ok(err, "ResumeUpload")
	r.Cleanup(func() { _ = u.Close(r.ctx) })
	return u
}

func (r registry) append(u oci.Upload, content string) {
	r.Helper()
	r.ok(u.Append(r.ctx, u.Size(), strings.NewReader(content)), "Append")
}

// push pushes a blob in one go.
func (r registry) push(name oci.Name, content string) oci.Digest {
	r.Helper()
	u, d := r.start(name), oci.SHA256.Sum([]byte(content))
	r.append(u, content)
	described, err := u.Commit(r.ctx, d)
	r.ok(err, "Commit")
	if described.Digest != d || described.Size != int64(len(content)) {
		r.Errorf("Commit gave %+v, want %s of %d bytes", described, d, len(content))
	}
	return d
}

// holds asserts that a blob is there.
func (r registry) holds(name oci.Name, d oci.Digest, content string) {
	r.Helper()
	described, err := r.StatBlob(r.ctx, name, d)
	if err != nil || described.Digest != d || described.Size != int64(len(content)) {
		r.Errorf("StatBlob %s: %+v, %v; want %d bytes", d, described, err, len(content))
	}
	b, err := r.OpenBlob(r.ctx, name, d)
	r.ok(err, "OpenBlob")
	defer func() { _ = b.Content.Close() }()
	all, err := io.ReadAll(b.Content)
	r.ok(err, "reading the blob")
	if b.Origin != oci.Kept {
		r.Errorf("blob %s is %q, want it kept", d, b.Origin)
	}
	if string(all) != content {
		r.Errorf("blob %s is %.60q, want %.60q", d, all, content)
	}
}

// lacks asserts that a blob is not there.
func (r registry) lacks(name oci.Name, d oci.Digest) {
	r.Helper()
	_, err := r.StatBlob(r.ctx, name, d)
	r.is(err, oci.BlobUnknown, "StatBlob")
	_, err = r.OpenBlob(r.ctx, name, d)
	r.is(err, oci.BlobUnknown, "OpenBlob")
}

// manifest makes a manifest of an object.
func (r registry) manifest(mediaType string, object any) oci.Manifest {
	r.Helper()
	text, err := json.Marshal(object)
	r.ok(err, "encoding")
	return must(oci.NewManifest(mediaType, text, oci.SHA256))(r.T)
}

type object map[string]any

func descriptor(mediaType string, d oci.Digest) object {
	return object{"mediaType": mediaType, "digest": d, "size": 1}
}

// image makes an image of blobs that it pushes; different contents make
// different images.
func (r registry) image(name oci.Name, content string) oci.Manifest {
	r.Helper()
	config, layer := r.push(name, "config of "+content), r.push(name, "layer of "+content)
	return r.manifest(oci.MediaTypeImageManifest, object{
		"schemaVersion": 2,
		"config":        descriptor("application/vnd.oci.image.config.v1+json", config),
		"layers":        []object{descriptor("application/vnd.oci.image.layer.v1.tar", layer)},
	})
}

func (r registry) put(name oci.Name, m oci.Manifest, tags ...string) oci.Manifest {
	r.Helper()
	var all []oci.Tag
	for _, s := range tags {
		all = append(all, tag(s))
	}
	r.ok(r.PutManifest(r.ctx, name, m, all...), "PutManifest")
	return m
}

// gives asserts what a reference leads to, and that it was pushed.
func (r registry) gives(name oci.Name, ref oci.Reference, m oci.Manifest) {
	r.Helper()
	got, err := r.GetManifest(r.ctx, name, ref)
	if err != nil || got.Digest != m.Digest || got.MediaType != m.MediaType || string(got.Content) != string(m.Content) {
		r.Errorf("GetManifest %s: %s %s, %v; want %s %s", ref, got.MediaType, got.Digest, err, m.MediaType, m.Digest)
	}
	described, err := r.StatManifest(r.ctx, name, ref)
	if err != nil || described.Digest != m.Digest || described.MediaType != m.MediaType || described.Size != m.Size {
		r.Errorf("StatManifest %s: %+v, %v; want %+v", ref, described, err, m.Descriptor)
	}
	if got.Origin != oci.Speculative || described.Origin != oci.Speculative {
		r.Errorf("%s is %q and %q, want it speculative", ref, got.Origin, described.Origin)
	}
}

// misses asserts that a reference leads nowhere.
func (r registry) misses(name oci.Name, ref oci.Reference) {
	r.Helper()
	_, err := r.GetManifest(r.ctx, name, ref)
	r.is(err, oci.ManifestUnknown, "GetManifest "+ref.String())
	_, err = r.StatManifest(r.ctx, name, ref)
	r.is(err, oci.ManifestUnknown, "StatManifest "+ref.String())
}

// all collects a listing as strings.
func all[V any](t *testing.T, listing iter.Seq2[V, error], text func(V) string) []string {
	t.Helper()
	var found []string
	for v, err := range listing {
		if err != nil {
			t.Fatalf("listing: %v", err)
		}
		found = append(found, text(v))
	}
	return found
}
