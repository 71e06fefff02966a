package local_test

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"opendev.org/zuul/zuul-registry/server/local"
	"opendev.org/zuul/zuul-registry/server/oci"
	"opendev.org/zuul/zuul-registry/server/storage/filesystem"
)

// BenchmarkPrune prunes stores in files, of which half has expired, as a dry run, so that
// each round does the same. B/blob is the most of the heap that was live at once, and objects
// are blobs, bodies of manifests and records.
func BenchmarkPrune(b *testing.B) {
	for _, tags := range []int{2_000, 20_000} {
		const blobsOfOne = 4 // beside the body
		b.Run(fmt.Sprintf("blobs=%d/tags=%d", tags*(blobsOfOne+1), tags), func(b *testing.B) {
			root := b.TempDir()
			for i := range tags {
				layImage(b, root, i, blobsOfOne, time.Duration(i%2)*30*24*time.Hour)
			}
			d, err := filesystem.Attach(root)
			if err != nil {
				b.Fatal(err)
			}
			r := local.New(d, local.Options{})
			removed, looked := 0, 0
			peak := peakHeap(func() {
				for b.Loop() {
					removed = 0
					err := r.Prune(b.Context(), local.Pruning{
						Ages: local.Ages{Manifest: 24 * time.Hour, Upload: 24 * time.Hour, Cache: 24 * time.Hour}, DryRun: true,
						Log: slog.New(slog.DiscardHandler), Removed: func(local.Removal) { removed++ }, Progress: func(n int) { looked = n },
					})
					if err != nil {
						b.Fatal(err)
					}
				}
			})
			if want := tags / 2 * (blobsOfOne + 3); removed != want {
				b.Fatalf("%d objects would go, want %d", removed, want)
			}
			blobs := float64(tags * (blobsOfOne + 1))
			b.ReportMetric(float64(peak)/blobs, "B/blob")
			b.ReportMetric(float64(looked)*float64(b.N)/b.Elapsed().Seconds(), "objects/s")
		})
	}
}

// layImage writes an image with blobs of its own, under a tag and its digest, that is so
// old.
func layImage(b *testing.B, root string, number, blobs int, age time.Duration) {
	b.Helper()
	then := time.Now().Add(-age)
	lay := func(object, content string) {
		file := filepath.Join(root, object)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			b.Fatal(err)
		}
		if err := os.Chtimes(file, then, then); err != nil {
			b.Fatal(err)
		}
	}
	blob := func(content string) oci.Digest {
		d := oci.SHA256.Sum([]byte(content))
		lay("_local/blobs/"+d.String()+"/data", content)
		return d
	}
	layers := ""
	for i := range blobs {
		content := fmt.Sprintf("blob %d of %d", i, number)
		layers += fmt.Sprintf(`,{"mediaType":"x","size":%d,"digest":%q}`, len(content), blob(content))
	}
	d := blob(`{"layers":[` + layers[1:] + `]}`)
	record := fmt.Sprintf(`{%q:%q}`, oci.MediaTypeImageManifest, d)
	repository := fmt.Sprintf("_local/repos/org/app%d/manifests/", number%200)
	lay(repository+fmt.Sprintf("tag%d", number), record)
	lay(repository+d.String(), record)
}

// peakHeap is the most of the heap that was in use while something was done, in bytes,
// beyond what was before.
func peakHeap(do func()) uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	before := m.HeapInuse
	var done atomic.Bool
	result := make(chan uint64)
	go func() {
		most := uint64(0)
		for !done.Load() {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			most = max(most, m.HeapInuse)
			time.Sleep(5 * time.Millisecond)
		}
		result <- most
	}()
	do()
	done.Store(true)
	return max(<-result, before) - before
}
