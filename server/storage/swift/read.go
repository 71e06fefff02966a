package swift

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"

	"opendev.org/zuul/zuul-registry/server/storage"
)

// small is how many bytes an object may have that is read at once when it is opened.
const small = 64 << 10

// Open opens an object for reading. What breaks off is asked for again from there.
func (d *Driver) Open(ctx context.Context, name string) (io.ReadSeekCloser, storage.Info, error) {
	if err := check("open", name); err != nil {
		return nil, storage.Info{}, err
	}
	ctx, leave := context.WithCancel(ctx)
	r := &reader{driver: d, ctx: ctx, leave: leave, name: name}
	info, err := r.open()
	if err == nil && info.Size > small {
		return r, info, nil
	}
	var all []byte
	if err == nil {
		all, err = io.ReadAll(r)
	}
	if err = errors.Join(err, r.Close()); err != nil {
		return nil, storage.Info{}, err
	}
	return inMemory{bytes.NewReader(all)}, info, nil
}

// inMemory is an object that was read at once.
type inMemory struct{ *bytes.Reader }

func (inMemory) Close() error { return nil }

// reader reads an object as it was when it was opened.
type reader struct {
	driver *Driver
	ctx    context.Context // of the one request that reads
	leave  func()          // ends ctx
	name   string
	size   int64
	etag   string

	mu     sync.Mutex
	offset int64         // of the next Read
	body   io.ReadCloser // nil: to be asked for
	at     int64         // of the body
	faults int           // since something came
}

func (r *reader) open() (storage.Info, error) {
	a, err := r.driver.call(r.ctx, request{operation: http.MethodGet, object: r.name, header: newest})
	if err != nil {
		return storage.Info{}, err
	}
	r.etag, r.body = strings.Trim(a.header.Get("Etag"), `"`), a.body
	info, err := describe(a.header)
	r.size = info.Size
	return info, err
}

func (r *reader) Read(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.offset < r.size {
		if err := r.reach(); err != nil {
			return 0, err
		}
		n, err := r.body.Read(p[:min(int64(len(p)), r.size-r.offset)])
		r.at += int64(n)
		r.offset += int64(n)
		if n > 0 || len(p) == 0 {
			r.faults = 0
			return n, nil // an error comes again
		}
		if err != nil {
			if err := r.again(err); err != nil {
				return 0, err
			}
		}
	}
	return 0, io.EOF
}

// reach makes the body begin at the offset.
func (r *reader) reach() error {
	if r.body != nil && r.at == r.offset {
		return nil
	}
	r.drop()
	header := map[string]string{"X-Newest": "true", "Range": fmt.Sprintf("bytes=%d-", r.offset), "If-Match": `"` + r.etag + `"`}
	a, err := r.driver.call(r.ctx, request{operation: http.MethodGet, object: r.name, header: header})
	if err != nil {
		return err
	}
	if length, want := a.header.Get("Content-Length"), fmt.Sprint(r.size-r.offset); length != want {
		return errors.Join(fmt.Errorf("swift: it sends %s bytes of %s from %d on, and not %s", length, r.name, r.offset, want), a.body.Close())
	}
	r.body, r.at = a.body, r.offset
	return nil
}

// again gives up a body that broke off, and waits, unless it was one too many.
func (r *reader) again(fault error) error {
	r.drop()
	if fault == io.EOF {
		fault = io.ErrUnexpectedEOF
	}
	fault = fmt.Errorf("swift: it breaks off %s at byte %d of %d: %w", r.name, r.offset, r.size, fault)
	if r.faults++; r.faults > r.driver.retries || r.driver.pause(r.ctx, r.faults-1, fault) != nil {
		return fault
	}
	return nil
}

func (r *reader) Seek(offset int64, whence int) (int64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch whence {
	case io.SeekCurrent:
		offset += r.offset
	case io.SeekEnd:
		offset += r.size
	}
	if offset < 0 {
		return r.offset, errors.New("a position before the beginning")
	}
	r.offset = offset
	return offset, nil
}

// Close may be called beside a Read: http.ServeContent leaves one behind when it sends
// several ranges and the client goes.
func (r *reader) Close() error {
	r.leave()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.drop()
	return nil
}

// drop gives up the body, with its connection unless it has ended.
func (r *reader) drop() {
	if r.body != nil {
		_ = r.body.Close()
		r.body = nil
	}
}
