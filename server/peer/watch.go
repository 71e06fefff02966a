package peer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// ErrSilent is why a Watch ends what it watches.
var ErrSilent = errors.New("no answer in time")

// Watch ends a request of which nothing is heard for too long. It watches from the
// beginning. Make it with NewWatch.
type Watch struct {
	ctx    context.Context // the request's
	cancel context.CancelCauseFunc
	timer  *time.Timer
	limit  time.Duration
}

// NewWatch begins to watch. The caller calls Stop.
func NewWatch(ctx context.Context, limit time.Duration) *Watch {
	ctx, cancel := context.WithCancelCause(ctx)
	return &Watch{ctx, cancel, time.AfterFunc(limit, func() { cancel(ErrSilent) }), limit}
}

// Context is for the request.
func (w *Watch) Context() context.Context { return w.ctx }

// Again has the time begin anew: something was heard, or is waited for now.
func (w *Watch) Again() { w.timer.Reset(w.limit) }

// Pause has no time pass until Again: nobody waits.
func (w *Watch) Pause() { w.timer.Stop() }

// Stop ends the request.
func (w *Watch) Stop() {
	w.timer.Stop()
	w.cancel(nil)
}

// Fault is err, or ErrSilent where it came of that. It does not look like the
// error of a context: the caller's own has not ended.
func (w *Watch) Fault(err error) error {
	if err != nil && errors.Is(context.Cause(w.ctx), ErrSilent) {
		return fmt.Errorf("%w: %v", ErrSilent, err)
	}
	return err
}

// Stream is the body of an answer under a watch.
type Stream struct {
	Watch *Watch
	Body  io.ReadCloser
}

// Read is one piece. Time passes only while it waits.
func (s *Stream) Read(p []byte) (int, error) {
	s.Watch.Again()
	n, err := s.Body.Read(p)
	s.Watch.Pause()
	return n, s.Watch.Fault(err)
}

// Close ends the request.
func (s *Stream) Close() error {
	defer s.Watch.Stop()
	return s.Body.Close()
}
