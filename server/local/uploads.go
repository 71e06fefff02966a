package local

import (
	"context"
	"crypto/rand"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"

	"opendev.org/zuul/zuul-registry/server/oci"
	"opendev.org/zuul/zuul-registry/server/storage"
)

// record is an upload as it is kept between two requests, so that any process
// with the same store can go on with it.
type record struct {
	Repository string         `json:"repository"`
	Algorithm  oci.Algorithm  `json:"algorithm"`
	Hash       []byte         `json:"hash"` // the marshalled state after the parts
	Parts      []storage.Part `json:"parts"`
}

// upload is an oci.Upload.
type upload struct {
	registry *Registry
	name     oci.Name
	id       string
	give     func() // ends the turn; nil once it has ended

	begin  record // what the turn began with, and what is in the store if stored
	stored bool
	parts  []storage.Part
	hash   hash.Hash // of the parts
}

// StartUpload begins an upload.
func (r *Registry) StartUpload(ctx context.Context, name oci.Name) (oci.Upload, error) {
	u := &upload{registry: r, name: name, id: rand.Text()}
	var err error
	if u.give, err = r.turns.take(ctx, u.id); err != nil {
		return nil, err
	}
	u.begin = record{Repository: name.Repository, Parts: []storage.Part{}}
	u.Expect(oci.SHA256)
	return u, nil
}

const maxRecordSize = 1 << 20

// ResumeUpload takes up an upload.
func (r *Registry) ResumeUpload(ctx context.Context, name oci.Name, id string) (oci.Upload, error) {
	give, err := r.turns.take(ctx, id)
	if err != nil {
		return nil, err
	}
	u := &upload{registry: r, name: name, id: id, give: give, stored: true}
	if err := u.load(ctx); err != nil {
		give()
		return nil, err
	}
	return u, nil
}

func (u *upload) load(ctx context.Context) error {
	text, err := u.registry.read(ctx, uploadName(u.name.Area, u.id), maxRecordSize)
	if err != nil {
		return orUnknown(err, oci.BlobUploadUnknown, "upload "+u.id)
	}
	if err := json.Unmarshal(text, &u.begin); err != nil {
		return fmt.Errorf("record of upload %s: %w", u.id, err)
	}
	if u.begin.Repository != u.name.Repository {
		return oci.Errorf(oci.BlobUploadUnknown, "upload %s is not one of repository %s", u.id, u.name)
	}
	return u.goBack()
}

// goBack makes the upload what it was when the turn began.
func (u *upload) goBack() error {
	u.parts, u.hash = u.begin.Parts, u.begin.Algorithm.New()
	if len(u.begin.Hash) == 0 {
		return nil
	}
	return u.hash.(encoding.BinaryUnmarshaler).UnmarshalBinary(u.begin.Hash)
}

func (u *upload) ID() string { return u.id }

func (u *upload) Size() int64 { return storage.Size(u.parts) }

func (u *upload) Expect(a oci.Algorithm) {
	if len(u.parts) == 0 {
		u.begin.Algorithm, u.begin.Hash, u.hash = a, nil, a.New()
	}
}

func (u *upload) Append(ctx context.Context, offset int64, content io.Reader) error {
	if offset != u.Size() {
		return oci.Errorf(oci.RangeInvalid, "content for offset %d: the upload has %d bytes", offset, u.Size())
	}
	hashed := &tee{content: content, hash: u.hash}
	parts, err := u.registry.driver.Append(ctx, segmentsOf(u.name.Area, u.id), u.parts, hashed)
	u.parts = parts
	if u.Size() != offset+hashed.n {
		// The store failed, and the hash is ahead of it.
		return errors.Join(err, u.forget(ctx), fmt.Errorf("upload %s: %d bytes came, %d were stored", u.id, hashed.n, u.Size()-offset))
	}
	return err
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

// forget goes back to the beginning of the turn and frees what came since.
func (u *upload) forget(ctx context.Context) error {
	var faults []error
	for _, p := range u.parts {
		if !slices.ContainsFunc(u.begin.Parts, func(q storage.Part) bool { return q.Name == p.Name }) {
			faults = append(faults, u.registry.driver.Delete(ctx, p.Name))
		}
	}
	return errors.Join(append(faults, u.goBack())...)
}

func (u *upload) Commit(ctx context.Context, d oci.Digest) (oci.Descriptor, error) {
	ctx = context.WithoutCancel(ctx) // a client that leaves now must not leave a half-made blob
	actual, err := u.digest(ctx, d.Algorithm())
	if err != nil {
		return oci.Descriptor{}, err
	}
	if actual != d {
		return oci.Descriptor{}, errors.Join(oci.Errorf(oci.DigestInvalid,
			"the content's digest is %s, and not %s", actual, d), u.forget(ctx))
	}
	blob := describeBlob(d, u.Size())
	there, err := u.registry.renewBlob(ctx, u.name.Area, d)
	switch {
	case err == nil && there.Size == blob.Size: // somebody else has pushed it
		err = u.free(ctx)
	case err == nil, errors.Is(err, oci.BlobUnknown):
		err = u.registry.driver.Concat(ctx, blobName(u.name.Area, d), u.parts)
	}
	if err != nil {
		return oci.Descriptor{}, err
	}
	return blob, u.end(ctx)
}

// digest is the content's, from the hash if that is of the algorithm.
func (u *upload) digest(ctx context.Context, a oci.Algorithm) (oci.Digest, error) {
	if a == u.begin.Algorithm {
		return oci.HashDigest(a, u.hash), nil
	}
	h := a.New()
	for _, p := range u.parts {
		f, _, err := u.registry.driver.Open(ctx, p.Name)
		if err != nil {
			return oci.Digest{}, err
		}
		_, err = io.CopyN(h, f, p.Size)
		if err = errors.Join(err, f.Close()); err != nil {
			return oci.Digest{}, err
		}
	}
	return oci.HashDigest(a, h), nil
}

func (u *upload) Cancel(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	if err := u.free(ctx); err != nil {
		return err
	}
	return u.end(ctx)
}

// free deletes the parts.
func (u *upload) free(ctx context.Context) error {
	var faults []error
	for _, p := range u.parts {
		faults = append(faults, u.registry.driver.Delete(ctx, p.Name))
	}
	return errors.Join(faults...)
}

// end removes the record and ends the turn.
func (u *upload) end(ctx context.Context) error {
	defer u.done()
	if !u.stored {
		return nil
	}
	return u.registry.driver.Delete(ctx, uploadName(u.name.Area, u.id))
}

func (u *upload) done() {
	u.give()
	u.give = nil
}

func (u *upload) Close(ctx context.Context) error {
	if u.give == nil {
		return nil
	}
	defer u.done()
	if u.stored && slices.Equal(u.parts, u.begin.Parts) {
		return nil
	}
	state, err := u.hash.(encoding.BinaryMarshaler).MarshalBinary()
	if err != nil {
		return err
	}
	next := record{u.name.Repository, u.begin.Algorithm, state, u.parts}
	text, err := json.Marshal(next)
	if err != nil {
		return err
	}
	return u.registry.put(context.WithoutCancel(ctx), uploadName(u.name.Area, u.id), text, storage.Volatile)
}
