package shadow

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"opendev.org/zuul/zuul-registry/server/oci"
)

// work is what is done for clients, shared by all who ask for the same, and goes
// on when they leave. Make it with newWork.
type work struct {
	log *slog.Logger

	mu      sync.Mutex
	ctx     context.Context // done when the work is to end
	end     context.CancelFunc
	active  sync.WaitGroup
	running map[any]*task
}

// task is one piece of work.
type task struct {
	once     sync.Once
	answered chan struct{} // closed when the fields below are set
	value    any
	err      error
}

func newWork(log *slog.Logger) *work {
	w := &work{log: log, running: map[any]*task{}}
	w.ctx, w.end = context.WithCancel(context.Background())
	return w
}

// grace is what work that is ended has to keep what has come. A store that is silent
// may need more, which it does not get.
const grace = 500 * time.Millisecond

// close ends all work, and waits for it, but not for long.
func (w *work) close() {
	w.mu.Lock()
	w.end()
	w.mu.Unlock()
	ended := make(chan struct{})
	go func() { w.active.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(grace):
		w.log.Warn("what is being fetched is left where it is: the store does not take it")
	}
}

// share has the answer of do, which runs once for all who ask with the same key
// until it ends. Its context has the values of the first one's, but a life of its
// own.
func share[V any](ctx context.Context, w *work, key any, do func(context.Context, call[V])) (V, error) {
	var none V
	t, err := w.join(ctx, key, func(ctx context.Context, t *task) { do(ctx, call[V]{w, key, t}) })
	if err != nil {
		return none, err
	}
	select {
	case <-t.answered:
	case <-ctx.Done():
		return none, ctx.Err()
	}
	if t.err != nil {
		return none, t.err
	}
	return t.value.(V), nil
}

// call is how a task answers.
type call[V any] struct {
	work *work
	key  any
	task *task
}

// begin answers while the task goes on. Others still join it.
func (c call[V]) begin(v V) { c.task.answer(v, nil) }

// end has nobody join any more, and answers those who have, unless begin has.
func (c call[V]) end(v V, err error) {
	c.work.leave(c.key, c.task)
	c.task.answer(v, err)
}

// join is the task of a key, begun if there is none.
func (w *work) join(ctx context.Context, key any, do func(context.Context, *task)) (*task, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if t, ok := w.running[key]; ok {
		return t, nil
	}
	if w.ctx.Err() != nil {
		return nil, oci.Errorf(oci.Unavailable, "the registry is stopping")
	}
	t := &task{answered: make(chan struct{})}
	w.running[key] = t
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(w.ctx, cancel)
	w.active.Go(func() {
		defer cancel()
		defer stop()
		defer w.recover(ctx, key, t)
		do(ctx, t)
	})
	return t, nil
}

// leave has the next who asks with the key begin anew.
func (w *work) leave(key any, t *task) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.running[key] == t {
		delete(w.running, key)
	}
}

// recover makes a panic the task's fault, as it would be a request's.
func (w *work) recover(ctx context.Context, key any, t *task) {
	if panicked := recover(); panicked != nil {
		w.log.ErrorContext(ctx, "panic", "panic", panicked, "stack", string(debug.Stack()))
		w.leave(key, t)
		t.answer(nil, fmt.Errorf("panic: %v", panicked))
	}
}

// answer does nothing after the first time.
func (t *task) answer(value any, err error) {
	t.once.Do(func() {
		t.value, t.err = value, err
		close(t.answered)
	})
}
