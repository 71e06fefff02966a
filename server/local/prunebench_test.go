package local_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"runtime/metrics"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"opendev.org/zuul/zuul-registry/server/local"
	"opendev.org/zuul/zuul-registry/server/oci"
	"opendev.org/zuul/zuul-registry/server/storage/filesystem"
)

var (
	benchBlobs = flag.Int("prune-blobs", 0, "have BenchmarkPrune take a store of so many blobs, and no other")
	benchRoot  = flag.String("prune-root", "", "have BenchmarkPrune make its store there, and leave it")
)

// BenchmarkPrune prunes a store of files. Half of the images have expired. Time and memory
// are to grow as the number of blobs does.
func BenchmarkPrune(b *testing.B) {
	sizes := []int{10_000, 100_000}
	if *benchBlobs > 0 {
		sizes = []int{*benchBlobs}
	}
	for _, blobs := range sizes {
		b.Run(fmt.Sprintf("%d_blobs", blobs), func(b *testing.B) { benchmarkPrune(b, blobs) })
	}
}

func benchmarkPrune(b *testing.B, blobs int) {
	root := *benchRoot
	if root == "" {
		root = b.TempDir()
	}
	writeStore(b, root, blobs)
	d, err := filesystem.New(filesystem.Options{Root: root})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = d.Close() }()
	r := local.New(d, local.Options{})
	var dry measured
	for b.Loop() {
		dry.add(measure(b, r, true))
	}
	b.ReportMetric(dry.rate(), "objects/s")
	b.ReportMetric(dry.cpu.Seconds()/float64(b.N), "cpu-s/op")
	b.ReportMetric(float64(dry.heap)/(1<<20), "peak-heap-MiB")
	b.ReportMetric(peakOfProcess(b), "peak-process-MiB") // with what the test itself has had
	b.ReportMetric(float64(liveHeap(b, r))/float64(blobs), "live-B/blob")
	if *benchRoot == "" {
		real := measure(b, r, false) // which can be done once
		b.ReportMetric(real.took.Seconds(), "real-s")
		b.ReportMetric(float64(real.removed)/real.took.Seconds(), "removed/s")
	}
}

// liveHeap is what is live while the store is pruned, at its most. That is known only when
// garbage is collected all the time.
func liveHeap(b *testing.B, r *local.Registry) uint64 {
	b.Helper()
	defer debug.SetGCPercent(debug.SetGCPercent(5))
	return measure(b, r, true).live
}

// measured is what a prune took.
type measured struct {
	objects, removed int
	took, cpu        time.Duration
	heap, live       uint64 // bytes, at their most
}

func (m *measured) add(n measured) {
	m.objects += n.objects
	m.took += n.took
	m.cpu += n.cpu
	m.heap = max(m.heap, n.heap)
}

func (m measured) rate() float64 { return float64(m.objects) / m.took.Seconds() }

func measure(b *testing.B, r *local.Registry, dry bool) (m measured) {
	b.Helper()
	ctx, stop := context.WithCancel(b.Context())
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		m.heap, m.live = watchHeap(ctx)
	}()
	begin, cpu := time.Now(), cpuTime(b)
	err := r.Prune(b.Context(), local.Pruning{
		Ages: local.Ages{Manifest: 30 * aDay, Upload: aDay, Cache: 7 * aDay}, DryRun: dry, Log: slog.New(slog.DiscardHandler),
		Removed:  func(local.Removal) { m.removed++ },
		Progress: func(n int) { m.objects = n },
	})
	m.took, m.cpu = time.Since(begin), cpuTime(b)-cpu
	stop()
	<-watched
	if err != nil || m.removed == 0 {
		b.Fatalf("Prune: %d objects go, %v", m.removed, err)
	}
	return m
}

// watchHeap samples what the heap has, and what of that was live at the last collection.
func watchHeap(ctx context.Context) (heap, live uint64) {
	samples := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/gc/heap/live:bytes"}}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for ctx.Err() == nil {
		metrics.Read(samples)
		heap, live = max(heap, samples[0].Value.Uint64()), max(live, samples[1].Value.Uint64())
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
	return heap, live
}

func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// peakOfProcess is the most memory that the process has had, in MiB.
func peakOfProcess(b *testing.B) float64 {
	b.Helper()
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "VmHWM:")
	var kib float64
	if _, err := fmt.Sscan(rest, &kib); err != nil {
		b.Fatal(err)
	}
	return kib / 1024
}

const aDay = 24 * time.Hour

// perImage is how many blobs there are for each image.
const perImage = 5

// writeStore writes a store of so many blobs, beside the bodies of manifests. Each image
// has a config and three layers of its own, and two that another one has as well. There
// are 200 repositories.
func writeStore(b *testing.B, root string, blobs int) {
	b.Helper()
	if err := os.MkdirAll(filepath.Join(root, "_local/blobs"), 0o700); err != nil {
		b.Fatal(err)
	}
	const repositories = 200
	for i := range repositories {
		if err := os.MkdirAll(filepath.Join(root, fmt.Sprintf("_local/repos/bench/%d/manifests", i)), 0o700); err != nil {
			b.Fatal(err)
		}
	}
	var group errgroup.Group
	const atOnce = 8
	group.SetLimit(atOnce)
	images := blobs / perImage
	for i := range images {
		group.Go(func() error {
			w := writer{root: root, number: i, images: images, repository: fmt.Sprintf("bench/%d", i%repositories), age: aDay}
			if i/repositories%2 == 0 {
				w.age = 60 * aDay
			}
			return w.image()
		})
	}
	if err := group.Wait(); err != nil {
		b.Fatal(err)
	}
}

// writer writes an image as files.
type writer struct {
	root           string
	number, images int
	repository     string
	age            time.Duration
}

func (w writer) image() error {
	type descriptor struct {
		MediaType string     `json:"mediaType"`
		Digest    oci.Digest `json:"digest"`
		Size      int        `json:"size"`
	}
	var all []descriptor
	for i, text := range []string{
		fmt.Sprintf("config of %d", w.number),
		fmt.Sprintf("first layer of %d", w.number), fmt.Sprintf("second layer of %d", w.number), fmt.Sprintf("third layer of %d", w.number),
		fmt.Sprintf("shared layer %d", w.number), fmt.Sprintf("shared layer %d", (w.number+1)%w.images),
	} {
		d := oci.SHA256.Sum([]byte(text))
		all = append(all, descriptor{"application/octet-stream", d, len(text)})
		if i == perImage { // that one is written with another image
			continue
		}
		if err := w.blob(d, []byte(text)); err != nil {
			return err
		}
	}
	text, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": oci.MediaTypeImageManifest, "config": all[0], "layers": all[1:],
	})
	if err != nil {
		return err
	}
	d := oci.SHA256.Sum(text)
	record := fmt.Appendf(nil, `{%q: %q}`, oci.MediaTypeImageManifest, d)
	return errors.Join(w.blob(d, text), w.record(d.String(), record), w.record(fmt.Sprintf("tag-%d", w.number), record))
}

func (w writer) blob(d oci.Digest, content []byte) error {
	directory := filepath.Join(w.root, "_local/blobs", d.String())
	if err := os.Mkdir(directory, 0o700); err != nil {
		return err
	}
	return w.file(filepath.Join(directory, "data"), content)
}

func (w writer) record(name string, content []byte) error {
	return w.file(filepath.Join(w.root, "_local/repos", w.repository, "manifests", name), content)
}

func (w writer) file(name string, content []byte) error {
	if err := os.WriteFile(name, content, 0o600); err != nil {
		return err
	}
	then := time.Now().Add(-max(w.age, 2*aDay)) // nothing is as young as the grace
	if strings.Contains(name, "/manifests/") {
		then = time.Now().Add(-w.age)
	}
	return os.Chtimes(name, then, then)
}
