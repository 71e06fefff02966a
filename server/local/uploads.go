package local

import (
	"context"
	"crypto/rand"
	"errors"
	"hash"
	"io"
	"io/fs"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"opendev.org/zuul/zuul-registry/server/oci"
	"opendev.org/zuul/zuul-registry/server/storage"
)

// upload is an oci.Upload.
type upload struct {
	registry *Registry
	name     oci.Name
	id       string
	release  func() // ends the turn; nil once it has ended

	begin     state  // what the turn began with
	recorded  *state // what the store knows of it; nil if nothing
	algorithm oci.Algorithm
	parts     []storage.Part
	hash      hash.Hash // of the parts, by the algorithm
	begun     time.Time
	finishing bool
	as        string // the digest
}

// StartUpload begins an upload.
func (r *Registry) StartUpload(ctx context.Context, name oci.Name) (oci.Upload, error) {
	return r.startUpload(ctx, name)
}

func (r *Registry) startUpload(ctx context.Context, name oci.Name) (*upload, error) {
	id := rand.Text()
	release, err := r.turns.take(ctx, id)
	if err != nil {
		return nil, err
	}
	u := &upload{registry: r, name: name, id: id, release: release}
	u.begin = state{Repository: name.Repository, Algorithm: oci.SHA256, Parts: []storage.Part{}, Begun: time.Now()}
	return u, u.become(u.begin)
}

// ResumeUpload takes up an upload.
func (r *Registry) ResumeUpload(ctx context.Context, name oci.Name, id string) (oci.Upload, error) {
	release, err := r.turns.take(ctx, id)
	if err != nil {
		return nil, err
	}
	u := &upload{registry: r, name: name, id: id, release: release}
	if err := u.load(ctx); err != nil {
		release()
		return nil, err
	}
	return u, nil
}

func (u *upload) ID() string { return u.id }

func (u *upload) Size() int64 { return storage.Size(u.parts) }

func (u *upload) Expect(a oci.Algorithm) {
	if u.Size() == 0 {
		u.algorithm, u.hash = a, a.New()
	}
}

func (u *upload) Append(ctx context.Context, offset int64, content io.Reader) error {
	if offset != u.Size() {
		return oci.Errorf(oci.RangeInvalid, "content for offset %d: the upload has %d bytes", offset, u.Size())
	}
	if u.finishing {
		content = nothing{content}
	}
	hashed := &tee{content: content, hash: u.hash}
	failed, fault := u.append(ctx, hashed)
	switch {
	case errors.Is(failed, fs.ErrNotExist):
		return u.lost(ctx, failed)
	case fault == nil && u.Size() == offset+hashed.n:
		return failed // nil, or the content's
	}
	// The store failed, and the hash is ahead of it.
	return errors.Join(failed, fault, u.goBack(ctx, u.latest()))
}

// nothing is content that may not be: its upload is being finished.
type nothing struct{ io.Reader }

func (c nothing) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	if n > 0 {
		return 0, oci.Errorf(oci.BlobUploadInvalid, "the upload is being finished, and takes no more content")
	}
	return 0, err
}

// append stores content part by part, each one while the next arrives. What is
// stored is recorded as soon as more is to come: a process that ends then costs no
// more than the parts that are on their way. The error of the last driver.Append is
// apart from what is known to be the store's.
func (u *upload) append(ctx context.Context, content *tee) (failed, fault error) {
	stored := storage.AlreadyStored                                 // of the part before
	recorded, older := storage.AlreadyStored, storage.AlreadyStored // of that one, and of the one before it
	for {
		parts, next, failed := u.registry.driver.Append(ctx, segmentsOf(u.name.Area), u.parts, content)
		u.parts = parts
		fault := errors.Join(stored(), older())
		if fault != nil || failed != nil || content.ended {
			return failed, errors.Join(fault, recorded(), next())
		}
		now, err := u.state()
		if err != nil {
			return err, errors.Join(recorded(), next())
		}
		stored = sync.OnceValue(next)
		older, recorded = recorded, u.recordLater(ctx, now, stored, recorded)
	}
}

// tee hashes and counts what is read.
type tee struct {
	content io.Reader
	hash    hash.Hash
	n       int64
	ended   bool // well or not
}

func (t *tee) Read(p []byte) (int, error) {
	n, err := t.content.Read(p)
	t.hash.Write(p[:n])
	t.n += int64(n)
	t.ended = err != nil
	return n, err
}

// lost gives up an upload whose parts the store has lost, as it may in a power
// cut: the client has to begin again.
func (u *upload) lost(ctx context.Context, err error) error {
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return errors.Join(u.orUnknown(err), u.Cancel(ctx))
}

// latest is the last state of which all parts are stored for certain.
func (u *upload) latest() state {
	if u.recorded != nil {
		return *u.recorded
	}
	return u.begin
}

// goBack makes the upload what it was, and frees what has come since.
func (u *upload) goBack(ctx context.Context, to state) error {
	since := u.parts
	err := u.become(to)
	if err == nil && u.recorded != nil && !slices.Equal(u.recorded.Parts, to.Parts) {
		err = u.record(ctx, to)
	}
	if err != nil {
		return err // the record may still name them
	}
	return u.free(ctx, since, to.Parts)
}

// free deletes parts, but for those that are kept.
func (u *upload) free(ctx context.Context, parts, kept []storage.Part) (err error) {
	for _, p := range parts {
		if !slices.ContainsFunc(kept, func(q storage.Part) bool { return q.Name == p.Name }) {
			err = errors.Join(err, u.registry.driver.Delete(context.WithoutCancel(ctx), p.Name))
		}
	}
	return err
}

func (u *upload) Commit(ctx context.Context, d oci.Digest) (oci.Descriptor, error) {
	actual, err := u.digest(ctx, d.Algorithm())
	if err != nil {
		return oci.Descriptor{}, u.lost(ctx, err)
	}
	if actual != d {
		return oci.Descriptor{}, errors.Join(oci.Errorf(oci.DigestInvalid,
			"the content's digest is %s, and not %s", actual, d), u.goBack(ctx, u.begin))
	}
	ctx = context.WithoutCancel(ctx) // a client that leaves now must not leave a half-made blob
	blob := describeBlob(d, u.Size())
	there, err := u.registry.renewBlob(ctx, u.name.Area, d)
	known := err == nil && there.Size == blob.Size
	if err != nil && !errors.Is(err, oci.BlobUnknown) {
		return oci.Descriptor{}, err
	}
	if known { // somebody else has pushed it
		return blob, u.Cancel(ctx)
	}
	return blob, u.finish(ctx, d)
}

// finish makes the parts a blob. From before that on nobody frees them, or makes them
// another blob, which would share them: it may be done though there is an error, or a
// process that ends, in its midst.
func (u *upload) finish(ctx context.Context, d oci.Digest) error {
	u.finishing, u.as = true, d.String()
	if u.recorded != nil {
		now, err := u.state()
		if err == nil {
			err = u.record(ctx, now)
		}
		if err != nil {
			return err
		}
	}
	err := u.renewParts(ctx)
	if err == nil {
		err = u.registry.driver.Concat(ctx, blobName(u.name.Area, d), u.parts)
	}
	if err != nil {
		u.finishing = !errors.Is(err, fs.ErrNotExist)
		return u.lost(ctx, err)
	}
	if err := u.drop(ctx); err != nil {
		return err
	}
	u.done()
	return nil
}

// renewParts makes the parts of an upload young that has taken long: nobody has to know
// at once that they are a blob's.
func (u *upload) renewParts(ctx context.Context) error {
	if time.Since(u.begun) <= u.registry.young {
		return nil
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for _, p := range u.parts {
		group.Go(func() error { return u.registry.driver.Touch(ctx, p.Name) })
	}
	return group.Wait()
}

// digest is the content's, from the hash if that is of the algorithm.
func (u *upload) digest(ctx context.Context, a oci.Algorithm) (oci.Digest, error) {
	if a == u.algorithm {
		return a.Digest(u.hash), nil
	}
	h := a.New()
	for _, p := range u.parts {
		f, _, err := u.registry.driver.Open(ctx, p.Name)
		if err != nil {
			return oci.Digest{}, err
		}
		_, err = io.CopyN(h, reader{ctx, f}, p.Size)
		if err == io.EOF { // and not one of a connection, which only wraps it
			err = fs.ErrNotExist
		}
		if err = errors.Join(err, f.Close()); err != nil {
			return oci.Digest{}, err
		}
	}
	return a.Digest(h), nil
}

func (u *upload) Cancel(ctx context.Context) error {
	if u.release == nil {
		return nil
	}
	defer u.done()
	ctx = context.WithoutCancel(ctx)
	if u.recorded != nil {
		now, _, err := u.read(ctx)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // another process has finished it, and the parts are an object's
		}
		if err != nil {
			return err
		}
		u.finishing = u.finishing || now.Finishing && !u.recorded.Finishing // by another process
	}
	var err error
	if !u.finishing {
		err = u.free(ctx, u.parts, nil)
	}
	return errors.Join(err, u.drop(ctx))
}

// done ends the turn.
func (u *upload) done() {
	u.release()
	u.release = nil
}

func (u *upload) Close(ctx context.Context) error {
	if u.release == nil {
		return nil
	}
	defer u.done()
	if u.recorded != nil && slices.Equal(u.parts, u.recorded.Parts) {
		return nil
	}
	now, err := u.state()
	if err == nil {
		err = u.record(ctx, now)
	}
	if errors.Is(err, oci.BlobUploadUnknown) {
		err = errors.Join(err, u.free(ctx, u.parts, u.recorded.Parts))
	}
	return err
}
