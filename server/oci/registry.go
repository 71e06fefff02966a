package oci

import (
	"context"
	"io"
	"iter"
)

// Registry is a registry of images: the interface between all layers of the
// server. Package registrytest states its rules as a suite.
//
// Names, digests and references that are well formed but not there are
// BLOB_UNKNOWN, MANIFEST_UNKNOWN, NAME_UNKNOWN or BLOB_UPLOAD_UNKNOWN. Any method
// may be UNAUTHORIZED or DENIED, and UNAVAILABLE where the answer depends on
// somebody else's registry. Errors that are not an Error, nor that of the context, are
// faults of the server.
type Registry interface {
	Blobs
	Uploads
	Manifests
	Listings
}

// Blobs are the layers, configs and other content that manifests refer to.
type Blobs interface {
	// StatBlob describes a blob.
	StatBlob(ctx context.Context, name Name, digest Digest) (Descriptor, error)
	// OpenBlob opens a blob for reading, and says its Origin. The caller closes its
	// Content.
	OpenBlob(ctx context.Context, name Name, digest Digest) (Blob, error)
	// MountBlob makes a blob of from available in name. A zero from stands
	// for any repository that the blob can be found in. BLOB_UNKNOWN when it
	// cannot be had that way.
	MountBlob(ctx context.Context, name, from Name, digest Digest) (Descriptor, error)
	// DeleteBlob removes a blob; UNSUPPORTED while a manifest needs it.
	DeleteBlob(ctx context.Context, name Name, digest Digest) error
}

// Blob is an open blob. Seek does no I/O; Content is a field, and an *os.File
// where there is one, so that it can be sent without passing through memory.
type Blob struct {
	Descriptor
	Content io.ReadSeekCloser
	// Verify is set for a blob that is still arriving. It waits until all of it is
	// here; its error says that the content is not the digest's, or will never be
	// whole. No answer that was made of the content may end well before that. It may
	// be called more than once.
	Verify func(context.Context) error
}

// Uploads are blobs on their way in.
type Uploads interface {
	// StartUpload begins an upload. Nothing is kept of it before it is appended
	// to or closed.
	StartUpload(ctx context.Context, name Name) (Upload, error)
	// ResumeUpload takes up an upload of that repository. It waits while
	// another request has it.
	ResumeUpload(ctx context.Context, name Name, id string) (Upload, error)
}

// Upload is one request's turn at an upload. Only one request at a time has it,
// until Commit, Cancel or Close, whichever comes first; ID and Size may be asked
// after that.
type Upload interface {
	// ID names the upload among those of its registry.
	ID() string
	// Size is the number of bytes that the upload has.
	Size() int64
	// Expect says by which algorithm the digest will be, which is SHA256
	// otherwise: content is hashed while it arrives. Once there is content, or
	// without the call, another algorithm costs Commit a second reading.
	Expect(a Algorithm)
	// Append adds content at the end, which the caller takes to be at offset;
	// a different one is RANGE_INVALID. What arrived before content failed
	// counts. After a fault of the store the upload is what it was when this
	// turn began, and BLOB_UPLOAD_UNKNOWN if the store has lost what it had.
	Append(ctx context.Context, offset int64, content io.Reader) error
	// Commit makes the upload a blob and ends it. When digest is not the
	// content's, it is DIGEST_INVALID and the upload is what it was when this
	// turn began. BLOB_UPLOAD_UNKNOWN if the store has lost what it had.
	Commit(ctx context.Context, digest Digest) (Descriptor, error)
	// Cancel ends the upload and frees what it holds. After Commit, Cancel or
	// Close it does nothing.
	Cancel(ctx context.Context) error
	// Close ends the turn, also when ctx is done. What was appended is kept, so
	// that the upload can be resumed. After Commit, Cancel or Close it does
	// nothing.
	Close(ctx context.Context) error
}

// Manifests are images, indexes and artifacts.
type Manifests interface {
	// StatManifest describes a manifest, and says its Origin.
	StatManifest(ctx context.Context, name Name, ref Reference) (Descriptor, error)
	// GetManifest reads a manifest, and says its Origin.
	GetManifest(ctx context.Context, name Name, ref Reference) (Manifest, error)
	// PutManifest stores a manifest under its digest and points the tags at it.
	// One that names blobs or manifests which are not there, but for
	// non-distributable layers and its subject, is MANIFEST_BLOB_UNKNOWN.
	PutManifest(ctx context.Context, name Name, m Manifest, tags ...Tag) error
	// DeleteManifest removes a tag, or a digest with all the tags that point
	// at it.
	DeleteManifest(ctx context.Context, name Name, ref Reference) error
}

// Listings are what there is. They come in ascending byte order; an error ends
// them.
type Listings interface {
	// Repositories lists the names, by their String, after a text.
	Repositories(ctx context.Context, after string) iter.Seq2[Name, error]
	// Tags lists the tags of a repository after a tag, or all after the zero
	// Tag. A repository that is not there is NAME_UNKNOWN.
	Tags(ctx context.Context, name Name, after Tag) iter.Seq2[Tag, error]
	// Referrers lists the manifests of a repository whose subject is digest,
	// with artifact type and annotations. There need be none.
	Referrers(ctx context.Context, name Name, digest Digest) iter.Seq2[Descriptor, error]
}
