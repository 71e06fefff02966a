package shadow

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
)

// A panic is the fault of those who share it, and of nobody after them.
func TestAPanicEndsItsTaskAlone(t *testing.T) {
	var log bytes.Buffer
	w := newWork(slog.New(slog.NewTextHandler(&log, nil)))
	defer w.close()
	_, err := share(t.Context(), w, "key", func(context.Context, call[int]) { panic("a slip") })
	if err == nil {
		t.Error("a panic is no answer")
	}
	got, err := share(t.Context(), w, "key", func(_ context.Context, c call[int]) { c.end(7, nil) })
	if err != nil || got != 7 {
		t.Errorf("the next task: %d, %v", got, err)
	}
	w.close()
	if !strings.Contains(log.String(), "a slip") {
		t.Errorf("the log says %q", &log)
	}
}

// Who is told of a failure and asks again does not join what has failed, though it
// is still at work.
func TestAFailureIsNotShared(t *testing.T) {
	w := newWork(slog.New(slog.DiscardHandler))
	defer w.close()
	failed, goOn := errors.New("it failed"), make(chan struct{})
	defer close(goOn)
	_, err := share(t.Context(), w, "key", func(_ context.Context, c call[int]) {
		c.end(0, failed)
		<-goOn
	})
	if !errors.Is(err, failed) {
		t.Errorf("the first task: %v", err)
	}
	if got, err := share(t.Context(), w, "key", func(_ context.Context, c call[int]) { c.end(7, nil) }); err != nil || got != 7 {
		t.Errorf("the second task: %d, %v", got, err)
	}
}

// What a task has begun with is shared until it ends.
func TestATaskIsJoinedUntilItEnds(t *testing.T) {
	w := newWork(slog.New(slog.DiscardHandler))
	defer w.close()
	goOn, ended := make(chan struct{}), make(chan struct{})
	ask := func(n int) int {
		got, err := share(t.Context(), w, "key", func(_ context.Context, c call[int]) {
			c.begin(n)
			<-goOn
			c.end(0, errors.New("nobody is told"))
			close(ended)
		})
		if err != nil {
			t.Errorf("task %d: %v", n, err)
		}
		return got
	}
	if first, second := ask(1), ask(2); first != 1 || second != 1 {
		t.Errorf("got %d and %d, want the first task's twice", first, second)
	}
	close(goOn)
	<-ended
	ended = make(chan struct{})
	if third := ask(3); third != 3 {
		t.Errorf("got %d after the end, want a new task's", third)
	}
}
