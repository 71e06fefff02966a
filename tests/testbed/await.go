package testbed

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"
)

// Await waits until a condition has no error, and ends the test, with the last one,
// when that takes too long. What is awaited, "the server is ready", is for people.
func Await(t testing.TB, limit time.Duration, what string, ready func() error) {
	t.Helper()
	if err := await(t.Context(), limit, nil, ready); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// await waits until ready has no error. It gives up when what it waits for has
// ended, if ended is not nil, or is late, with the last error.
func await(ctx context.Context, limit time.Duration, ended <-chan struct{}, ready func() error) error {
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	late := time.After(limit)
	for {
		err := ready()
		if err == nil {
			return nil
		}
		select {
		case <-ended:
			return errors.New("it has ended")
		case <-late:
			return fmt.Errorf("after %v: %w", limit, err)
		case <-ctx.Done():
			return ctx.Err()
		case <-again.C:
		}
	}
}
