package transfer

import (
	"context"
	"slices"
	"sync"

	"github.com/opencontainers/go-digest"
)

// ledger is what is known to be in a registry: blobs, by the repositories that have
// them. Make it with newLedger.
type ledger struct {
	mu    sync.Mutex
	known map[digest.Digest][]string
	taken map[digest.Digest]chan struct{} // closed when it is not any more
}

func newLedger() *ledger {
	return &ledger{known: map[digest.Digest][]string{}, taken: map[digest.Digest]chan struct{}{}}
}

// take waits until nobody else sends the blob. The caller calls release.
func (l *ledger) take(ctx context.Context, blob digest.Digest) (release func(), err error) {
	for {
		l.mu.Lock()
		other, taken := l.taken[blob]
		if !taken {
			mine := make(chan struct{})
			l.taken[blob] = mine
			l.mu.Unlock()
			return func() {
				l.mu.Lock()
				defer l.mu.Unlock()
				delete(l.taken, blob)
				close(mine)
			}, nil
		}
		l.mu.Unlock()
		select {
		case <-other:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// add notes that a repository has a blob.
func (l *ledger) add(blob digest.Digest, repository string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !slices.Contains(l.known[blob], repository) {
		l.known[blob] = append(l.known[blob], repository)
	}
}

func (l *ledger) has(blob digest.Digest, repository string) bool {
	return slices.Contains(l.repositories(blob), repository)
}

// repositories are those that have a blob, as a copy.
func (l *ledger) repositories(blob digest.Digest) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.known[blob])
}
