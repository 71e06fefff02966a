package conformance

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// maxManifest is the size up to which manifests are accepted, in bytes.
const maxManifest = 4 << 20

// kind is something that clients push as a manifest. What it refers to is
// pushed when it is made.
type kind struct {
	name string
	make func(r *repository) manifest
}

func imageKinds() []kind {
	return []kind{
		{"OCI image", func(r *repository) manifest { return r.image("image") }},
		{"Docker image", func(r *repository) manifest { return r.dockerImage("image") }},
		{"image without layers", func(r *repository) manifest {
			config := r.text("config")
			r.has(config)
			return imageOf(config).manifest()
		}},
		{"image with fields of its own", func(r *repository) manifest {
			return r.imageDocument("image").with("org.example.field", map[string]any{"a": []int{1, 2}}).manifest()
		}},
		{"image with data in its descriptors", func(r *repository) manifest {
			config := r.text("config")
			r.has(config)
			inline := config.as(ociConfig)
			inline.Data = config.content
			return r.imageDocument("image").with("config", inline).manifest()
		}},
		{"image whose layers stay elsewhere", func(r *repository) manifest {
			config, layer := r.text("config"), r.text("layer")
			r.has(config, layer)
			foreign := r.text("not pushed").as(ociForeign)
			foreign.URLs = []string{"https://vendor.example/layer"}
			return imageOf(config).with("layers", []descriptor{foreign, layer.as(ociLayer)}).manifest()
		}},
		{"Docker image whose layers stay elsewhere", func(r *repository) manifest {
			config := r.text("config")
			r.has(config)
			return dockerImageOf(config).with("layers", []descriptor{r.text("not pushed").as(dockerForeign)}).manifest()
		}},
		{"image with sha512 digests", func(r *repository) manifest {
			config, layer := r.text("config").by512(), r.text("layer").by512()
			r.has(config, layer)
			return imageOf(config, layer).manifest().by512()
		}},
		{"image of an odd form", func(r *repository) manifest {
			m := r.image("image")
			m.blob = blobOf(append([]byte(" \r\n\t"), bytes.ReplaceAll(m.content, []byte(`"layers"`), []byte(`"\u006cayers"`))...))
			return m
		}},
		{"image of the largest size", func(r *repository) manifest { return r.imageOfSize(maxManifest) }},
	}
}

func otherKinds() []kind {
	return []kind{
		{"OCI index", func(r *repository) manifest {
			return indexOf(r.kept(r.image("one")), r.kept(r.image("two"))).manifest()
		}},
		{"Docker list", func(r *repository) manifest {
			return dockerListOf(r.kept(r.dockerImage("one")), r.kept(r.dockerImage("two"))).manifest()
		}},
		{"index of both sorts", func(r *repository) manifest {
			return indexOf(r.kept(r.image("one")), r.kept(r.dockerImage("two"))).manifest()
		}},
		{"index of indexes", func(r *repository) manifest {
			inner := r.kept(indexOf(r.kept(r.image("one")), r.kept(r.image("two"))).manifest())
			return indexOf(inner, r.kept(indexOf().with("annotations", r.own()).manifest())).manifest()
		}},
		{"index of nothing", func(r *repository) manifest {
			return indexOf().with("annotations", r.own()).manifest()
		}},
		{"index by sha512", func(r *repository) manifest { return indexOf(r.kept(r.image("one").by512())).manifest().by512() }},
		{"artifact", func(r *repository) manifest { return r.artifact(sbom).manifest() }},
		{"artifact without content", func(r *repository) manifest {
			empty := blobOf([]byte("{}"))
			r.has(empty)
			return artifactOf(sbom, empty).with("layers", []descriptor{empty.as(ociEmpty)}).with("annotations", r.own()).manifest()
		}},
		{"index as an artifact", func(r *repository) manifest {
			return indexOf(r.kept(r.artifact(sbom).manifest())).with("artifactType", sbom).manifest()
		}},
		{"artifact about what is not there", func(r *repository) manifest {
			absent := imageOf(r.text("not pushed")).manifest()
			return r.artifact(signature).about(absent).manifest()
		}},
	}
}

// own are annotations that make a manifest the repository's own.
func (r *repository) own() map[string]string { return map[string]string{"org.example.of": r.name} }

// dockerImage pushes the blobs of a Docker image and returns it, not pushed.
func (r *repository) dockerImage(label string) manifest {
	r.t.Helper()
	config, layer := r.text("config of "+label), r.text("layer of "+label)
	r.has(config, layer)
	return dockerImageOf(config, layer).manifest()
}

// artifact pushes the blobs of an artifact and returns it, not pushed.
func (r *repository) artifact(artifactType string) document {
	r.t.Helper()
	config, content := blobOf([]byte("{}")), r.text(artifactType)
	r.has(config, content)
	return artifactOf(artifactType, config, content)
}

// kept is the manifest, pushed under its digest.
func (r *repository) kept(m manifest) manifest {
	r.t.Helper()
	r.keep(m)
	return m
}

// imageOfSize is an image whose manifest has that many bytes.
func (r *repository) imageOfSize(size int) manifest {
	r.t.Helper()
	padded := func(n int) manifest {
		return r.imageDocument("image").with("annotations", map[string]string{"padding": strings.Repeat("x", n)}).manifest()
	}
	m := padded(size - len(padded(0).content))
	if len(m.content) != size {
		r.t.Fatalf("the manifest has %d bytes, want %d", len(m.content), size)
	}
	return m
}

// Every kind comes back byte for byte, by tag and by digest, under the type
// that it was pushed with.
func TestManifestIsPushed(t *testing.T) {
	t.Parallel()
	for _, kind := range slices.Concat(imageKinds(), otherKinds()) {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			repo := newRepository(t, public)
			m := kind.make(repo)
			a := repo.keep(m)
			public.request(t, http.MethodGet, a.location()).expect(http.StatusOK).has("Content-Type", m.mediaType).holds(m.content)
			repo.serves(m.digest, m)

			// A tag has no algorithm, so that its manifest has the usual digest.
			tagged := manifest{m.mediaType, blobOf(m.content)}
			a = repo.tag("a-tag", tagged)
			public.request(t, http.MethodGet, a.location()).expect(http.StatusOK).holds(m.content)
			repo.serves("a-tag", tagged)
			repo.serves(tagged.digest, tagged)
			repo.serves(m.digest, m)
		})
	}
}

// A push by digest may name the tags that shall point to it ("end-7b").
func TestManifestIsPushedWithTags(t *testing.T) {
	t.Parallel()
	for _, algorithm := range []string{"sha256", "sha512"} {
		t.Run(algorithm, func(t *testing.T) {
			repo := newRepository(t, public)
			repo.tag("latest", repo.image("what was latest"))
			m := repo.image("image")
			if algorithm == "sha512" {
				m = m.by512()
			}
			want := []string{"1", "1.2", "1.2.3", "latest"}
			for n := range 8 {
				want = append(want, fmt.Sprintf("tag-%d", n))
			}
			q := repo.putManifest(m.digest, m)
			for _, tag := range want {
				q.query("tag", tag)
			}
			a := q.expect(http.StatusCreated).has("Docker-Content-Digest", m.digest)
			var got []string
			for _, line := range a.response.Header.Values("OCI-Tag") {
				for _, tag := range strings.Split(line, ",") {
					got = append(got, strings.TrimSpace(tag))
				}
			}
			if !slices.Equal(slices.Sorted(slices.Values(got)), want) {
				t.Errorf("OCI-Tag names %q, want %q", got, want)
			}
			for _, tag := range want {
				repo.serves(tag, m)
			}
		})
	}
}

// Parameters of a Content-Type are no part of the type ("Pushing Manifests").
func TestManifestTypeWithParameters(t *testing.T) {
	t.Parallel()
	repo := newRepository(t, public)
	image := repo.image("image")
	repo.putManifest("latest", image).header("Content-Type", ociImage+"; charset=utf-8").expect(http.StatusCreated)
	repo.serves("latest", image)
}

// Pushing the same again is no fault.
func TestManifestIsPushedAgain(t *testing.T) {
	t.Parallel()
	repo := newRepository(t, public)
	image := repo.image("image")
	for range 2 {
		repo.tag("latest", image)
		repo.keep(image)
		repo.serves("latest", image)
	}
}

// Any tag and any name of the specification's grammar will do, also those that
// look like the routes: they are told apart, and so is what is in them.
func TestNamesAndTags(t *testing.T) {
	t.Parallel()
	names := []string{
		"conformance/manifests", "conformance/manifests/manifests", "conformance/manifests/latest",
		"conformance/blobs", "conformance/blobs/uploads", "conformance/tags", "conformance/tags/list",
		"conformance/referrers", "conformance/uploads/data", "conformance/catalog",
		"conformance/a.b", "conformance/a_b", "conformance/a__b", "conformance/a-b", "conformance/a---b",
		"conformance/0", "conformance/" + strings.Repeat("n", 255-len("conformance/")),
		"conformance/one/two/three/four/five/six/seven", "busybox",
	}
	tags := []string{"latest", "v1.2.3-rc_1", "_", "_manifests", "manifests", "list", "UPPER", "0", "a..b", strings.Repeat("t", 128)}
	pushed := map[string]manifest{}
	for _, name := range names {
		repo := public.repository(t, name)
		image := repo.image("image")
		pushed[name] = image
		for _, tag := range tags {
			repo.tag(tag, image)
		}
	}
	for _, name := range names {
		repo := public.repository(t, name)
		for _, tag := range tags {
			repo.serves(tag, pushed[name])
		}
		repo.serves(pushed[name].digest, pushed[name])
		wantTags(t, repo.get("/tags/list"), slices.Sorted(slices.Values(tags)))
	}
}
