package local

import (
	"context"
	"sync"
)

// turns gives one request at a time the turn at something, as an upload: a client that was
// cut off and comes back must find all that the server still had of its last
// request, and two must not append at once. Processes do not wait for each
// other: a store that several may append to must not change parts that are
// there. The zero value is ready.
type turns struct {
	mu    sync.Mutex
	taken map[string]*turn
}

type turn struct {
	free  chan struct{} // holds a value while nobody has the turn
	users int           // having the turn or waiting for it
}

// take waits for the turn. The caller calls release once.
func (t *turns) take(ctx context.Context, id string) (release func(), err error) {
	t.mu.Lock()
	if t.taken == nil {
		t.taken = map[string]*turn{}
	}
	mine, ok := t.taken[id]
	if !ok {
		mine = &turn{free: make(chan struct{}, 1)}
		mine.free <- struct{}{}
		t.taken[id] = mine
	}
	mine.users++
	t.mu.Unlock()

	select {
	case <-mine.free:
		return func() { mine.free <- struct{}{}; t.leave(id, mine) }, nil
	case <-ctx.Done():
		t.leave(id, mine)
		return nil, ctx.Err()
	}
}

func (t *turns) leave(id string, mine *turn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if mine.users--; mine.users == 0 {
		delete(t.taken, id)
	}
}
