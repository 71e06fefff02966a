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
	free   chan *[]byte
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

// A reader is ahead by no more than this.
const (
	pieceSize  = 64 << 10 // bytes
	mostPieces = 16
)

var pieceBuffers = sync.Pool{New: func() any { b := make([]byte, pieceSize); return &b }}

// readAhead begins to read. The caller calls stop once.
func readAhead(content io.Reader) *ahead {
	a := &ahead{pieces: make(chan piece, mostPieces), free: make(chan *[]byte, mostPieces), quit: make(chan struct{})}
	for range mostPieces {
		a.free <- nil
	}
	go a.read(content)
	return a
}

func (a *ahead) read(content io.Reader) {
	defer close(a.pieces)
	for {
		select {
		case <-a.quit:
			return
		case b := <-a.free:
			if b == nil {
				b = pieceBuffers.Get().(*[]byte)
			}
			n, err := content.Read(*b)
			a.pieces <- piece{b, n, err}
			if err != nil {
				return
			}
		}
	}
}

// ended says that the stream has, well or not, and all of it was given out.
func (a *ahead) ended() bool { return a.current.err != nil && len(a.rest) == 0 }

// batch is a reader of what has come and not been given out. It waits only for
// the first byte.
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
		b.take(<-b.pieces)
	}
	b.begun = true
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

// take goes on to the next piece.
func (a *ahead) take(next piece) {
	if a.current.buffer != nil {
		a.free <- a.current.buffer
	}
	a.current, a.rest = next, (*next.buffer)[:next.n]
}

// stop ends the reading, once the Read that is under way has ended.
func (a *ahead) stop() {
	close(a.quit)
	a.recycle(a.current.buffer)
	for p := range a.pieces {
		a.recycle(p.buffer)
	}
	close(a.free)
	for b := range a.free {
		a.recycle(b)
	}
}

func (a *ahead) recycle(b *[]byte) {
	if b != nil {
		pieceBuffers.Put(b)
	}
}
