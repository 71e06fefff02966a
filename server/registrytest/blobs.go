package registrytest

import (
	"errors"
	"io"
	"strings"
	"sync"
	"testing"

	"opendev.org/zuul/zuul-registry/server/oci"
)

func blobUnknown(_ *testing.T, r registry) {
	name, d := r.name("org/app"), oci.SHA256.Sum([]byte("nowhere"))
	r.lacks(name, d)
	_, err := r.MountBlob(r.ctx, name, oci.Name{}, d)
	r.is(err, oci.BlobUnknown, "MountBlob")
	r.is(r.DeleteBlob(r.ctx, name, d), oci.BlobUnknown, "DeleteBlob")
}

func pushAndOpenBlob(t *testing.T, r registry) {
	name := r.name("org/app")
	for _, content := range []string{"content", "", strings.Repeat("0123456789", 1<<17)} {
		r.holds(name, r.push(name, content), content)
	}
	b, err := r.OpenBlob(r.ctx, name, r.push(name, "0123456789"))
	r.ok(err, "OpenBlob")
	defer func() { _ = b.Content.Close() }()
	_, err = b.Content.Seek(7, io.SeekStart)
	r.ok(err, "Seek")
	if rest, err := io.ReadAll(b.Content); err != nil || string(rest) != "789" {
		t.Errorf("after Seek: %q, %v", rest, err)
	}
}

func mountBlob(t *testing.T, r registry) {
	name, from := r.name("org/app"), r.name("org/base")
	for content, source := range map[string]oci.Name{"from a repository": from, "from anywhere": {}} {
		d := r.push(from, content)
		described, err := r.MountBlob(r.ctx, name, source, d)
		if err != nil || described.Digest != d || described.Size != int64(len(content)) {
			t.Errorf("MountBlob: %+v, %v", described, err)
		}
		r.holds(name, d, content)
	}
}

func deleteBlob(_ *testing.T, r registry) {
	name := r.name("org/app")
	d := r.push(name, "not needed")
	r.ok(r.DeleteBlob(r.ctx, name, d), "DeleteBlob")
	r.lacks(name, d)

	m := r.put(name, r.image(name, "an image"), "latest")
	refs, err := oci.ParseReferences(m.Content)
	r.ok(err, "ParseReferences")
	for _, b := range refs.Blobs {
		r.is(r.DeleteBlob(r.ctx, r.name("org/other"), b.Digest), oci.Unsupported, "DeleteBlob of a needed blob")
	}
	r.is(r.DeleteBlob(r.ctx, name, m.Digest), oci.Unsupported, "DeleteBlob of a manifest's body")
	r.gives(name, byTag("latest"), m)
	r.ok(r.DeleteManifest(r.ctx, name, byDigest(m.Digest)), "DeleteManifest")
	for _, b := range refs.Blobs {
		r.ok(r.DeleteBlob(r.ctx, name, b.Digest), "DeleteBlob")
		r.lacks(name, b.Digest)
	}
}

func resumeUpload(t *testing.T, r registry) {
	name := r.name("org/app")
	u := r.start(name)
	id := u.ID()
	r.ok(u.Close(r.ctx), "Close")
	content := ""
	for _, chunk := range []string{"first,", "", "second,", "third"} {
		u = r.resume(name, id)
		if u.ID() != id || u.Size() != int64(len(content)) {
			t.Errorf("upload %s of %d bytes, want %s of %d", u.ID(), u.Size(), id, len(content))
		}
		r.append(u, chunk)
		r.ok(u.Close(r.ctx), "Close")
		content += chunk
	}
	d := oci.SHA256.Sum([]byte(content))
	_, err := r.resume(name, id).Commit(r.ctx, d)
	r.ok(err, "Commit")
	r.holds(name, d, content)
	_, err = r.ResumeUpload(r.ctx, name, id)
	r.is(err, oci.BlobUploadUnknown, "ResumeUpload of one that has ended")
}

func foreignUpload(_ *testing.T, r registry) {
	u := r.start(r.name("org/app"))
	r.ok(u.Close(r.ctx), "Close")
	_, err := r.ResumeUpload(r.ctx, r.name("org/other"), u.ID())
	r.is(err, oci.BlobUploadUnknown, "ResumeUpload in another repository")
	_, err = r.ResumeUpload(r.ctx, r.name("org/app"), "none")
	r.is(err, oci.BlobUploadUnknown, "ResumeUpload of none")
}

func outOfOrder(t *testing.T, r registry) {
	name := r.name("org/app")
	u := r.start(name)
	r.append(u, "12345")
	for _, offset := range []int64{0, 4, 6} {
		r.is(u.Append(r.ctx, offset, strings.NewReader("x")), oci.RangeInvalid, "Append out of order")
	}
	if u.Size() != 5 {
		t.Errorf("the upload has %d bytes, want 5", u.Size())
	}
	d := oci.SHA256.Sum([]byte("12345"))
	_, err := u.Commit(r.ctx, d)
	r.ok(err, "Commit")
	r.holds(name, d, "12345")
}

var errGone = errors.New("the client has gone")

type gone struct{}

func (gone) Read([]byte) (int, error) { return 0, errGone }

func brokenUpload(t *testing.T, r registry) {
	name := r.name("org/app")
	u := r.start(name)
	id := u.ID()
	err := u.Append(r.ctx, 0, io.MultiReader(strings.NewReader("arrived,"), gone{}))
	if !errors.Is(err, errGone) {
		t.Errorf("Append: %v, want the reader's error", err)
	}
	r.ok(u.Close(r.ctx), "Close")
	u = r.resume(name, id)
	if u.Size() != 8 {
		t.Fatalf("the upload has %d bytes, want 8", u.Size())
	}
	r.append(u, "went on")
	d := oci.SHA256.Sum([]byte("arrived,went on"))
	_, err = u.Commit(r.ctx, d)
	r.ok(err, "Commit")
	r.holds(name, d, "arrived,went on")
}

func wrongDigest(t *testing.T, r registry) {
	name := r.name("org/app")
	u := r.start(name)
	id := u.ID()
	r.append(u, "right,")
	r.ok(u.Close(r.ctx), "Close")

	wrong, right := oci.SHA256.Sum([]byte("something else")), oci.SHA256.Sum([]byte("right,good"))
	u = r.resume(name, id)
	r.append(u, "bad and longer")
	_, err := u.Commit(r.ctx, wrong)
	r.is(err, oci.DigestInvalid, "Commit")
	r.lacks(name, wrong)
	if u.Size() != 6 {
		t.Errorf("the upload has %d bytes, want 6", u.Size())
	}
	r.ok(u.Close(r.ctx), "Close")
	u = r.resume(name, id)
	r.append(u, "good")
	_, err = u.Commit(r.ctx, right)
	r.ok(err, "Commit")
	r.holds(name, right, "right,good")
}

func cancelUpload(_ *testing.T, r registry) {
	name := r.name("org/app")
	u := r.start(name)
	r.append(u, "content")
	r.ok(u.Close(r.ctx), "Close")
	r.ok(r.resume(name, u.ID()).Cancel(r.ctx), "Cancel")
	_, err := r.ResumeUpload(r.ctx, name, u.ID())
	r.is(err, oci.BlobUploadUnknown, "ResumeUpload")
	r.lacks(name, oci.SHA256.Sum([]byte("content")))
}

func otherAlgorithm(_ *testing.T, r registry) {
	name := r.name("org/app")
	for _, expected := range []oci.Algorithm{oci.SHA256, oci.SHA512} {
		for _, named := range []oci.Algorithm{oci.SHA256, oci.SHA512} {
			content := "by " + string(expected) + " and " + string(named)
			u := r.start(name)
			u.Expect(expected)
			r.append(u, content[:5])
			r.ok(u.Close(r.ctx), "Close")
			u = r.resume(name, u.ID())
			u.Expect(named) // too late
			r.append(u, content[5:])
			_, err := u.Commit(r.ctx, named.Sum([]byte(content)))
			r.ok(err, "Commit")
			r.holds(name, named.Sum([]byte(content)), content)
		}
	}
}

func turns(t *testing.T, r registry) {
	name := r.name("org/app")
	u := r.start(name)
	id := u.ID()
	waited := make(chan int64)
	go func() {
		next, err := r.ResumeUpload(r.ctx, name, id)
		if err != nil {
			t.Errorf("ResumeUpload: %v", err)
			close(waited)
			return
		}
		waited <- next.Size()
		_ = next.Close(r.ctx)
	}()
	r.append(u, "first")
	r.ok(u.Close(r.ctx), "Close")
	if size := <-waited; size != 5 {
		t.Errorf("the next turn began with %d bytes, want 5", size)
	}
}

func finishAtOnce(_ *testing.T, r registry) {
	name, content := r.name("org/app"), strings.Repeat("the same ", 1<<12)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			u, d := r.start(name), oci.SHA256.Sum([]byte(content))
			if err := u.Append(r.ctx, 0, strings.NewReader(content)); err != nil {
				r.Errorf("Append: %v", err)
			}
			if _, err := u.Commit(r.ctx, d); err != nil {
				r.Errorf("Commit: %v", err)
			}
			r.holds(name, d, content)
		})
	}
	all.Wait()
}
