package local

import (
	"fmt"
	"io"
	"sync"
)

// ahead reads a stream in pieces while what it has read before is stored. What
// has come is given out at once, however little: somebody may be waiting for it.
// It is used by one goroutine. Make it with readAhead.
type ahead struct {
	pieces chan piece
	quit   chan struct{}

	current piece
	rest    []byte // of the current piece
}

// piece is what one Read gave.
type piece struct {
	buffer *[]byte
	n      int
	err    error
}

// A reader is ahead by about a megabyte.
const (
	pieceSize  = 64 << 10 // bytes
	mostPieces = 16
)

// buffers are what streams pass through.
var buffers = sync.Pool{New: func() any { b := make([]byte, pieceSize); return &b }}

// readAhead begins to read. The caller calls stop once.
func readAhead(content io.Reader) *ahead {
	a := &ahead{pieces: make(chan piece, mostPieces), quit: make(chan struct{})}
	go a.read(content)
	return a
}

func (a *ahead) read(content io.Reader) {
	defer close(a.pieces)
	for {
		b := buffers.Get().(*[]byte)
		n, err := readPiece(content, *b)
		select {
		case a.pieces <- piece{b, n, err}:
		case <-a.quit:
			return
		}
		if err != nil {
			return
		}
	}
}

// readPiece makes a panic an error: on a goroutine of its own it would end the
// process.
func readPiece(content io.Reader, p []byte) (n int, err error) {
	defer func() {
		if panicked := recover(); panicked != nil {
			n, err = 0, fmt.Errorf("panic: %v", panicked)
		}
	}()
	return content.Read(p)
}

// ended says that the stream has, well or not, and all of it was given out.
func (a *ahead) ended() bool { return a.current.err != nil && len(a.rest) == 0 }

// batch is a reader of what has come and was not given out. It waits only for the
// least bytes, one or more.
func (a *ahead) batch(least int64) io.Reader { return &batch{ahead: a, least: least} }

type batch struct {
	*ahead
	least int64 // bytes that it still has to give
}

// Read fills p as far as it can: large writes cost less, and so do the reads of
// what they have written.
func (b *batch) Read(p []byte) (n int, err error) {
	for n < len(p) {
		if len(b.rest) == 0 && !b.next() {
			break
		}
		copied := copy(p[n:], b.rest)
		b.rest = b.rest[copied:]
		n += copied
		b.least -= int64(copied)
	}
	switch {
	case n > 0:
		return n, nil
	case b.current.err != nil:
		return 0, b.current.err
	}
	return 0, io.EOF
}

// next goes on to the next piece, if there is one.
func (b *batch) next() bool {
	if b.current.err != nil || b.least <= 0 && len(b.pieces) == 0 {
		return false
	}
	b.recycle()
	b.current = <-b.pieces
	b.rest = (*b.current.buffer)[:b.current.n]
	return true
}

func (a *ahead) recycle() {
	if a.current.buffer != nil {
		buffers.Put(a.current.buffer)
	}
}

// stop ends the reading, and waits for the Read that is under way.
func (a *ahead) stop() {
	close(a.quit)
	for range a.pieces {
	}
	a.recycle()
}
