package swift_test

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"slices"
	"sync"
	"testing"

	"opendev.org/zuul/zuul-registry/server/local"
	"opendev.org/zuul/zuul-registry/server/oci"
	"opendev.org/zuul/zuul-registry/server/storage/swift"
	"opendev.org/zuul/zuul-registry/tests/testbed"
)

// TestLimits meets those of a Swift where they are very low.
func TestLimits(t *testing.T) {
	s := testbed.Open(t).StartSwift(t, testbed.SwiftOptions{Listing: 10, Segments: 3})
	t.Run("a directory is listed over several pages", func(t *testing.T) { listPages(t, s) })
	t.Run("an object has more parts than one may have", func(t *testing.T) { nestParts(t, s) })
}

func listPages(t *testing.T, s *testbed.Swift) {
	d := open(t, options(t, s.Environment()))
	var want []string
	for i := range 25 {
		object, directory := fmt.Sprint("object-", i), fmt.Sprint("directory-", i, "/")
		d.put("d/"+object, "")
		d.put("d/"+directory+"a", "")
		want = append(want, object, directory)
	}
	d.put("e", "")
	slices.Sort(want)
	if got := d.entries("d", ""); !slices.Equal(got, want) {
		t.Errorf("d lists %q, want %q", got, want)
	}
	for i, after := range want {
		if got := d.entries("d", after); !slices.Equal(got, want[i+1:]) {
			t.Errorf("d lists after %q %q, want %q", after, got, want[i+1:])
		}
	}
}

func nestParts(t *testing.T, s *testbed.Swift) {
	const size = swift.SmallestPart
	o := options(t, s.Environment())
	d := open(t, o)
	content := string(random(13*size + 5))
	d.concat("object", content)
	for _, offset := range []int64{0, 1, size, 3*size - 1, 9*size + 1, 13 * size} {
		d.has("object", offset, content[offset:])
	}
	before, err := d.Parts(t.Context(), "object")
	if err != nil || len(before) <= 14 {
		t.Errorf("it has the parts %q, %v; want 14 and their groups", before, err)
	}
	if err := d.Rename(t.Context(), "object", "d/sha256:00"); err != nil {
		t.Fatal(err)
	}
	d.has("d/sha256:00", 0, content)
	if after, err := d.Parts(t.Context(), "d/sha256:00"); err != nil || !slices.Equal(after, before) {
		t.Errorf("renamed, it has the parts %q, %v; want %q", after, err, before)
	}
	d.delete("d/sha256:00")
	uses(t, s, o.Container, 0)
}

// moveAside gives another name to what lacks a segment.
func moveAside(t *testing.T, s *testbed.Swift) {
	d := open(t, options(t, s.Environment()))
	d.concat("object", string(random(2*swift.SmallestPart)))
	parts, err := d.Parts(t.Context(), "object")
	if err != nil || len(parts) != 2 {
		t.Fatalf("the parts are %q, %v", parts, err)
	}
	d.delete(parts[1])
	if err := d.Rename(t.Context(), "object", "aside"); err != nil {
		t.Error(err)
	}
	if got := d.entries(".", ""); !slices.Equal(got, []string{"aside", "parts/"}) {
		t.Errorf("the container has %q", got)
	}
	info, err := d.Stat(t.Context(), "aside")
	if err != nil || info.Size > swift.SmallestPart {
		t.Errorf("what takes its place has %d bytes, %v; want a list", info.Size, err)
	}
}

// TestCopies has several replicas of the registry work with one object, of which
// Swift has several copies. Each server of objects may take one for lost that is
// just being replaced.
func TestCopies(t *testing.T) {
	s := testbed.Open(t).StartSwift(t, testbed.SwiftOptions{Copies: 2})
	o := options(t, s.Environment())
	replica := func() store {
		o.Account = login(t, s.Environment())
		return open(t, o)
	}
	var all sync.WaitGroup
	one, two, three := replica(), replica(), replica()
	one.put("object", "content")
	for range 50 {
		all.Go(func() { one.put("object", "content") })
		all.Go(func() { two.touch("object") })
		all.Go(func() { three.has("object", 0, "content") })
		all.Wait()
	}
	uses(t, s, o.Container, 2)
}

// writeOnce pushes a blob by several requests, and then once more.
func writeOnce(t *testing.T, s *testbed.Swift) {
	o := options(t, s.Environment())
	o.PartSize = 16 << 20
	registry := local.New(open(t, o).Driver, local.Options{})
	name, err := oci.ParseName("org/app")
	if err != nil {
		t.Fatal(err)
	}
	blob := random(64 << 20)

	before := s.Written(t)
	push(t, registry, name, blob, 13<<20)
	if written, most := s.Written(t)-before, int64(len(blob))/100*101; written > most {
		t.Errorf("%d bytes were written, want at most %d", written, most)
	}
	objects, _ := s.Usage(t, o.Container)
	push(t, registry, name, blob, 20<<20)
	uses(t, s, o.Container, objects)
	if err := registry.DeleteBlob(t.Context(), name, oci.SHA256.Sum(blob)); err != nil {
		t.Fatal(err)
	}
	uses(t, s, o.Container, 0)
}

func random(size int) []byte {
	content := make([]byte, size)
	_, _ = rand.Read(content) // never fails
	return content
}

// push pushes a blob by requests of at most so many bytes.
func push(t *testing.T, registry oci.Registry, name oci.Name, blob []byte, most int) {
	t.Helper()
	upload, err := registry.StartUpload(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	for chunk := range slices.Chunk(blob, most) {
		if err := upload.Append(t.Context(), upload.Size(), bytes.NewReader(chunk)); err != nil {
			t.Fatal(err)
		}
		if err := upload.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if upload, err = registry.ResumeUpload(t.Context(), name, upload.ID()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := upload.Commit(t.Context(), oci.SHA256.Sum(blob)); err != nil {
		t.Fatal(err)
	}
}
