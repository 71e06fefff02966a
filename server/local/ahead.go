package local

import (
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
		n, err := content.Read(*b)
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

// ended says that the stream has, well or not, and all of it was given out.
func (a *ahead) ended() bool { return a.current.err != nil && len(a.rest) == 0 }

// batch is a reader of what has come and was not given out. It waits only for the
// first byte.
func (a *ahead) batch() io.Reader { return &batch{ahead: a} }

type batch struct {
	*ahead
	begun bool
}

func (b *batch) Read(p []byte) (int, error) {
	for len(b.rest) == 0 {
		if b.current.err != nil {
			return 0, b.current.err
		}
		if b.begun && len(b.pieces) == 0 {
			return 0, io.EOF
		}
		b.recycle()
		b.current = <-b.pieces
		b.rest = (*b.current.buffer)[:b.current.n]
	}
	b.begun = true
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
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
