package swift

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"io"
	"sync"

	"golang.org/x/sync/semaphore"
	"golang.org/x/sys/unix"
)

// chunkSize is in bytes. Swift sends segments that are smaller than a MiB at one a
// second (rate_limit_under_size), and so no part is cut to less.
const chunkSize = 1 << 20

// SmallestPart is the least that Options.PartSize may be, in bytes.
const SmallestPart = chunkSize

// memory is where content waits until it is stored. It is outside of the heap, of
// which the garbage collector may let as much again be garbage.
type memory struct {
	chunks *semaphore.Weighted // that may be held

	mu   sync.Mutex
	free [][]byte
}

func newMemory(size int64) *memory {
	return &memory{chunks: semaphore.NewWeighted(max(1, size/chunkSize))}
}

// take waits for a chunk. Only who holds none may do so.
func (m *memory) take(ctx context.Context) ([]byte, error) {
	if err := m.chunks.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	return m.chunk()
}

// tryTake is a further chunk, or nil when there is none or others wait.
func (m *memory) tryTake() ([]byte, error) {
	if !m.chunks.TryAcquire(1) {
		return nil, nil
	}
	return m.chunk()
}

// chunk is one that may be held.
func (m *memory) chunk() ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if last := len(m.free) - 1; last >= 0 {
		chunk := m.free[last]
		m.free = m.free[:last]
		return chunk, nil
	}
	chunk, err := unix.Mmap(-1, 0, chunkSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		m.chunks.Release(1)
	}
	return chunk, err
}

// fill takes from content what makes a part: all, or most bytes, or what there is
// memory for; nothing of it needs none. The caller calls release of the part, also after
// an error.
func (m *memory) fill(ctx context.Context, content io.Reader, most int64) (*held, error) {
	h := &held{memory: m}
	first := make([]byte, 512)
	n, err := io.ReadAtLeast(content, first, 1)
	if n == 0 {
		if err == io.EOF {
			err = nil
		}
		return h, err
	}
	chunk, failed := m.take(ctx)
	if failed != nil {
		return h, failed
	}
	h.chunks, h.size = append(h.chunks, chunk), int64(copy(chunk, first[:n]))
	if err != nil {
		return h, err
	}
	return h, h.fill(content, most)
}

// fill goes on until the part is full.
func (h *held) fill(content io.Reader, most int64) error {
	for h.size < most {
		if h.size == int64(len(h.chunks))*chunkSize {
			chunk, err := h.memory.tryTake()
			if chunk == nil || err != nil {
				return err
			}
			h.chunks = append(h.chunks, chunk)
		}
		at := h.size % chunkSize
		n, err := content.Read(h.chunks[len(h.chunks)-1][at:min(chunkSize, at+most-h.size)])
		h.size += int64(n)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// held is content in memory.
type held struct {
	memory *memory
	chunks [][]byte
	size   int64
}

// release gives the memory back.
func (h *held) release() {
	m := h.memory
	m.mu.Lock()
	m.free = append(m.free, h.chunks...)
	m.mu.Unlock()
	m.chunks.Release(int64(len(h.chunks)))
}

// md5 is what Swift calls the Etag.
func (h *held) md5() string {
	sum, rest := md5.New(), h.size
	for _, chunk := range h.chunks {
		sum.Write(chunk[:min(chunkSize, rest)])
		rest -= chunkSize
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// Size makes held a content, as ReadAt does.
func (h *held) Size() int64 { return h.size }

func (h *held) ReadAt(p []byte, offset int64) (n int, err error) {
	for n < len(p) && offset < h.size {
		first := offset / chunkSize * chunkSize // byte of the chunk
		copied := copy(p[n:], h.chunks[first/chunkSize][offset-first:min(chunkSize, h.size-first)])
		n += copied
		offset += int64(copied)
	}
	if n < len(p) {
		err = io.EOF
	}
	return n, err
}
