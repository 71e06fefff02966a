package upstream_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"opendev.org/zuul/zuul-registry/server/oci"
	"opendev.org/zuul/zuul-registry/server/upstream"
)

var (
	layer       = strings.Repeat("0123456789abcdef", 10_000)
	layerDigest = oci.SHA256.Sum([]byte(layer))
)

// step is one answer to a request for the layer.
type step func(w http.ResponseWriter, r *http.Request)

// from sends the layer from where it is wanted.
func from(w http.ResponseWriter, r *http.Request) {
	http.ServeContent(w, r, "", time.Time{}, strings.NewReader(layer))
}

// until does so up to a byte of the layer, and then does something else.
func until(end int, then http.HandlerFunc) step {
	return func(w http.ResponseWriter, r *http.Request) {
		begin := 0
		_, _ = fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &begin)
		w.Header().Set("Content-Length", fmt.Sprint(len(layer)-begin))
		if begin > 0 {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", begin, len(layer)-1, len(layer)))
			w.WriteHeader(http.StatusPartialContent)
		}
		_, _ = io.WriteString(w, layer[begin:max(begin, end)])
		_ = http.NewResponseController(w).Flush()
		then(w, r)
	}
}

// hangsUp closes the connection.
func hangsUp(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// whole sends all of the layer, whatever part is wanted.
func whole(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Length", fmt.Sprint(len(layer)))
	_, _ = io.WriteString(w, layer)
}

// part sends bytes with this Content-Range.
func part(contentRange, content string) step {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Range", contentRange)
		w.WriteHeader(http.StatusPartialContent)
		_, _ = io.WriteString(w, content)
	}
}

// sending answers with one step after the other, and with the last from then on.
func sending(t *testing.T, steps ...step) *there {
	return serve(t, func(w http.ResponseWriter, r *http.Request) {
		next := steps[0]
		if len(steps) > 1 {
			steps = steps[1:]
		}
		next(w, r)
	})
}

func open(t *testing.T, r *upstream.Registry) upstream.Blob {
	t.Helper()
	b, err := r.OpenBlob(t.Context(), "org/app", layerDigest)
	if err != nil {
		t.Fatal(err)
	}
	if b.Size != int64(len(layer)) || b.Digest != layerDigest || b.MediaType != oci.MediaTypeBlob {
		t.Errorf("the blob is %+v", b.Descriptor)
	}
	t.Cleanup(func() { _ = b.Content.Close() })
	return b
}

func TestBlobsGoOn(t *testing.T) {
	cut := until(50_000, hangsUp)
	for _, tt := range []struct {
		what   string
		steps  []step
		ranges []string
		good   bool
	}{
		{"whole", []step{from}, []string{""}, true},
		{"cut before the first byte", []step{until(0, hangsUp), from}, []string{"", ""}, true},
		{"cut once", []step{cut, from}, []string{"", "bytes=50000-"}, true},
		{"cut in a part", []step{cut, until(60_000, hangsUp), from}, []string{"", "bytes=50000-", "bytes=60000-"}, true},
		{"cut often, and always further", []step{until(1, hangsUp), until(2, hangsUp), until(3, hangsUp), until(4, hangsUp), until(5, hangsUp), until(6, hangsUp), until(7, hangsUp), from},
			[]string{"", "bytes=1-", "bytes=2-", "bytes=3-", "bytes=4-", "bytes=5-", "bytes=6-", "bytes=7-"}, true},
		{"a part without a body", []step{cut, until(0, hangsUp), from}, []string{"", "bytes=50000-", "bytes=50000-"}, true},
		{"stalled", []step{until(50_000, hangs), from}, []string{"", "bytes=50000-"}, true},
		{"no parts", []step{cut, whole}, []string{"", "bytes=50000-"}, true},
		{"no parts, and cut", []step{cut, func(w http.ResponseWriter, r *http.Request) {
			r.Header.Del("Range")
			until(20_000, hangsUp)(w, r)
		}, whole}, []string{"", "bytes=50000-", "bytes=50000-"}, true},
		{"a part that ends early", []step{cut, part(fmt.Sprintf("bytes 50000-50009/%d", len(layer)), layer[50_000:50_010]), from},
			[]string{"", "bytes=50000-", "bytes=50010-"}, true},
		{"more than the part", []step{cut, chunkedPart, from}, []string{"", "bytes=50000-"}, true},
		{"another part", []step{cut, part(fmt.Sprintf("bytes 0-9/%d", len(layer)), layer[:10]), from}, []string{"", "bytes=50000-"}, false},
		{"another size", []step{cut, part("bytes 50000-50009/50010", layer[:10]), from}, []string{"", "bytes=50000-"}, false},
		{"another size, whole", []step{cut, step(sends("x")), from}, []string{"", "bytes=50000-"}, false},
		{"a part of nothing", []step{cut, part("", "x"), from}, []string{"", "bytes=50000-"}, false},
		{"gone", []step{cut, step(fails(404)), from}, []string{"", "bytes=50000-"}, false},
		{"too often", []step{cut, step(fails(429, "Retry-After", "60")), from}, []string{"", "bytes=50000-"}, false},
		{"always cut", []step{cut}, []string{"", "bytes=50000-", "bytes=50000-", "bytes=50000-", "bytes=50000-", "bytes=50000-"}, false},
	} {
		t.Run(tt.what, func(t *testing.T) {
			t.Parallel()
			s := sending(t, tt.steps...)
			r := s.open(patience(300 * time.Millisecond))
			got, err := io.ReadAll(open(t, r).Content)
			if tt.good && (err != nil || string(got) != layer) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
			if !tt.good {
				is(t, err, oci.Unavailable)
				if string(got) != layer[:50_000] {
					t.Errorf("%d bytes have come", len(got))
				}
			}
			var ranges []string
			for _, q := range s.requests() {
				ranges = append(ranges, q.Header.Get("Range"))
			}
			if fmt.Sprint(ranges) != fmt.Sprint(tt.ranges) {
				t.Errorf("the upstream was asked for %q, want %q", ranges, tt.ranges)
			}
		})
	}
}

// chunkedPart has bytes after the last.
func chunkedPart(w http.ResponseWriter, r *http.Request) {
	part(fmt.Sprintf("bytes 50000-%d/%d", len(layer)-1, len(layer)), layer[50_000:]+"and more")(&unmeasured{w}, r)
}

// A reader who takes his time is not the upstream's fault.
func TestSlowReader(t *testing.T) {
	t.Parallel()
	const limit = 60 * time.Millisecond
	s := sending(t, func(w http.ResponseWriter, r *http.Request) {
		half := len(layer) / 2
		w.Header().Set("Content-Length", fmt.Sprint(len(layer)))
		_, _ = io.WriteString(w, layer[:half])
		_ = http.NewResponseController(w).Flush()
		_, _ = io.WriteString(w, layer[half:])
	})
	content := open(t, s.open(patience(limit))).Content
	time.Sleep(2 * limit)
	if _, err := io.ReadFull(content, make([]byte, 10)); err != nil {
		t.Error(err)
	}
	time.Sleep(2 * limit)
	if rest, err := io.ReadAll(content); err != nil || string(rest) != layer[10:] {
		t.Errorf("%d bytes, %v", len(rest), err)
	}
	if got := len(s.requests()); got != 1 {
		t.Errorf("the upstream was asked %d times", got)
	}
}

func TestReaderLeaves(t *testing.T) {
	t.Parallel()
	gone := make(chan struct{})
	s := sending(t, until(10, func(w http.ResponseWriter, r *http.Request) {
		hangs(w, r)
		close(gone)
	}))
	ctx, leave := context.WithCancel(t.Context())
	b, err := s.open().OpenBlob(ctx, "org/app", layerDigest)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(b.Content, make([]byte, 10)); err != nil {
		t.Error(err)
	}
	leave()
	if _, err := b.Content.Read(make([]byte, 1)); err != context.Canceled {
		t.Errorf("%v, want %v", err, context.Canceled)
	}
	<-gone
	_ = b.Content.Close()
}

func TestClose(t *testing.T) {
	t.Parallel()
	gone := make(chan struct{})
	s := sending(t, until(10, func(w http.ResponseWriter, r *http.Request) {
		hangs(w, r)
		close(gone)
	}))
	content := open(t, s.open()).Content
	if err := content.Close(); err != nil {
		t.Error(err)
	}
	<-gone // the connection is not held
	if n, err := content.Read(make([]byte, 1)); n != 0 || err == nil || err == io.EOF {
		t.Errorf("a closed blob gives %d bytes, %v", n, err)
	}
}

func TestEmptyBlob(t *testing.T) {
	t.Parallel()
	b, err := serve(t, sends("")).open().OpenBlob(t.Context(), "org/app", oci.SHA256.Sum(nil))
	if err != nil || b.Size != 0 {
		t.Fatal(b, err)
	}
	var got bytes.Buffer
	if n, err := got.ReadFrom(b.Content); n != 0 || err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
	_ = b.Content.Close()
}

func TestBlobsThatAreNotThere(t *testing.T) {
	for _, tt := range []struct {
		what       string
		answer     http.HandlerFunc
		open, stat oci.Code // empty: it is there
	}{
		{"there", whole, "", ""},
		{"no HEAD", func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodHead {
				w.WriteHeader(http.StatusMethodNotAllowed)
				return
			}
			whole(w, r)
		}, "", ""},
		{"no length", chunked(whole), oci.Unavailable, oci.Unavailable},
		{"404", fails(404), oci.BlobUnknown, oci.BlobUnknown},
		{"403", fails(403), oci.BlobUnknown, oci.BlobUnknown},
		{"a bad digest", refuses(400, oci.DigestInvalid), oci.BlobUnknown, oci.BlobUnknown},
		{"another 400", refuses(400, oci.Unsupported), oci.Unavailable, oci.Unavailable},
		{"a part", http.HandlerFunc(part("bytes 0-0/1", "x")), oci.Unavailable, oci.Unavailable},
		{"501", fails(501), oci.Unavailable, oci.Unavailable},
	} {
		t.Run(tt.what, func(t *testing.T) {
			t.Parallel()
			r := serve(t, tt.answer).open()
			if tt.open == "" {
				_ = open(t, r).Content.Close()
			} else {
				_, err := r.OpenBlob(t.Context(), "org/app", layerDigest)
				is(t, err, tt.open)
			}
			d, err := r.StatBlob(t.Context(), "org/app", layerDigest)
			if tt.stat != "" {
				is(t, err, tt.stat)
			} else if err != nil || d.Size != int64(len(layer)) || d.Digest != layerDigest || d.MediaType != oci.MediaTypeBlob {
				t.Errorf("%+v, %v", d, err)
			}
		})
	}
	t.Run("a page", func(t *testing.T) {
		t.Parallel()
		_, err := serve(t, sends("<html>", "Content-Type", "text/html")).open().StatBlob(t.Context(), "org/app", layerDigest)
		is(t, err, oci.Unavailable)
	})
}
