package shadow_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"opendev.org/zuul/zuul-registry/server/oci"
)

// dripping has the upstream send all but the end of a blob, and the end when it is
// told to.
func dripping(content, end string) (meddle func(http.ResponseWriter, *http.Request) bool, finish func()) {
	wait := make(chan struct{})
	return func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet || !strings.Contains(r.URL.Path, "/blobs/") {
			return false
		}
		w.Header().Set("Content-Length", strconv.Itoa(len(content)+len(end)))
		_, _ = io.WriteString(w, content)
		_ = http.NewResponseController(w).Flush()
		select {
		case <-wait:
			_, _ = io.WriteString(w, end)
		case <-r.Context().Done():
		}
		return true
	}, sync.OnceFunc(func() { close(wait) })
}

// Sixteen clients of a blob cost one transfer, and have its first bytes before it
// has ended.
func TestOneTransferForAll(t *testing.T) {
	w := newWorld(t, 0)
	content := strings.Repeat("first bytes ", 1<<14)
	d := w.push(w.there, "org/app", content)
	drip, finish := dripping(content[:20_000], content[20_000:])
	defer finish()
	w.let(drip)
	var begun, all sync.WaitGroup
	begun.Add(16)
	for range 16 {
		all.Go(func() {
			b, err := w.OpenBlob(t.Context(), name("org/app"), d)
			if err != nil {
				t.Error(err)
				begun.Done()
				return
			}
			defer func() { _ = b.Content.Close() }()
			first := make([]byte, 20_000)
			if _, err := io.ReadFull(b.Content, first); err != nil || string(first) != content[:20_000] {
				t.Errorf("the first bytes: %v", err)
			}
			begun.Done()
			if rest, err := io.ReadAll(b.Content); err != nil || string(rest) != content[20_000:] {
				t.Errorf("the rest: %d bytes, %v", len(rest), err)
			}
		})
	}
	begun.Wait()
	finish()
	all.Wait()
	if got, err := w.reads(t.Context(), "org/app", d); err != nil || got != content {
		t.Errorf("afterwards: %d bytes, %v", len(got), err)
	}
	w.wasAsked("GET blobs")
}

// The first client's leaving does not stop the transfer.
func TestClientsLeave(t *testing.T) {
	w := newWorld(t, 0)
	d := w.push(w.there, "org/app", "content")
	drip, finish := dripping("con", "tent")
	defer finish()
	w.let(drip)
	ctx, leave := context.WithCancel(t.Context())
	first, err := w.OpenBlob(ctx, name("org/app"), d)
	w.ok(err)
	second, err := w.OpenBlob(t.Context(), name("org/app"), d)
	w.ok(err)
	leave()
	_, err = io.ReadAll(first.Content)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("who left reads on: %v", err)
	}
	finish()
	if got, err := io.ReadAll(second.Content); err != nil || string(got) != "content" {
		t.Errorf("who stayed reads %q, %v", got, err)
	}
	w.ok(errors.Join(second.Verify(t.Context()), first.Content.Close(), second.Content.Close()))
	w.wasAsked("GET blobs")
}

// Wrong bytes are not kept, and whoever read them is told.
func TestWrongBytes(t *testing.T) {
	w := newWorld(t, 0)
	d := w.push(w.there, "org/app", "content")
	drip, finish := dripping("con", "TENT")
	finish()
	w.let(drip)
	b, err := w.OpenBlob(t.Context(), name("org/app"), d)
	w.ok(err)
	if err := b.Verify(t.Context()); !errors.Is(err, oci.Unavailable) {
		t.Errorf("Verify: %v", err)
	}
	if got, err := io.ReadAll(b.Content); err == nil {
		t.Errorf("read %q", got)
	}
	w.ok(b.Content.Close())
	if _, err := w.kept.StatBlob(t.Context(), name("org/app"), d); !errors.Is(err, oci.BlobUnknown) {
		t.Errorf("kept: %v", err)
	}
	w.let(nil)
	if got, err := w.reads(t.Context(), "org/app", d); err != nil || got != "content" {
		t.Errorf("the next time: %q, %v", got, err)
	}
}

// A disk that is full while a blob comes is our fault, and in the log as such.
func TestABlobThatCannotBeKept(t *testing.T) {
	w := newWorld(t, 0)
	d := w.push(w.there, "org/app", "content")
	w.store.full = errors.New("no space left")
	if got, err := w.reads(t.Context(), "org/app", d); !errors.Is(err, w.store.full) {
		t.Errorf("read %q, %v", got, err)
	}
	w.Close()
	if !w.log.contains("a blob cannot be kept") || w.log.contains("upstream fails") {
		t.Error("the log blames somebody else")
	}
}

// Closing ends transfers, for which nothing stays half-written.
func TestCloseEndsTransfers(t *testing.T) {
	w := newWorld(t, 0)
	d := w.push(w.there, "org/app", "content")
	drip, finish := dripping("con", "tent")
	defer finish()
	w.let(drip)
	b, err := w.OpenBlob(t.Context(), name("org/app"), d)
	w.ok(err)
	w.Close()
	if _, err := io.ReadAll(b.Content); err == nil {
		t.Error("the blob came whole")
	}
	if _, err := w.kept.StatBlob(t.Context(), name("org/app"), d); !errors.Is(err, oci.BlobUnknown) {
		t.Errorf("kept: %v", err)
	}
	if _, err := w.OpenBlob(t.Context(), name("org/app"), d); !errors.Is(err, oci.Unavailable) {
		t.Errorf("after the end: %v", err)
	}
	if _, err := w.GetManifest(t.Context(), name("org/app"), tag("latest")); !errors.Is(err, oci.Unavailable) {
		t.Errorf("after the end: %v", err)
	}
}

// Fifty requests for a tag are one to the upstream, and who has left does not
// take it along.
func TestOneRequestForAll(t *testing.T) {
	w := newWorld(t, time.Hour)
	m := w.tagged(w.there, "org/app", "latest")
	asked, answer := make(chan struct{}), make(chan struct{})
	w.let(func(http.ResponseWriter, *http.Request) bool {
		close(asked)
		<-answer
		return false
	})
	ctx, leave := context.WithCancel(t.Context())
	left := make(chan error)
	go func() {
		_, err := w.GetManifest(ctx, name("org/app"), tag("latest"))
		left <- err
	}()
	<-asked
	leave()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("who left: %v", err)
	}
	var begun, all sync.WaitGroup
	for range 50 {
		begun.Add(1)
		all.Go(func() {
			begun.Done()
			w.gives("org/app", tag("latest"), m, false)
		})
	}
	begun.Wait()
	close(answer)
	all.Wait()
	w.wasAsked("GET manifests")
}
