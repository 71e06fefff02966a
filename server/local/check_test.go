package local_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"opendev.org/zuul/zuul-registry/server/local"
	"opendev.org/zuul/zuul-registry/server/oci"
	"opendev.org/zuul/zuul-registry/server/storage/filesystem"
)

// shop is a registry on files, with one image in it.
type shop struct {
	*testing.T
	*local.Registry
	root          string
	config, image oci.Digest
}

func newShop(t *testing.T) *shop {
	t.Helper()
	s := &shop{T: t, root: t.TempDir()}
	d, err := filesystem.New(filesystem.Options{Root: s.root})
	if err != nil {
		t.Fatal(err)
	}
	s.Registry = local.New(d)
	name, err := oci.ParseName("org/app")
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	u, err := s.StartUpload(ctx, name)
	if err != nil {
		t.Fatal(err)
	}
	if err := u.Append(ctx, 0, strings.NewReader("{}")); err != nil {
		t.Fatal(err)
	}
	s.config = oci.SHA256.Sum([]byte("{}"))
	if _, err := u.Commit(ctx, s.config); err != nil {
		t.Fatal(err)
	}
	m, err := oci.NewManifest(oci.MediaTypeImageManifest, []byte(`{"config":{"mediaType":"x","size":2,"digest":"`+s.config.String()+`"}}`), oci.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	s.image = m.Digest
	tag, err := oci.ParseTag("latest")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.PutManifest(ctx, name, m, tag); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *shop) blob(d oci.Digest) string {
	return filepath.Join(s.root, "_local/blobs", d.String(), "data")
}

func (s *shop) record(ref string) string {
	return filepath.Join(s.root, "_local/repos/org/app/manifests", ref)
}

func (s *shop) write(path, content string) {
	s.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		s.Fatal(err)
	}
}

// faults are the objects that Check finds fault with.
func (s *shop) faults() []string {
	s.Helper()
	var found []string
	done := 0
	err := s.Check(context.Background(), local.Inspection{
		Report:   func(f local.Fault) { found = append(found, filepath.Join(s.root, f.Object)) },
		Progress: func(n, total int) { done++; _ = total },
	})
	if err != nil {
		s.Fatal(err)
	}
	if done < 2 {
		s.Errorf("progress was reported %d times: there are more objects", done)
	}
	return slices.Compact(found)
}

func TestCheckFinds(t *testing.T) {
	other := oci.SHA256.Sum([]byte("other"))
	for what, tt := range map[string]struct {
		damage func(s *shop)
		want   func(s *shop) []string
	}{
		"nothing in a sound store": {func(*shop) {}, func(*shop) []string { return nil }},
		"nothing where a push ended before its blob": {func(s *shop) { _ = os.Mkdir(filepath.Dir(s.blob(other)), 0o755) },
			func(*shop) []string { return nil }},
		"changed content": {func(s *shop) { s.write(s.blob(s.config), "[]") },
			func(s *shop) []string { return []string{s.blob(s.config)} }},
		"a shortened blob": {func(s *shop) { s.write(s.blob(s.config), "{") },
			func(s *shop) []string {
				return []string{s.blob(s.config), s.record(s.image.String())}
			}},
		"a lost blob": {func(s *shop) { _ = os.RemoveAll(filepath.Dir(s.blob(s.config))) },
			func(s *shop) []string { return []string{s.record(s.image.String())} }},
		"a lost manifest": {func(s *shop) { _ = os.RemoveAll(filepath.Dir(s.blob(s.image))) },
			func(s *shop) []string { return []string{s.record(s.image.String())} }},
		"a lost manifest that only a tag names": {func(s *shop) {
			_ = os.Remove(s.record(s.image.String()))
			_ = os.RemoveAll(filepath.Dir(s.blob(s.image)))
		},
			func(s *shop) []string { return []string{s.record("latest")} }},
		"a damaged record": {func(s *shop) { s.write(s.record("latest"), "{") },
			func(s *shop) []string { return []string{s.record("latest")} }},
		"a record of no manifest": {func(s *shop) { s.write(s.record("latest"), "{}") },
			func(s *shop) []string { return []string{s.record("latest")} }},
		"a digest that is another": {func(s *shop) { s.write(s.record(other.String()), `{"x":"`+s.image.String()+`"}`) },
			func(s *shop) []string { return []string{s.record(other.String())} }},
		"a stray record": {func(s *shop) { s.write(s.record("latest~"), "") },
			func(s *shop) []string { return []string{s.record("latest~")} }},
		"a stray blob": {func(s *shop) { s.write(filepath.Join(s.root, "_local/blobs/stray"), "") },
			func(s *shop) []string { return []string{filepath.Join(s.root, "_local/blobs/stray")} }},
	} {
		t.Run(what, func(t *testing.T) {
			s := newShop(t)
			tt.damage(s)
			got, want := s.faults(), tt.want(s)
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("faults with %q, want %q", got, want)
			}
		})
	}
}
