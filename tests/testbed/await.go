package testbed

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// await waits until ready has no error. It gives up when what it waits for has
// ended, or is late, with the last error.
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
