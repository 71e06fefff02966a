package local

import (
	"context"
	"encoding"
	"encoding/json"
	"errors"
	"io/fs"
	"sync"
	"time"

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
	Begun      time.Time      `json:"begun"`               // before the first part
	Finishing  bool           `json:"finishing,omitempty"` // the parts may be a blob's already:
	As         string         `json:"as,omitempty"`        // of this digest
}

// Some 60,000 parts: 900 GiB of 16 MiB each.
const maxStateSize = 4 << 20

func (u *upload) load(ctx context.Context) error {
	begin, info, err := u.read(ctx)
	if err == nil && !u.registry.isYoung(info) { // or prune might be about to give the parts up
		err = u.registry.driver.Touch(ctx, u.object())
	}
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
func (u *upload) read(ctx context.Context) (state, storage.Info, error) {
	return u.registry.readState(ctx, u.object())
}

func (r *Registry) readState(ctx context.Context, object string) (s state, info storage.Info, err error) {
	text, info, err := r.read(ctx, object, maxStateSize)
	if err == nil {
		err = decode(object, text, &s)
	}
	return s, info, err
}

// object is the name of the stored state.
func (u *upload) object() string { return uploadName(u.name.Area, u.id) }

func (u *upload) orUnknown(err error) error {
	return orUnknown(err, oci.BlobUploadUnknown, "upload "+u.id)
}

// become makes the upload what it was.
func (u *upload) become(s state) error {
	u.parts, u.algorithm, u.hash, u.begun = s.Parts, s.Algorithm, s.Algorithm.New(), s.Begun
	u.finishing, u.as = s.Finishing, s.As
	if len(s.Hash) == 0 {
		return nil
	}
	return u.hash.(encoding.BinaryUnmarshaler).UnmarshalBinary(s.Hash)
}

// state is what the upload is.
func (u *upload) state() (state, error) {
	marshalled, err := u.hash.(encoding.BinaryMarshaler).MarshalBinary()
	return state{u.name.Repository, u.algorithm, marshalled, u.parts, u.begun, u.finishing, u.as}, err
}

// record keeps a state in the store. An upload that another process has finished or
// cancelled meanwhile, or is finishing, is not brought back by it: whoever had its parts
// then could free what is a blob's.
func (u *upload) record(ctx context.Context, s state) error {
	ctx = context.WithoutCancel(ctx)
	if u.recorded != nil {
		now, _, err := u.read(ctx)
		if err == nil && now.Finishing && (!u.finishing || u.as != now.As) {
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
