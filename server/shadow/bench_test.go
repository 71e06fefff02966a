package shadow_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"syscall"
	"testing"
	"time"

	"opendev.org/zuul/zuul-registry/server/api"
	"opendev.org/zuul/zuul-registry/server/local"
	"opendev.org/zuul/zuul-registry/server/namespace"
	"opendev.org/zuul/zuul-registry/server/oci"
	"opendev.org/zuul/zuul-registry/server/shadow"
	"opendev.org/zuul/zuul-registry/server/storage"
	"opendev.org/zuul/zuul-registry/server/storage/filesystem"
	"opendev.org/zuul/zuul-registry/server/upstream"
)

// counted counts the bytes that are written.
type counted struct {
	storage.Driver
	written int64
}

func (c *counted) Append(ctx context.Context, directory string, parts []storage.Part, content io.Reader) ([]storage.Part, storage.Stored, error) {
	after, stored, err := c.Driver.Append(ctx, directory, parts, content)
	c.written += storage.Size(after) - storage.Size(parts)
	return after, stored, err
}

const benchmarked = 64 << 20 // bytes of the blob

// BenchmarkPull pulls a blob that was pushed, one that was fetched before, and one
// that is being fetched, of which cpu-s/GiB has the upstream's part as well.
// written/byte is what the store was given for each byte of the blob.
func BenchmarkPull(b *testing.B) {
	content := bytes.Repeat([]byte("0123456789abcdef"), benchmarked/16)
	d := oci.SHA256.Sum(content)
	theirs := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
	}))
	defer theirs.Close()
	for _, bb := range []struct {
		name    string
		prepare func(b *testing.B, r *shadow.Registry, url string)
		forget  bool
	}{
		{"pushed", func(b *testing.B, r *shadow.Registry, _ string) { pushBlob(b, r, content) }, false},
		{"fetched before", func(b *testing.B, _ *shadow.Registry, url string) { pull(b, url) }, false},
		{"being fetched", func(*testing.B, *shadow.Registry, string) {}, true},
	} {
		b.Run(bb.name, func(b *testing.B) {
			files, err := filesystem.New(filesystem.Options{Root: b.TempDir(), Sync: false})
			if err != nil {
				b.Fatal(err)
			}
			store := &counted{Driver: files}
			quiet := slog.New(slog.DiscardHandler)
			ups, err := upstream.Open(upstream.Options{URLs: map[string]string{"docker.io": theirs.URL}, Timeout: time.Minute, Log: quiet})
			if err != nil {
				b.Fatal(err)
			}
			r := shadow.New(local.New(store, local.Options{}), shadow.Options{Upstreams: ups, Log: quiet})
			defer r.Close()
			ours := httptest.NewServer(api.New(r, api.Options{Name: namespace.Auto.Name, IsPusher: nobody, Errors: api.ErrorWriter{Log: quiet}}))
			defer ours.Close()
			url := ours.URL + "/v2/org/app/blobs/" + d.String()
			bb.prepare(b, r, url)
			store.written = 0
			b.SetBytes(benchmarked)
			begin := cpu(b)
			for b.Loop() {
				pull(b, url)
				if bb.forget {
					if err := r.DeleteBlob(b.Context(), name("org/app"), d); err != nil {
						b.Fatal(err)
					}
				}
			}
			total := float64(benchmarked) * float64(b.N)
			b.ReportMetric((cpu(b)-begin).Seconds()/(total/(1<<30)), "cpu-s/GiB")
			b.ReportMetric(float64(store.written)/total, "written/byte")
		})
	}
}

func pushBlob(b *testing.B, r oci.Registry, content []byte) {
	u, err := r.StartUpload(b.Context(), name("org/app"))
	if err == nil {
		err = u.Append(b.Context(), 0, bytes.NewReader(content))
	}
	if err == nil {
		_, err = u.Commit(b.Context(), oci.SHA256.Sum(content))
	}
	if err != nil {
		b.Fatal(err)
	}
}

func pull(b *testing.B, url string) {
	answer, err := http.Get(url)
	if err != nil {
		b.Fatal(err)
	}
	n, err := io.Copy(io.Discard, answer.Body)
	if err != nil || n != benchmarked {
		b.Fatal(answer.Status, n, err)
	}
	_ = answer.Body.Close()
}

// cpu is the processor time that this process has used.
func cpu(b *testing.B) time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
