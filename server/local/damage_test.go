package local_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"opendev.org/zuul/zuul-registry/server/oci"
)

var ctx = context.Background()

func (s *shop) name() oci.Name {
	s.Helper()
	n, err := oci.ParseName("org/app")
	if err != nil {
		s.Fatal(err)
	}
	return n
}

func (s *shop) ref(text string) oci.Reference {
	s.Helper()
	ref, err := oci.ParseReference(text)
	if err != nil {
		s.Fatal(err)
	}
	return ref
}

// What is wrong with the store is a fault of the server. It is not the client's
// request that is bad, nor may it look like a miss: the client would go on to
// the upstream's image.
func TestDamageIsAFault(t *testing.T) {
	for what, tt := range map[string]struct {
		damage func(s *shop)
		ask    func(s *shop) error
	}{
		"a lost body": {
			func(s *shop) { _ = os.RemoveAll(filepath.Dir(s.blob(s.image))) },
			func(s *shop) error { _, err := s.GetManifest(ctx, s.name(), s.ref("latest")); return err }},
		"a lost body, asked about": {
			func(s *shop) { _ = os.RemoveAll(filepath.Dir(s.blob(s.image))) },
			func(s *shop) error { _, err := s.StatManifest(ctx, s.name(), s.ref("latest")); return err }},
		"a record with a bad digest": {
			func(s *shop) { s.write(s.record("latest"), `{"x/y":"garbage"}`) },
			func(s *shop) error { _, err := s.GetManifest(ctx, s.name(), s.ref("latest")); return err }},
		"a body that is no manifest, while a blob is deleted": {
			func(s *shop) { s.write(s.blob(s.image), `garbage`) },
			func(s *shop) error { return s.DeleteBlob(ctx, s.name(), s.config) }},
		"a bad list of referrers": {
			func(s *shop) {
				path := filepath.Join(s.root, "_local/referrers/org/app", s.image.String(), s.config.String())
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					s.Fatal(err)
				}
				s.write(path, `{"digest":"garbage"}`)
			},
			func(s *shop) error {
				for _, err := range s.Referrers(ctx, s.name(), s.image) {
					return err
				}
				return nil
			}},
	} {
		t.Run(what, func(t *testing.T) {
			s := newShop(t)
			tt.damage(s)
			err := tt.ask(s)
			if _, ok := oci.AsError(err); err == nil || ok {
				t.Errorf("%v: want a fault of the server", err)
			}
		})
	}
}

// The original kept a record for each media type that a tag was ever pushed
// with, and served the old one.
func TestOldRecordGivesTheNewestManifest(t *testing.T) {
	s := newShop(t)
	newer := oci.SHA256.Sum([]byte(`{"manifests":[]}`))
	if err := os.MkdirAll(filepath.Dir(s.blob(newer)), 0o755); err != nil {
		t.Fatal(err)
	}
	s.write(s.blob(newer), `{"manifests":[]}`)
	s.write(s.record("latest"), `{"`+oci.MediaTypeImageManifest+`":"`+s.image.String()+`","`+oci.MediaTypeImageIndex+`":"`+newer.String()+`"}`)
	m, err := s.GetManifest(ctx, s.name(), s.ref("latest"))
	if err != nil || m.Digest != newer || m.MediaType != oci.MediaTypeImageIndex {
		t.Errorf("GetManifest: %s %s, %v; want the newer one", m.MediaType, m.Digest, err)
	}
}

// An upload of which a power cut has taken some is over: the client is told to
// begin again, and nothing is left.
func TestLostUpload(t *testing.T) {
	for what, lose := range map[string]func(path string) error{
		"gone":    os.Remove,
		"shorter": func(path string) error { return os.Truncate(path, 3) },
	} {
		for _, next := range []string{"Append", "Commit", "Commit by another algorithm"} {
			t.Run(what+", then "+next, func(t *testing.T) {
				s := newShop(t)
				u, err := s.StartUpload(ctx, s.name())
				if err != nil {
					t.Fatal(err)
				}
				if err := errors.Join(u.Append(ctx, 0, strings.NewReader("content")), u.Close(ctx)); err != nil {
					t.Fatal(err)
				}
				segments := s.glob("_local/segments/*")
				if len(segments) != 1 {
					t.Fatalf("there are segments %v, want one", segments)
				}
				if err := lose(segments[0]); err != nil {
					t.Fatal(err)
				}
				if u, err = s.ResumeUpload(ctx, s.name(), u.ID()); err != nil {
					t.Fatal(err)
				}
				switch next {
				case "Append":
					err = u.Append(ctx, 7, strings.NewReader(", more"))
				case "Commit":
					_, err = u.Commit(ctx, oci.SHA256.Sum([]byte("content")))
				default:
					_, err = u.Commit(ctx, oci.SHA512.Sum([]byte("content")))
				}
				if !errors.Is(err, oci.BlobUploadUnknown) {
					t.Errorf("%s: %v, want BLOB_UPLOAD_UNKNOWN", next, err)
				}
				if err := u.Close(ctx); err != nil {
					t.Error(err)
				}
				if left := append(s.glob("_local/segments/*"), s.glob("_local/uploads/*")...); left != nil {
					t.Errorf("%v is left", left)
				}
			})
		}
	}
}

func (s *shop) glob(pattern string) []string {
	s.Helper()
	found, err := filepath.Glob(filepath.Join(s.root, pattern))
	if err != nil {
		s.Fatal(err)
	}
	return found
}

// A referrer is listed when its manifest is there, and not when a push or a
// deletion has ended half way.
func TestHalfPushedReferrerIsNotListed(t *testing.T) {
	s := newShop(t)
	path := filepath.Join(s.root, "_local/referrers/org/app", s.config.String(), s.image.String())
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	s.write(path, `{"digest":"`+s.image.String()+`"}`)
	list := func() (n int) {
		for _, err := range s.Referrers(ctx, s.name(), s.config) {
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
		return n
	}
	if n := list(); n != 1 {
		t.Errorf("%d referrers, want 1", n)
	}
	if err := os.Remove(s.record(s.image.String())); err != nil {
		t.Fatal(err)
	}
	if n := list(); n != 0 {
		t.Errorf("%d referrers without the manifest, want none", n)
	}
}

func TestReady(t *testing.T) {
	s := newShop(t)
	if err := s.Ready(ctx); err != nil {
		t.Errorf("a sound store: %v", err)
	}
	if err := os.RemoveAll(s.root); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(s.root, 0o700); err != nil { // a mount point without its volume
		t.Fatal(err)
	}
	if err := s.Ready(ctx); err == nil {
		t.Error("a store that is gone is ready")
	}
}

// A push has the body of a manifest in hand, and mends one that is damaged.
func TestPushMendsADamagedManifest(t *testing.T) {
	s := newShop(t)
	m, err := s.GetManifest(ctx, s.name(), s.ref("latest"))
	if err != nil {
		t.Fatal(err)
	}
	s.write(s.blob(s.image), strings.Repeat("x", len(m.Content)))
	if err := s.PutManifest(ctx, s.name(), m); err != nil {
		t.Fatal(err)
	}
	if again, err := s.GetManifest(ctx, s.name(), s.ref("latest")); err != nil || string(again.Content) != string(m.Content) {
		t.Errorf("it is %q, %v", again.Content, err)
	}
}
