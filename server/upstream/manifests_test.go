package upstream_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"opendev.org/zuul/zuul-registry/server/oci"
)

// sends answers with content, and headers by name and value.
func sends(content string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", oci.MediaTypeImageManifest)
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		_, _ = io.WriteString(w, content)
	}
}

// chunked sends the answer without its length.
func chunked(answer http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		answer(&unmeasured{w}, r)
	}
}

// unmeasured is an answer without its length.
type unmeasured struct{ http.ResponseWriter }

func (w *unmeasured) Write(p []byte) (int, error) {
	w.Header().Del("Content-Length")
	_ = http.NewResponseController(w.ResponseWriter).Flush()
	return w.ResponseWriter.Write(p)
}

// drips sends a byte now and then, for as long as somebody is there.
func drips(w http.ResponseWriter, r *http.Request) {
	for r.Context().Err() == nil {
		_, _ = io.WriteString(w, " ")
		_ = http.NewResponseController(w).Flush()
		select {
		case <-time.After(20 * time.Millisecond):
		case <-r.Context().Done():
		}
	}
}

// hangs never answers.
func hangs(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

func TestManifests(t *testing.T) {
	another := oci.SHA256.Sum([]byte("another")).String()
	for _, tt := range []struct {
		what   string
		answer http.HandlerFunc
		byTag  oci.Code // empty: it is the image
		byHash oci.Code
	}{
		{"as it should be", sendsImage, "", ""},
		{"without a digest", sends(image), "", ""},
		{"without a length", chunked(sends(image)), "", ""},
		{"with a parameter", sends(image, "Content-Type", oci.MediaTypeImageManifest+"; charset=utf-8"), "", ""},
		{"with a digest of sha512", sends(image, "Docker-Content-Digest", oci.SHA512.Sum([]byte(image)).String()), "", oci.Unavailable},
		{"404", fails(404), oci.ManifestUnknown, oci.ManifestUnknown},
		{"410", fails(410), oci.ManifestUnknown, oci.ManifestUnknown},
		{"401", fails(401), oci.ManifestUnknown, oci.ManifestUnknown},
		{"403", fails(403), oci.ManifestUnknown, oci.ManifestUnknown},
		{"a bad name", refuses(400, oci.NameInvalid), oci.ManifestUnknown, oci.ManifestUnknown},
		{"another 400", refuses(400, oci.Unsupported), oci.Unavailable, oci.Unavailable},
		{"400 without a word", fails(400), oci.Unavailable, oci.Unavailable},
		{"418", fails(418), oci.Unavailable, oci.Unavailable},
		{"204", fails(204), oci.Unavailable, oci.Unavailable},
		{"a page", sends("<html>", "Content-Type", "text/html; charset=utf-8"), oci.Unavailable, oci.Unavailable},
		{"a page that does not say so", sends("<html>"), oci.Unavailable, oci.Unavailable},
		{"nothing", sends(""), oci.Unavailable, oci.Unavailable},
		{"schema 1", sends(`{"fsLayers":[]}`, "Content-Type", "application/vnd.docker.distribution.manifest.v1+json"), oci.Unavailable, oci.Unavailable},
		{"another digest", sends(image, "Docker-Content-Digest", another), oci.Unavailable, oci.Unavailable},
		{"a digest that is none", sends(image, "Docker-Content-Digest", "latest"), oci.Unavailable, oci.Unavailable},
		{"too large", sends(image + strings.Repeat(" ", oci.MaxManifestSize)), oci.Unavailable, oci.Unavailable},
		{"cut", sends(image, "Content-Length", "1000"), oci.Unavailable, oci.Unavailable},
	} {
		t.Run(tt.what, func(t *testing.T) {
			t.Parallel()
			s := serve(t, tt.answer)
			r := s.open()
			for ref, code := range map[string]oci.Code{"latest": tt.byTag, imageDigest.String(): tt.byHash} {
				if code == "" {
					gives(t, r, ref)
				} else {
					_, err := r.GetManifest(t.Context(), "org/app", tag(t, ref))
					is(t, err, code)
				}
				d, err := r.StatManifest(t.Context(), "org/app", tag(t, ref))
				if code == oci.ManifestUnknown {
					is(t, err, code)
				} else if code == "" && (err != nil || d.Size != int64(len(image)) || d.MediaType != oci.MediaTypeImageManifest || tt.what != "with a digest of sha512" && d.Digest != imageDigest) {
					t.Errorf("%s is described as %+v, %v", ref, d, err)
				}
			}
		})
	}
}

// refuses answers with an error of the specification.
func refuses(status int, code oci.Code) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = fmt.Fprintf(w, `{"errors":[{"code":%q}]}`, code)
	}
}

// Content has the digest that it was asked for by, whatever the upstream says.
func TestManifestOfAnotherDigest(t *testing.T) {
	t.Parallel()
	wanted := oci.SHA256.Sum([]byte("another"))
	s := serve(t, sends(image, "Docker-Content-Digest", wanted.String()))
	_, err := s.open().GetManifest(t.Context(), "org/app", oci.Reference{Digest: wanted})
	is(t, err, oci.Unavailable)
}

func TestManifestOfSHA512(t *testing.T) {
	t.Parallel()
	wanted := oci.SHA512.Sum([]byte(image))
	m, err := serve(t, sends(image)).open().GetManifest(t.Context(), "org/app", oci.Reference{Digest: wanted})
	if err != nil || m.Digest != wanted {
		t.Errorf("%s, %v", m.Digest, err)
	}
}

// HEAD is enough, unless its answer is not.
func TestStatManifest(t *testing.T) {
	const head, get = "HEAD", "GET"
	noHead := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodHead {
				w.WriteHeader(status)
				return
			}
			sendsImage(w, r)
		}
	}
	for what, tt := range map[string]struct {
		answer http.HandlerFunc
		asked  []string
	}{
		"all is said":     {sendsImage, []string{head}},
		"no digest":       {sends(image), []string{head, get}},
		"no length":       {chunked(sendsImage), []string{head, get}},
		"no known digest": {sends(image, "Docker-Content-Digest", "sha384:"+strings.Repeat("0", 96)), []string{head, get}},
		"no HEAD":         {noHead(405), []string{head, get}},
		"a bad HEAD":      {noHead(400), []string{head, get}},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			s := serve(t, tt.answer)
			r := s.open()
			for _, ref := range []string{"latest", imageDigest.String()} {
				if _, err := r.StatManifest(t.Context(), "org/app", tag(t, ref)); err != nil && what != "no known digest" {
					t.Error(err)
				}
				var asked []string
				for _, method := range tt.asked {
					asked = append(asked, method+" /v2/org/app/manifests/"+ref)
				}
				s.wasAsked(asked...)
			}
		})
	}
}

// Whatever the upstream does, there is an end to it. That is the patience, and a
// while for slow machines.
func TestPatienceEnds(t *testing.T) {
	var s *there
	for what, answer := range map[string]http.HandlerFunc{
		"no answer": hangs,
		"no body": func(w http.ResponseWriter, r *http.Request) {
			sends("{")(w, r)
			_ = http.NewResponseController(w).Flush()
			hangs(w, r)
		},
		"a body that drips": drips,
		"an error that drips": func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusNotImplemented)
			drips(w, r)
		},
		"an endless body": func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				_, _ = io.WriteString(w, strings.Repeat(" ", 100_000))
			}
		},
		"failures without end": func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusBadGateway) },
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			begin := time.Now()
			_, err := serve(t, answer).open(patience(150*time.Millisecond)).GetManifest(t.Context(), "org/app", tag(t, "latest"))
			is(t, err, oci.Unavailable)
			if passed := time.Since(begin); passed > 2*time.Second {
				t.Errorf("it took %s", passed)
			}
			if tooMuch := strings.Contains(err.Error(), "more than"); tooMuch != (what == "an endless body") {
				t.Errorf("%v: patience or room has ended, and not the other", err)
			}
			if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v looks as if the caller had left", err)
			}
		})
	}
	t.Run("a token that drips", func(t *testing.T) {
		t.Parallel()
		s = serve(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/token" {
				drips(w, r)
				return
			}
			fails(http.StatusUnauthorized, "WWW-Authenticate", `Bearer realm="`+s.URL+`/token"`)(w, r)
		})
		_, err := s.open(patience(150*time.Millisecond)).GetManifest(t.Context(), "org/app", tag(t, "latest"))
		is(t, err, oci.Unavailable)
	})
}

// A token service that fails says nothing about what the token is for.
func TestTokenServiceFails(t *testing.T) {
	t.Parallel()
	for _, status := range []int{400, 404, 418, 501} {
		var s *there
		s = serve(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/token" {
				w.WriteHeader(status)
				return
			}
			fails(http.StatusUnauthorized, "WWW-Authenticate", `Bearer realm="`+s.URL+`/token"`)(w, r)
		})
		_, err := s.open().GetManifest(t.Context(), "org/app", tag(t, "latest"))
		is(t, err, oci.Unavailable)
	}
}

func TestUpstreamIsDown(t *testing.T) {
	t.Parallel()
	s := serve(t, sendsImage)
	r := s.open()
	s.Close()
	_, err := r.GetManifest(t.Context(), "org/app", tag(t, "latest"))
	is(t, err, oci.Unavailable)
}

// A caller who leaves is not told that the upstream fails.
func TestCallerLeaves(t *testing.T) {
	t.Parallel()
	ctx, leave := context.WithCancel(t.Context())
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		leave()
		hangs(w, r)
	})
	if _, err := s.open().GetManifest(ctx, "org/app", tag(t, "latest")); err != context.Canceled {
		t.Errorf("%v, want %v", err, context.Canceled)
	}
}

// Names that cannot be there are not asked for.
func TestNamesThatCannotBe(t *testing.T) {
	t.Parallel()
	s := serve(t, sendsImage)
	r := s.open()
	for _, name := range []string{"", "..", "org/../app", "Org", "org/app?x", "org//app", "org/app\n"} {
		_, err := r.GetManifest(t.Context(), name, tag(t, "latest"))
		is(t, err, oci.ManifestUnknown)
		_, err = r.StatManifest(t.Context(), name, tag(t, "latest"))
		is(t, err, oci.ManifestUnknown)
		_, err = r.OpenBlob(t.Context(), name, imageDigest)
		is(t, err, oci.BlobUnknown)
		_, err = r.StatBlob(t.Context(), name, imageDigest)
		is(t, err, oci.BlobUnknown)
		_, err = r.Tags(t.Context(), name)
		is(t, err, oci.NameUnknown)
		if all, err := r.Referrers(t.Context(), name, imageDigest); len(all) > 0 || err != nil {
			t.Errorf("referrers of %q: %v, %v", name, all, err)
		}
	}
	s.wasAsked()
}
