package upstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// errSilent is why a watch ends what it watches.
var errSilent = errors.New("no answer in time")

// watch ends a request of which nothing is heard for too long. It watches from the
// beginning. Make it with newWatch.
type watch struct {
	ctx    context.Context // the request's
	cancel context.CancelCauseFunc
	timer  *time.Timer
	limit  time.Duration
}

// newWatch begins to watch. The caller calls stop.
func newWatch(ctx context.Context, limit time.Duration) *watch {
	ctx, cancel := context.WithCancelCause(ctx)
	return &watch{ctx, cancel, time.AfterFunc(limit, func() { cancel(errSilent) }), limit}
}

// again has the time begin anew: something was heard, or is waited for now.
func (w *watch) again() { w.timer.Reset(w.limit) }

// pause has no time pass until again: nobody waits.
func (w *watch) pause() { w.timer.Stop() }

// stop ends the request.
func (w *watch) stop() {
	w.timer.Stop()
	w.cancel(nil)
}

// fault is err, or errSilent where it came of that. It does not look like the
// error of a context: the caller's own has not ended.
func (w *watch) fault(err error) error {
	if err != nil && errors.Is(context.Cause(w.ctx), errSilent) {
		return fmt.Errorf("%w: %v", errSilent, err)
	}
	return err
}

// pieceSize is how much of a document has to come in the time of a piece: one
// byte each time would be no end.
const pieceSize = 16 << 10

// readAll reads a document of at most limit bytes, and one more to notice that it
// is longer.
func (w *watch) readAll(body io.Reader, limit int64) ([]byte, error) {
	var content bytes.Buffer
	body = io.LimitReader(body, limit+1)
	for {
		w.again()
		if _, err := io.CopyN(&content, body, pieceSize); err == io.EOF {
			break
		} else if err != nil {
			return nil, w.fault(err)
		}
	}
	if int64(content.Len()) > limit {
		return nil, &complaint{words: fmt.Sprintf("sends more than the %d bytes that are accepted", limit)}
	}
	return content.Bytes(), nil
}

// stream is the body of an answer under a watch.
type stream struct {
	watch *watch
	body  io.ReadCloser
}

// Read is one piece. Time passes only while it waits.
func (s *stream) Read(p []byte) (int, error) {
	s.watch.again()
	n, err := s.body.Read(p)
	s.watch.pause()
	return n, s.watch.fault(err)
}

// Close ends the request.
func (s *stream) Close() error {
	defer s.watch.stop()
	return s.body.Close()
}
