package local

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"sync"

	"opendev.org/zuul/zuul-registry/server/oci"
	"opendev.org/zuul/zuul-registry/server/storage"
)

// Incoming is a blob on its way in that can be read meanwhile: from the store, so
// that a slow reader costs no memory and holds up nobody. Make it with Receive.
type Incoming struct {
	registry *Registry
	name     oci.Name
	blob     oci.Descriptor
	upload   *upload

	mu      sync.Mutex
	parts   []storage.Part // that can be read
	size    int64          // of the parts
	changed chan struct{}  // closed, and replaced, when a field beside it changes
	done    bool           // all of it is here, or never will be
	err     error          // why not
}

// Receive begins a blob whose digest and size somebody has announced. The caller
// calls Keep once, and then End.
func (r *Registry) Receive(ctx context.Context, name oci.Name, announced oci.Descriptor) (*Incoming, error) {
	u, err := r.startUpload(ctx, name)
	if err != nil {
		return nil, err
	}
	u.Expect(announced.Digest.Algorithm())
	return &Incoming{registry: r, name: name, blob: announced, upload: u, changed: make(chan struct{})}, nil
}

// Keep stores the content and makes it the blob; DIGEST_INVALID if it is another
// one. On an error, what was stored is freed. Readers wait for End. When storing
// fails, giveUp is called, which has to end a Read of the content.
func (i *Incoming) Keep(ctx context.Context, content io.Reader, giveUp func()) error {
	err := i.store(ctx, content, giveUp)
	if err == nil {
		_, err = i.upload.Commit(ctx, i.blob.Digest)
	}
	return errors.Join(err, i.upload.Cancel(ctx)) // which does nothing after Commit
}

// End tells readers that all is here, or why it never will be. After the first time
// it does nothing.
func (i *Incoming) End(err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.done {
		return
	}
	i.parts = []storage.Part{{Name: blobName(i.name.Area, i.blob.Digest), Size: i.blob.Size}}
	i.size, i.done, i.err = i.blob.Size, true, err
	close(i.changed)
}

// largestBatch is how much of a blob may wait to be stored, in bytes.
const largestBatch = 4 << 20

func (i *Incoming) store(ctx context.Context, content io.Reader, giveUp func()) error {
	ahead := readAhead(content)
	defer ahead.stop()
	for !ahead.ended() {
		// A reader waits for little at first, and never for as much as has come: a
		// store may keep each batch as a part of its own.
		least := min(max(1, i.upload.Size()), largestBatch)
		if err := i.upload.Append(ctx, i.upload.Size(), ahead.batch(least)); err != nil {
			giveUp()
			return err
		}
		i.publish()
	}
	return nil
}

// publish shows readers what has come.
func (i *Incoming) publish() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.parts, i.size = i.upload.parts, i.upload.Size()
	close(i.changed)
	i.changed = make(chan struct{})
}

// Wait waits until all of the content is here, and says why it never will be.
func (i *Incoming) Wait(ctx context.Context) error {
	_, _, err := i.await(ctx, i.blob.Size)
	return err
}

// await is what can be read, once that is more than offset, or all.
func (i *Incoming) await(ctx context.Context, offset int64) (parts []storage.Part, size int64, err error) {
	for {
		i.mu.Lock()
		parts, size, changed, done, err := i.parts, i.size, i.changed, i.done, i.err
		i.mu.Unlock()
		if err := ctx.Err(); err != nil {
			return nil, 0, err
		}
		if done || size > offset {
			return parts, size, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, 0, ctx.Err()
		}
	}
}

// Open opens the blob: a Read waits for what has not come yet, as long as ctx is
// not done, and fails if it never will. The caller closes the Content, and may do so
// beside a Read: http.ServeContent leaves one behind when it sends several ranges and
// the client goes.
func (i *Incoming) Open(ctx context.Context) oci.Blob {
	ctx, leave := context.WithCancel(ctx)
	return oci.Blob{Descriptor: i.blob, Content: &arrival{incoming: i, ctx: ctx, leave: leave}, Verify: i.Wait}
}

// arrival is a reader of an Incoming.
type arrival struct {
	incoming *Incoming
	ctx      context.Context // of the one request that reads
	leave    func()          // ends ctx

	mu     sync.Mutex
	offset int64 // in the blob

	file  io.ReadSeekCloser // a part that is open, or the blob
	begin int64             // of the file in the blob
	at    int64             // of the file
}

// Read goes on in the file that is open as long as there is something in it: the
// part may grow, and become the blob, and be deleted meanwhile.
func (a *arrival) Read(p []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.offset >= a.incoming.blob.Size {
		return 0, io.EOF
	}
	parts, size, err := a.incoming.await(a.ctx, a.offset)
	if err != nil {
		return 0, err
	}
	p = p[:min(int64(len(p)), size-a.offset)]
	if a.file != nil && a.offset >= a.begin {
		if n, err := a.read(p); n > 0 || err != io.EOF {
			return n, err
		}
	}
	err = a.open(parts)
	if errors.Is(err, fs.ErrNotExist) { // the parts have just become the blob
		if parts, _, err = a.incoming.await(a.ctx, a.incoming.blob.Size); err == nil {
			err = a.open(parts)
		}
	}
	if err != nil {
		return 0, err
	}
	n, err := a.read(p)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// read reads what the file has at the offset.
func (a *arrival) read(p []byte) (n int, err error) {
	if a.at != a.offset-a.begin {
		if a.at, err = a.file.Seek(a.offset-a.begin, io.SeekStart); err != nil {
			return 0, err
		}
	}
	n, err = a.file.Read(p)
	a.at += int64(n)
	a.offset += int64(n)
	return n, err
}

// open opens the part that has the offset.
func (a *arrival) open(parts []storage.Part) error {
	var begin int64
	for _, part := range parts {
		if a.offset >= begin+part.Size {
			begin += part.Size
			continue
		}
		f, _, err := a.incoming.registry.driver.Open(a.ctx, part.Name)
		if err == nil {
			err = a.drop()
			a.file, a.begin, a.at = f, begin, 0
		}
		return err
	}
	return io.ErrUnexpectedEOF
}

func (a *arrival) Seek(offset int64, whence int) (int64, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch whence {
	case io.SeekCurrent:
		offset += a.offset
	case io.SeekEnd:
		offset += a.incoming.blob.Size
	}
	if offset < 0 {
		return a.offset, errors.New("a position before the beginning")
	}
	a.offset = offset
	return offset, nil
}

// Close has a Read return that waits, and those after it.
func (a *arrival) Close() error {
	a.leave()
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.drop()
}

func (a *arrival) drop() error {
	if a.file == nil {
		return nil
	}
	err := a.file.Close()
	a.file = nil
	return err
}
