package shadow

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"

	"golang.org/x/sync/singleflight"

	"opendev.org/zuul/zuul-registry/server/oci"
)

// work is what goes on when the clients that asked for it have left. Make it with
// newWork.
type work struct {
	log    *slog.Logger
	shared singleflight.Group

	mu     sync.Mutex
	ctx    context.Context // done when the work is to end
	end    context.CancelFunc
	active sync.WaitGroup
}

func newWork(log *slog.Logger) *work {
	w := &work{log: log}
	w.ctx, w.end = context.WithCancel(context.Background())
	return w
}

// close ends all work, and waits for it.
func (w *work) close() {
	w.mu.Lock()
	w.end()
	w.mu.Unlock()
	w.active.Wait()
}

// start runs do on a goroutine, with the values of ctx but a life of its own.
func (w *work) start(ctx context.Context, do func(context.Context)) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ctx.Err() != nil {
		return oci.Errorf(oci.Unavailable, "the registry is stopping")
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(w.ctx, cancel)
	w.active.Go(func() {
		defer cancel()
		defer stop()
		do(ctx)
	})
	return nil
}

// once has the result of do, which all who ask for the key meanwhile share. It
// goes on when they leave.
func once[V any](ctx context.Context, w *work, key string, do func(context.Context) (V, error)) (V, error) {
	var none V
	result := w.shared.DoChan(key, func() (v any, err error) {
		done := make(chan struct{})
		fault := w.start(ctx, func(ctx context.Context) {
			defer close(done)
			defer func() {
				if panicked := recover(); panicked != nil {
					err = fmt.Errorf("panic: %v\n%s", panicked, debug.Stack())
				}
			}()
			v, err = do(ctx)
		})
		if fault != nil {
			return none, fault
		}
		<-done
		return v, err
	})
	select {
	case r := <-result:
		if r.Err != nil {
			return none, r.Err
		}
		return r.Val.(V), nil
	case <-ctx.Done():
		return none, ctx.Err()
	}
}
