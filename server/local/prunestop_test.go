package local_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"opendev.org/zuul/zuul-registry/server/local"
	"opendev.org/zuul/zuul-registry/server/oci"
	"opendev.org/zuul/zuul-registry/server/storage"
	"opendev.org/zuul/zuul-registry/server/storage/memory"
)

// Who stops a prune need not wait until all is removed, also of a store that does not look
// whether it is to stop.
func TestAPruneStopsAtOnce(t *testing.T) {
	const blobs = 1000
	store := memory.New()
	for i := range blobs {
		content := fmt.Sprint(i)
		name := "_local/blobs/" + oci.SHA256.Sum([]byte(content)).String() + "/data"
		if err := store.Put(t.Context(), name, strings.NewReader(content), storage.Volatile); err != nil {
			t.Fatal(err)
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	removed := 0
	err := local.New(store, local.Options{}).Prune(ctx, local.Pruning{
		Ages: local.Ages{Upload: time.Nanosecond}, Log: slog.New(slog.DiscardHandler),
		Removed: func(local.Removal) { removed++; stop() }, Progress: func(int) {},
	})
	if !errors.Is(err, context.Canceled) || removed > blobs/10 {
		t.Errorf("%d of %d blobs are removed, %v", removed, blobs, err)
	}
}
