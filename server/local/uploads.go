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
}

const maxStateSize = 1 << 20

// upload is an oci.Upload.
type upload struct {
	registry *Registry
	name     oci.Name
	id       string
	release  func() // ends the turn; nil once it has ended

	begin     state // what the turn began with
	stored    bool  // begin is in the store
	algorithm oci.Algorithm
	parts     []storage.Part
	hash      hash.Hash // of the parts, by the algorithm
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
	return u, u.goBack()
}

// ResumeUpload takes up an upload.
func (r *Registry) ResumeUpload(ctx context.Context, name oci.Name, id string) (oci.Upload, error) {
	release, err := r.turns.take(ctx, id)
	if err != nil {
		return nil, err
	}
	u := &upload{registry: r, name: name, id: id, release: release, stored: true}
	if err := u.load(ctx); err != nil {
		release()
		return nil, err
	}
	return u, nil
}

func (u *upload) load(ctx context.Context) error {
	text, err := u.registry.read(ctx, u.object(), maxStateSize)
	if err != nil {
		return u.orUnknown(err)
	}
	if err := json.Unmarshal(text, &u.begin); err != nil { // after a power cut it may be anything
		return errors.Join(u.orUnknown(fs.ErrNotExist), u.drop(ctx))
	}
	if u.begin.Repository != u.name.Repository {
		return oci.Errorf(oci.BlobUploadUnknown, "upload %s is not one of repository %s", u.id, u.name)
	}
	return u.goBack()
}

// object is the name of the stored state.
func (u *upload) object() string { return uploadName(u.name.Area, u.id) }

func (u *upload) orUnknown(err error) error {
	return orUnknown(err, oci.BlobUploadUnknown, "upload "+u.id)
}

// goBack makes the upload what it was when the turn began.
func (u *upload) goBack() error {
	u.parts, u.algorithm, u.hash = u.begin.Parts, u.begin.Algorithm, u.begin.Algorithm.New()
	if len(u.begin.Hash) == 0 {
		return nil
	}
	return u.hash.(encoding.BinaryUnmarshaler).UnmarshalBinary(u.begin.Hash)
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
	hashed := &tee{content: content, hash: u.hash}
	parts, err := u.registry.driver.Append(ctx, segmentsOf(u.name.Area), u.parts, hashed)
	u.parts = parts
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return u.lost(ctx, err)
	case u.Size() == offset+hashed.n:
		return err // nil, or the content's
	}
	// The store failed, and the hash is ahead of it.
	return errors.Join(err, u.forget(ctx))
}

// tee hashes and counts what is read.
type tee struct {
	content io.Reader
	hash    hash.Hash
	n       int64
}

func (t *tee) Read(p []byte) (int, error) {
	n, err := t.content.Read(p)
	t.hash.Write(p[:n])
	t.n += int64(n)
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

// forget goes back to the beginning of the turn and frees what came since.
func (u *upload) forget(ctx context.Context) error {
	var faults []error
	for _, p := range u.parts {
		if !slices.ContainsFunc(u.begin.Parts, func(q storage.Part) bool { return q.Name == p.Name }) {
			faults = append(faults, u.registry.driver.Delete(context.WithoutCancel(ctx), p.Name))
		}
	}
	return errors.Join(append(faults, u.goBack())...)
}

func (u *upload) Commit(ctx context.Context, d oci.Digest) (oci.Descriptor, error) {
	actual, err := u.digest(ctx, d.Algorithm())
	if err != nil {
		return oci.Descriptor{}, u.lost(ctx, err)
	}
	if actual != d {
		return oci.Descriptor{}, errors.Join(oci.Errorf(oci.DigestInvalid,
			"the content's digest is %s, and not %s", actual, d), u.forget(ctx))
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
	return blob, u.become(ctx, blobName(u.name.Area, d))
}

// become makes the parts an object. The state goes first: whoever has it may
// free the parts, which are the object's then.
func (u *upload) become(ctx context.Context, name string) error {
	if err := u.drop(ctx); err != nil {
		return err
	}
	if err := u.registry.driver.Concat(ctx, name, u.parts); err != nil {
		return u.lost(ctx, err) // Close keeps the state again
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
		if errors.Is(err, io.EOF) {
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
	if u.stored {
		_, err := u.registry.driver.Stat(ctx, u.object())
		if errors.Is(err, fs.ErrNotExist) {
			return nil // another process has finished it, and the parts are an object's
		}
		if err != nil {
			return err
		}
	}
	var faults []error
	for _, p := range u.parts {
		faults = append(faults, u.registry.driver.Delete(ctx, p.Name))
	}
	return errors.Join(append(faults, u.drop(ctx))...)
}

// drop removes the stored state.
func (u *upload) drop(ctx context.Context) error {
	if !u.stored {
		return nil
	}
	if err := u.registry.driver.Delete(ctx, u.object()); err != nil {
		return err
	}
	u.stored = false
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
	if u.stored && slices.Equal(u.parts, u.begin.Parts) {
		return nil
	}
	marshalled, err := u.hash.(encoding.BinaryMarshaler).MarshalBinary()
	if err != nil {
		return err
	}
	text, err := json.Marshal(state{u.name.Repository, u.algorithm, marshalled, u.parts})
	if err != nil {
		return err
	}
	return u.registry.put(context.WithoutCancel(ctx), u.object(), text, storage.Volatile)
}
