package transfer

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// body is a blob of the source on its way. It is asked for when it is first read,
// goes on where it broke off, and gives no last byte of content that has another
// digest. One goroutine reads it; another one may close it.
type body struct {
	ctx    context.Context
	cancel context.CancelFunc
	source *source
	ocispec.Descriptor

	stream   io.ReadCloser // nil: to be opened
	offset   int64
	verifier digest.Verifier
	failures int // since something came

	mu     sync.Mutex
	err    error // why the source does not give it
	moved  int64 // what the image was told
	closed bool
}

func newBody(ctx context.Context, s *source, d ocispec.Descriptor) *body {
	ctx, cancel := context.WithCancel(ctx)
	return &body{ctx: ctx, cancel: cancel, source: s, Descriptor: d, verifier: d.Digest.Verifier()}
}

// Read is as io.Reader has it.
func (b *body) Read(p []byte) (int, error) {
	for {
		if err := b.ended(); err != nil {
			return 0, err
		}
		if b.offset == b.Size {
			return 0, io.EOF
		}
		n, err := b.read(p[:min(int64(len(p)), b.Size-b.offset)])
		if n > 0 {
			b.failures = 0
			if err := b.advance(p[:n]); err != nil {
				return 0, err
			}
			return n, nil
		}
		if err == nil {
			return 0, nil
		}
		if !isCut(err) || !b.source.image.patience.again(b.ctx, b.failures, err) {
			b.fail(b.source.fault(b.ctx, err, describe(b.Descriptor)))
		}
		b.failures++
	}
}

// read is a piece of the stream, of which there is another one after an error.
func (b *body) read(p []byte) (n int, err error) {
	if b.stream == nil {
		if b.stream, err = b.open(); err != nil {
			return 0, err
		}
	}
	n, err = b.stream.Read(p)
	if err != nil {
		_ = b.stream.Close() // what was read is what counts
		b.stream = nil
	}
	if err != nil {
		err = errors.Join(io.ErrUnexpectedEOF, err) // Read knows where the end is
	}
	return n, err
}

// open asks for the blob, from the offset on where the source can.
func (b *body) open() (io.ReadCloser, error) {
	stream, err := b.source.repo.Blobs().Fetch(b.ctx, b.Descriptor)
	if err != nil || b.offset == 0 {
		return stream, err
	}
	if seeker, ok := stream.(io.Seeker); ok {
		if _, err := seeker.Seek(b.offset, io.SeekStart); err == nil {
			return stream, nil
		}
		_ = stream.Close() // it was only read
		if stream, err = b.source.repo.Blobs().Fetch(b.ctx, b.Descriptor); err != nil {
			return nil, err
		}
	}
	if _, err := io.CopyN(io.Discard, stream, b.offset); err != nil {
		_ = stream.Close() // err says more
		return nil, err
	}
	return stream, nil
}

// advance takes note of what was read, and verifies it at its end.
func (b *body) advance(p []byte) error {
	b.offset += int64(len(p))
	_, _ = b.verifier.Write(p) // a hash has no errors
	if b.offset == b.Size && !b.verifier.Verified() {
		err := b.source.fault(b.ctx, complaint("sends something else than "+describe(b.Descriptor)), "")
		b.fail(err)
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.closed {
		b.moved += int64(len(p))
		b.source.image.move(int64(len(p)))
	}
	return nil
}

func (b *body) fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err == nil && !b.closed {
		b.err = err
	}
}

// fault is why the source does not give the blob; nil, if it does.
func (b *body) fault() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err
}

// ended is why it is read no more.
func (b *body) ended() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err == nil && b.closed {
		return os.ErrClosed
	}
	return b.err
}

// afresh is the same blob from its beginning. The one of before has moved nothing,
// and is not waited for: who reads it may still be about to see that it is closed.
func (b *body) afresh(ctx context.Context) *body {
	_ = b.Close() // it was only read
	b.mu.Lock()
	defer b.mu.Unlock()
	b.source.image.move(-b.moved)
	b.moved = 0
	return newBody(ctx, b.source, b.Descriptor)
}

// Close lets go of the connection.
func (b *body) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	b.cancel()
	return nil
}
