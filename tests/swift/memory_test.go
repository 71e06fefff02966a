package swift_test

import (
	"fmt"
	"sync"
	"testing"

	"opendev.org/zuul/zuul-registry/tests/testbed"
)

// However many push at once, uploads take no more memory than what is set for them.
func TestMemory(t *testing.T) {
	const (
		connections, part = 4, 4 << 20
		clients, size     = 24, 10 << 20
		process           = 48 << 20 // without what uploads take
	)
	bed := testbed.Open(t)
	s := bed.StartSwift(t, testbed.SwiftOptions{})
	r := serve(t, bed, append(s.Environment(), "ZUUL_REGISTRY_STORAGE=swift", "ZUUL_REGISTRY_SWIFT_CONTAINER=images",
		fmt.Sprint("ZUUL_REGISTRY_SWIFT_CONNECTIONS=", connections), fmt.Sprintf("ZUUL_REGISTRY_SWIFT_PART_SIZE=%dMiB", part>>20))...)
	var all sync.WaitGroup
	for range clients {
		content := random(size)
		all.Go(func() {
			digest := digestOf(content)
			r.push(content, digest)
			if n := r.pull(digest); n != size {
				t.Errorf("the blob has %d bytes, want %d", n, size)
			}
		})
	}
	all.Wait()
	if peak, most := r.peak(), int64(connections*part+process); peak > most {
		t.Errorf("%d uploads at once took %d MiB, want at most %d", clients, peak>>20, most>>20)
	}
}
