package local_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"testing"

	"opendev.org/zuul/zuul-registry/server/local"
	"opendev.org/zuul/zuul-registry/server/oci"
	"opendev.org/zuul/zuul-registry/server/storage"
)

// receive begins a blob that keep fills from a pipe.
func receive(t *testing.T, r *local.Registry, content []byte) (*local.Incoming, oci.Name) {
	t.Helper()
	n, err := oci.ParseName("org/app")
	if err != nil {
		t.Fatal(err)
	}
	in, err := r.Receive(t.Context(), n, oci.Descriptor{Digest: oci.SHA256.Sum(content), Size: int64(len(content))})
	if err != nil {
		t.Fatal(err)
	}
	return in, n
}

func onEachDriver(t *testing.T, test func(t *testing.T, d storage.Driver)) {
	for name, driver := range drivers {
		t.Run(name, func(t *testing.T) { test(t, driver(t)) })
	}
}

// keep is a transfer from its beginning to its end.
func keep(ctx context.Context, in *local.Incoming, content io.Reader) error {
	err := in.Keep(ctx, content, func() {})
	in.End(err)
	return err
}

// What has come can be read before the rest has, however little it is.
func TestReadWhileItArrives(t *testing.T) {
	onEachDriver(t, func(t *testing.T, d storage.Driver) {
		in, _ := receive(t, local.New(d, local.Options{}), []byte("first, second"))
		from, to := io.Pipe()
		kept := make(chan error)
		go func() { kept <- keep(t.Context(), in, from) }()
		blob := in.Open(t.Context())
		for _, piece := range []string{"first,", " second"} {
			if _, err := to.Write([]byte(piece)); err != nil {
				t.Fatal(err)
			}
			got := make([]byte, len(piece))
			if _, err := io.ReadFull(blob.Content, got); err != nil || string(got) != piece {
				t.Fatalf("read %q, %v; want %q", got, err, piece)
			}
		}
		if err := errors.Join(to.Close(), <-kept, blob.Verify(t.Context()), blob.Content.Close()); err != nil {
			t.Error(err)
		}
	})
}

// Many readers, with seeks, while it arrives and becomes the blob.
func TestManyReadersOfAnArrival(t *testing.T) {
	onEachDriver(t, func(t *testing.T, d storage.Driver) {
		content := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
		r := local.New(d, local.Options{})
		in, n := receive(t, r, content)
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				blob := in.Open(t.Context())
				defer func() { _ = blob.Content.Close() }()
				for _, begin := range []int64{0, int64(i * 100_000), 17} {
					if _, err := blob.Content.Seek(begin, io.SeekStart); err != nil {
						t.Error(err)
					}
					if got, err := io.ReadAll(blob.Content); err != nil || !bytes.Equal(got, content[begin:]) {
						t.Errorf("%d bytes from %d, %v; want %d", len(got), begin, err, len(content)-int(begin))
					}
				}
			})
		}
		if err := keep(t.Context(), in, &ragged{rest: content}); err != nil {
			t.Error(err)
		}
		all.Wait()
		if there, err := r.StatBlob(t.Context(), n, oci.SHA256.Sum(content)); err != nil || there.Size != int64(len(content)) {
			t.Errorf("kept: %+v, %v", there, err)
		}
	})
}

// ragged gives pieces of all sizes.
type ragged struct{ rest []byte }

func (r *ragged) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), 1+rand.IntN(100_000))], r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// Of what is wrong or breaks off nothing stays, and readers are told.
func TestArrivalsThatFail(t *testing.T) {
	broken := errors.New("the line is cut")
	for what, tt := range map[string]struct {
		came io.Reader
		want error
	}{
		"other content":     {bytes.NewReader([]byte("contens")), oci.DigestInvalid},
		"less content":      {bytes.NewReader([]byte("conten")), oci.DigestInvalid},
		"an end with fault": {io.MultiReader(bytes.NewReader([]byte("con")), faulty{broken}), broken},
	} {
		t.Run(what, func(t *testing.T) {
			onEachDriver(t, func(t *testing.T, d storage.Driver) {
				in, _ := receive(t, local.New(d, local.Options{}), []byte("content"))
				blob := in.Open(t.Context())
				if err := keep(t.Context(), in, tt.came); !errors.Is(err, tt.want) {
					t.Errorf("Keep: %v, want %v", err, tt.want)
				}
				if err := blob.Verify(t.Context()); !errors.Is(err, tt.want) {
					t.Errorf("Verify: %v, want %v", err, tt.want)
				}
				if got, err := io.ReadAll(blob.Content); !errors.Is(err, tt.want) {
					t.Errorf("read %q, %v; want %v", got, err, tt.want)
				}
				if left := objects(t, d, "."); left != nil {
					t.Errorf("left in the store: %q", left)
				}
			})
		})
	}
}

type faulty struct{ err error }

func (f faulty) Read([]byte) (int, error) { return 0, f.err }

// A reader that has to wait does so no longer than its context.
func TestAReaderOfAnArrivalLeaves(t *testing.T) {
	in, _ := receive(t, local.New(drivers["memory"](t), local.Options{}), []byte("content"))
	ctx, leave := context.WithCancel(t.Context())
	blob := in.Open(ctx)
	leave()
	if _, err := blob.Content.Read(make([]byte, 1)); !errors.Is(err, context.Canceled) {
		t.Errorf("Read: %v", err)
	}
	if err := blob.Verify(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Verify: %v", err)
	}
	if err := keep(t.Context(), in, bytes.NewReader([]byte("content"))); err != nil {
		t.Error(err)
	}
}

// objects are the names of all objects below a directory.
func objects(t *testing.T, d storage.Driver, directory string) []string {
	t.Helper()
	var all []string
	for e, err := range d.List(t.Context(), directory, "") {
		if err != nil {
			t.Fatal(err)
		}
		name := e.Name
		if directory != "." {
			name = fmt.Sprintf("%s/%s", directory, e.Name)
		}
		if e.Directory {
			all = append(all, objects(t, d, name)...)
		} else {
			all = append(all, name)
		}
	}
	return all
}

// A slow reader goes on when the blob that has come is deleted.
func TestASlowReaderOutlivesTheBlob(t *testing.T) {
	onEachDriver(t, func(t *testing.T, d storage.Driver) {
		r, content := local.New(d, local.Options{}), []byte("content")
		in, n := receive(t, r, content)
		blob := in.Open(t.Context())
		from, to := io.Pipe()
		kept := make(chan error)
		go func() { kept <- keep(t.Context(), in, from) }()
		if _, err := to.Write(content); err != nil {
			t.Fatal(err)
		}
		first := make([]byte, 3)
		if _, err := io.ReadFull(blob.Content, first); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(to.Close(), <-kept, r.DeleteBlob(t.Context(), n, blob.Digest)); err != nil {
			t.Fatal(err)
		}
		if rest, err := io.ReadAll(blob.Content); err != nil || string(rest) != "tent" {
			t.Errorf("the rest: %q, %v", rest, err)
		}
	})
}

// Closing has a Read return that waits for what has not come.
func TestCloseBesideARead(t *testing.T) {
	onEachDriver(t, func(t *testing.T, d storage.Driver) {
		in, _ := receive(t, local.New(d, local.Options{}), []byte("content"))
		from, to := io.Pipe()
		kept := make(chan error)
		go func() { kept <- keep(t.Context(), in, from) }()
		blob := in.Open(t.Context())
		if _, err := to.Write([]byte("con")); err != nil {
			t.Fatal(err)
		}
		read := make(chan error)
		go func() {
			_, err := io.ReadAll(blob.Content)
			read <- err
		}()
		if err := blob.Content.Close(); err != nil {
			t.Error(err)
		}
		if err := <-read; !errors.Is(err, context.Canceled) {
			t.Errorf("Read: %v", err)
		}
		if _, err := to.Write([]byte("tent")); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(to.Close(), <-kept); err != nil {
			t.Error(err)
		}
	})
}

type slip struct{}

func (slip) Read([]byte) (int, error) { panic("a slip") }

func TestAPanicWhileItArrives(t *testing.T) {
	in, _ := receive(t, local.New(drivers["memory"](t), local.Options{}), []byte("content"))
	if err := keep(t.Context(), in, slip{}); err == nil {
		t.Error("it was kept")
	}
}
