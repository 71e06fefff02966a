package metrics_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"opendev.org/zuul/zuul-registry/server/metrics"
	"opendev.org/zuul/zuul-registry/server/storage"
	"opendev.org/zuul/zuul-registry/server/storage/filesystem"
	"opendev.org/zuul/zuul-registry/server/storage/memory"
	"opendev.org/zuul/zuul-registry/server/storage/storagetest"
)

// A driver is one, counted or not.
func TestDriver(t *testing.T) {
	storagetest.Run(t, func(*testing.T) storage.Driver { return metrics.New("1.2.3").Storage(memory.New(), "memory") })
}

// each does everything that a driver can do.
func each(ctx context.Context, d storage.Driver) {
	_, _ = d.Stat(ctx, "a")
	if content, _, err := d.Open(ctx, "a"); err == nil {
		_ = content.Close()
	}
	_ = d.Put(ctx, "a", strings.NewReader("content"), storage.Durable)
	_, stored, _ := d.Append(ctx, "parts", nil, strings.NewReader("content"))
	_ = stored()
	_ = d.Concat(ctx, "b", nil)
	_ = d.Delete(ctx, "b")
	for range d.List(ctx, "parts", "") {
		break
	}
	_ = d.Touch(ctx, "a")
	_, _ = d.Expire(ctx, "a", time.Time{})
	_, _ = d.Parts(ctx, "a")
	_ = d.Rename(ctx, "a", "b")
	_, _ = d.Usage(ctx)
}

// operations are the methods of a driver, and the second half of Append.
func operations() []string {
	all := []string{"stored"}
	for i := range reflect.TypeFor[storage.Driver]().NumMethod() {
		all = append(all, strings.ToLower(reflect.TypeFor[storage.Driver]().Method(i).Name))
	}
	return all
}

// count is a line of an operation's count, and of its errors.
func count(operation string, ended, failed int) (lines []string) {
	labels := fmt.Sprintf(`\{driver="memory",operation="%s"\}`, operation)
	return []string{
		fmt.Sprintf("zuul_registry_storage_operation_duration_seconds_count%s %d", labels, ended),
		fmt.Sprintf("zuul_registry_storage_errors_total%s %d", labels, failed),
	}
}

func TestOperationsAreCounted(t *testing.T) {
	m := metrics.New("1.2.3")
	d := m.Storage(memory.New(), "memory")
	for _, o := range operations() {
		says(t, m, count(o, 0, 0)...)
	}
	each(t.Context(), d) // where a is not there at first, which is no fault
	for _, o := range operations() {
		says(t, m, count(o, 1, 0)...)
	}
}

// broken is a driver that fails.
type broken struct {
	storage.Driver
	err error
}

func (b broken) Stat(context.Context, string) (storage.Info, error) { return storage.Info{}, b.err }
func (b broken) Open(context.Context, string) (io.ReadSeekCloser, storage.Info, error) {
	return nil, storage.Info{}, b.err
}
func (b broken) Put(context.Context, string, io.Reader, storage.Durability) error { return b.err }
func (b broken) Append(context.Context, string, []storage.Part, io.Reader) ([]storage.Part, storage.Stored, error) {
	return nil, func() error { return b.err }, b.err
}
func (b broken) Concat(context.Context, string, []storage.Part) error { return b.err }
func (b broken) Delete(context.Context, string) error                 { return b.err }
func (b broken) List(context.Context, string, string) iter.Seq2[storage.Entry, error] {
	return func(yield func(storage.Entry, error) bool) { yield(storage.Entry{}, b.err) }
}
func (b broken) Touch(context.Context, string) error                     { return b.err }
func (b broken) Expire(context.Context, string, time.Time) (bool, error) { return false, b.err }
func (b broken) Parts(context.Context, string) ([]string, error)         { return nil, b.err }
func (b broken) Rename(context.Context, string, string) error            { return b.err }
func (b broken) Usage(context.Context) (storage.Usage, error)            { return storage.Usage{}, b.err }

func TestErrorsAreCounted(t *testing.T) {
	for _, tt := range []struct {
		err    error
		failed int
	}{
		{errors.New("the disk has gone"), 1},
		{context.DeadlineExceeded, 1},
		{fmt.Errorf("looking: %w", fs.ErrNotExist), 0},
		{fmt.Errorf("looking: %w", context.Canceled), 0},
	} {
		m := metrics.New("1.2.3")
		each(t.Context(), m.Storage(broken{err: tt.err}, "memory"))
		for _, o := range operations() {
			says(t, m, count(o, 1, tt.failed)...)
		}
	}
}

// Who has set no time for counting all has no fault of the store.
func TestUsageWithoutTime(t *testing.T) {
	m := metrics.New("1.2.3")
	ctx, cancel := context.WithTimeout(t.Context(), -time.Second)
	defer cancel()
	_, err := m.Storage(broken{err: context.DeadlineExceeded}, "memory").Usage(ctx)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the caller is told %v", err)
	}
	says(t, m, count("usage", 1, 0)...)
}

// Content that fails is its sender's fault.
func TestContentThatFails(t *testing.T) {
	m := metrics.New("1.2.3")
	gone := errors.New("the client has gone")
	_, stored, err := m.Storage(memory.New(), "memory").Append(t.Context(), "parts", nil, iotest.ErrReader(gone))
	if !errors.Is(err, gone) {
		t.Errorf("the caller is told %v", err)
	}
	_ = stored()
	says(t, m, count("append", 1, 0)...)
}

// slow takes an hour for whatever is done.
type slow struct{ storage.Driver }

func (s slow) Append(ctx context.Context, directory string, parts []storage.Part, content io.Reader) ([]storage.Part, storage.Stored, error) {
	time.Sleep(time.Hour)
	parts, _, err := s.Driver.Append(ctx, directory, parts, content)
	return parts, func() error { time.Sleep(2 * time.Hour); return nil }, err
}

func (s slow) List(ctx context.Context, directory, after string) iter.Seq2[storage.Entry, error] {
	return func(yield func(storage.Entry, error) bool) {
		for entry, err := range s.Driver.List(ctx, directory, after) {
			time.Sleep(time.Hour)
			if !yield(entry, err) {
				return
			}
		}
	}
}

// hesitant content takes a day.
type hesitant struct{ io.Reader }

func (h hesitant) Read(p []byte) (int, error) {
	time.Sleep(24 * time.Hour)
	return h.Reader.Read(p)
}

// What others take is not the store's time.
func TestTimesAreTheStores(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := metrics.New("1.2.3")
		d := m.Storage(slow{memory.New()}, "memory")
		_, stored, err := d.Append(t.Context(), "parts", nil, hesitant{strings.NewReader("content")})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(24 * time.Hour)
		_ = stored()
		for _, name := range []string{"list/a", "list/b"} {
			if err := d.Put(t.Context(), name, strings.NewReader(""), storage.Durable); err != nil {
				t.Fatal(err)
			}
		}
		for range d.List(t.Context(), "list", "") {
			time.Sleep(24 * time.Hour)
		}
		text := page(m)
		for operation, hours := range map[string]int{"append": 1, "stored": 2, "list": 2} {
			line := fmt.Sprintf("zuul_registry_storage_operation_duration_seconds_sum{driver=\"memory\",operation=%q} %d\n", operation, hours*3600)
			if !strings.Contains(text, line) {
				t.Errorf("there is no line %sin\n%s", line, ours(text))
			}
		}
	})
}

// A file is opened as one, for the kernel to send it.
func TestFilesStayFiles(t *testing.T) {
	d, err := filesystem.New(filesystem.Options{Root: filepath.Join(t.TempDir(), "store")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	counted := metrics.New("1.2.3").Storage(d, "filesystem")
	if err := counted.Put(t.Context(), "a", strings.NewReader("content"), storage.Volatile); err != nil {
		t.Fatal(err)
	}
	content, _, err := counted.Open(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = content.Close() }()
	if _, ok := content.(*os.File); !ok {
		t.Errorf("it is a %T", content)
	}
}

func BenchmarkStat(b *testing.B) {
	plain := broken{}
	for name, d := range map[string]storage.Driver{"plain": plain, "counted": metrics.New("1.2.3").Storage(plain, "memory")} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = d.Stat(context.Background(), "a")
			}
		})
	}
}
