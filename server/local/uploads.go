package local

import (
	"context"
	"crypto/rand"
	"encoding"
	"encoding/json"
	"errors"
	"hash"
	"io"
	"io/fs"
	"slices"
	"sync"

	"opendev.org/zuul/zuul-registry/server/oci"
	"opendev.org/zuul/zuul-registry/server/storage"
)

// state is an upload as it is kept between two requests, so that any process
// with the same store can go on with it.
type state struct {
	Repository string         `json:"repository"`
	Algorithm  oci.Algorithm  `json:"algorithm"`
	Hash       []byte         `json:"hash"` // marshalled, after the parts
	Parts      []storage.Part `json:"parts"`
	Finishing  bool           `json:"finishing,omitempty"` // the parts may be a blob's already
}

// Some 60,000 parts: 900 GiB of 16 MiB each.
const maxStateSize = 4 << 20

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
	finishing bool
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
	u.begin = state{Repository: name.Repository, Algorithm: oci.SHA256, Parts: []storage.Part{}}
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

func (u *upload) load(ctx context.Context) error {
	begin, err := u.read(ctx)
	if errors.Is(err, errDamaged) { // by a power cut
		return errors.Join(u.orUnknown(fs.ErrNotExist), u.registry.driver.Delete(ctx, u.object()))
	}
	if err != nil {
		return u.orUnknown(err)
	}
	if begin.Repository != u.name.Repository {
		return oci.Errorf(oci.BlobUploadUnknown, "upload %s is not one of repository %s", u.id, u.name)
	}
	u.begin, u.recorded = begin, &begin
	return u.become(begin)
}

// read is what the store knows of the upload now.
func (u *upload) read(ctx context.Context) (s state, err error) {
	text, err := u.registry.read(ctx, u.object(), maxStateSize)
	if err != nil {
		return s, err
	}
	err = decode(u.object(), text, &s)
	return s, err
}

// object is the name of the stored state.
func (u *upload) object() string { return uploadName(u.name.Area, u.id) }

func (u *upload) orUnknown(err error) error {
	return orUnknown(err, oci.BlobUploadUnknown, "upload "+u.id)
}

// become makes the upload what it was.
func (u *upload) become(s state) error {
	u.parts, u.algorithm, u.hash, u.finishing = s.Parts, s.Algorithm, s.Algorithm.New(), s.Finishing
	if len(s.Hash) == 0 {
		return nil
	}
	return u.hash.(encoding.BinaryUnmarshaler).UnmarshalBinary(s.Hash)
}

// state is what the upload is.
func (u *upload) state() (state, error) {
	marshalled, err := u.hash.(encoding.BinaryMarshaler).MarshalBinary()
	return state{u.name.Repository, u.algorithm, marshalled, u.parts, u.finishing}, err
}

// record keeps a state in the store. An upload that another process has finished or
// cancelled meanwhile, or is finishing, is not brought back by it: whoever had its parts
// then could free what is a blob's.
func (u *upload) record(ctx context.Context, s state) error {
	ctx = context.WithoutCancel(ctx)
	if u.recorded != nil {
		now, err := u.read(ctx)
		if err == nil && now.Finishing && !u.finishing {
			err = fs.ErrNotExist
		}
		if err != nil {
			return u.orUnknown(err)
		}
	}
	text, err := json.Marshal(s)
	if len(text) > maxStateSize {
		err = oci.Errorf(oci.SizeInvalid, "the upload has come in %d parts: that is too many", len(s.Parts))
	}
	if err == nil {
		err = u.registry.put(ctx, u.object(), text, storage.Volatile)
	}
	if err == nil {
		u.recorded = &s
	}
	return err
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

// recordLater records a state when its last part is stored and the state before it is
// recorded. It returns what waits for that, however often.
func (u *upload) recordLater(ctx context.Context, s state, stored, before func() error) func() error {
	recorded := sync.OnceValue(func() error {
		err := errors.Join(stored(), before())
		if err == nil {
			err = u.record(ctx, s)
		}
		return err
	})
	go func() { _ = recorded() }() // which is asked for again
	return recorded
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
	return blob, u.finish(ctx, blobName(u.name.Area, d))
}

// finish makes the parts an object. From before that on nobody frees them: it may be
// done though there is an error, or a process that ends, in its midst.
func (u *upload) finish(ctx context.Context, name string) error {
	u.finishing = true
	if u.recorded != nil {
		now, err := u.state()
		if err == nil {
			err = u.record(ctx, now)
		}
		if err != nil {
			return err
		}
	}
	if err := u.registry.driver.Concat(ctx, name, u.parts); err != nil {
		u.finishing = !errors.Is(err, fs.ErrNotExist)
		return u.lost(ctx, err)
	}
	if err := u.drop(ctx); err != nil {
		return err
	}
	u.done()
	return nil
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
		now, err := u.read(ctx)
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

// drop removes the stored state.
func (u *upload) drop(ctx context.Context) error {
	if u.recorded == nil {
		return nil
	}
	if err := u.registry.driver.Delete(ctx, u.object()); err != nil {
		return err
	}
	u.recorded = nil
	return nil
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
