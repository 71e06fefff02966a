package web

import (
	"io"
	"net/http"
	"os"
	"sync"
	"time"
)

// tally counts what an answer sends and what its request brings, and keeps both
// moving: a client has Options.Idle for the next bytes.
//
// It has ReadFrom, so that a file goes out by sendfile, and Unwrap.
type tally struct {
	http.ResponseWriter
	request *http.Request
	control *http.ResponseController
	idle    time.Duration

	status         int // 0: nothing was written yet
	sent, received int64
	cut            error // why not all could be sent
}

func newTally(w http.ResponseWriter, r *http.Request, idle time.Duration) *tally {
	t := &tally{ResponseWriter: w, request: r, control: http.NewResponseController(w), idle: idle}
	t.allowWrite()
	if r.Body != nil && r.Body != http.NoBody {
		r.Body = &countedBody{r.Body, t}
		t.allowRead() // the server reads what the handler does not
	}
	return t
}

func (t *tally) allowRead()  { _ = t.control.SetReadDeadline(time.Now().Add(t.idle)) }
func (t *tally) allowWrite() { _ = t.control.SetWriteDeadline(time.Now().Add(t.idle)) }

// Unwrap is for http.ResponseController.
func (t *tally) Unwrap() http.ResponseWriter { return t.ResponseWriter }

func (t *tally) WriteHeader(status int) {
	if status >= http.StatusOK { // and not one that goes before the answer
		t.begin(status)
	}
	t.ResponseWriter.WriteHeader(status)
}

// begin sends something, with that status if nothing was sent before.
func (t *tally) begin(status int) {
	if t.status == 0 {
		t.status = status
	}
	t.allowWrite()
}

func (t *tally) Write(p []byte) (int, error) {
	t.begin(http.StatusOK)
	n, err := t.ResponseWriter.Write(p)
	if t.request.Method != http.MethodHead { // of which nothing is sent
		t.sent += int64(n)
	}
	t.note(err)
	return n, err
}

// note keeps the first fault of sending.
func (t *tally) note(err error) {
	if t.cut == nil {
		t.cut = err
	}
}

// piece is how much of a file is sent between two looks at the clock. A client
// that takes less in the idle time is given up.
const piece = 256 << 10

// buffers are for TLS, which cannot send a file by itself, and encrypts large
// writes at less cost than small ones.
var buffers = sync.Pool{New: func() any { b := make([]byte, 256<<10); return &b }}

// ReadFrom sends a file, or a part of one as io.CopyN passes it, piece by piece.
func (t *tally) ReadFrom(src io.Reader) (int64, error) {
	before := t.sent
	part, ok := src.(*io.LimitedReader)
	var file *os.File
	if ok {
		file, ok = part.R.(*os.File)
	}
	to, direct := t.ResponseWriter.(io.ReaderFrom)
	if !ok || !direct || t.request.TLS != nil {
		return t.copy(src)
	}
	for part.N > 0 {
		t.begin(http.StatusOK)
		next := io.LimitedReader{R: file, N: min(part.N, piece)}
		n, err := to.ReadFrom(&next)
		t.sent, part.N = t.sent+n, part.N-n
		t.note(err)
		if err != nil || n == 0 {
			return t.sent - before, err
		}
	}
	return t.sent - before, nil
}

func (t *tally) copy(src io.Reader) (int64, error) {
	b := buffers.Get().(*[]byte)
	defer buffers.Put(b)
	return io.CopyBuffer(struct{ io.Writer }{t}, struct{ io.Reader }{src}, *b)
}

// countedBody is a request's body.
type countedBody struct {
	io.ReadCloser
	tally *tally
}

func (b *countedBody) Read(p []byte) (int, error) {
	b.tally.allowRead()
	n, err := b.ReadCloser.Read(p)
	b.tally.received += int64(n)
	if err == io.EOF {
		// From here on the server reads only to notice that the client goes.
		_ = b.tally.control.SetReadDeadline(time.Time{})
	}
	return n, err
}
