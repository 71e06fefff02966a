package conformance

import (
	"fmt"
	"net/http"
	"testing"
)

// paths are where the image, tagged as latest, and its parts are.
func (p picture) paths() []string {
	return []string{"/manifests/latest", "/manifests/" + p.digest, "/blobs/" + p.config.digest, "/blobs/" + p.layer.digest}
}

// Who pushes asks whether it has to: that the upstream has the same is no
// answer, since only what is pushed is kept, and the upstream may not answer.
func TestPushAsksTheStoreAlone(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	image := up.tagged("org/app", "latest")
	mirror := shadow(t, up)
	pusher := mirror.pusher(t, "org/app")
	asks := func(status int) {
		t.Helper()
		for _, path := range image.paths() {
			pusher.head(path).expect(status)
		}
	}
	asks(http.StatusNotFound)
	up.fails(hangs)
	asks(http.StatusNotFound)
	up.recovers()
	up.wasLeftAlone(t)

	pusher.delivers("latest", image.manifest, image.config, image.layer)
	asks(http.StatusOK)
	up.wasLeftAlone(t)
}

// Other clients that ask so are answered as if they had asked for the whole.
func TestShadowPullAsksTheUpstream(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	image := up.tagged("org/app", "latest")
	mirror := shadow(t, up)
	scope := "repository:org/app:pull"
	for _, who := range []identity{nobody, mirror.granted(t, nobody, scope), mirror.granted(t, asWriter(), scope)} {
		repo := mirror.repository(t, "org/app").as(who)
		for _, path := range image.paths() {
			repo.head(path).expect(http.StatusOK)
		}
		repo.head("/manifests/missing").expect(http.StatusNotFound)
		repo.head("/blobs/" + repo.text("missing").digest).expect(http.StatusNotFound)
	}
}

// An image that was pulled before is not thereby pushed: whoever pushes it has
// to send its manifest, and has a local image then.
func TestPushOfWhatWasPulled(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	image := up.tagged("org/app", "latest")
	mirror := shadow(t, up, "UPSTREAM_TAG_TTL", "0")
	mirror.reader(t, "org/app").servesAll("latest", image)
	pusher := mirror.pusher(t, "org/app")
	pusher.head("/manifests/latest").expect(http.StatusNotFound)
	pusher.head("/manifests/" + image.digest).expect(http.StatusNotFound)
	pusher.tag("latest", image.manifest)
	pusher.head("/manifests/latest").expect(http.StatusOK)
	up.down()
	mirror.reader(t, "org/app").servesAll("latest", image)
	mirror.reader(t, "org/app").get("/manifests/latest").expect(http.StatusOK).lacks("Warning")
}

// A push needs no upstream, whatever its client asks on the way.
func TestPushWithoutUpstream(t *testing.T) {
	t.Parallel()
	for _, tt := range troubles {
		t.Run("that "+tt.name, func(t *testing.T) {
			t.Parallel()
			up := newUpstream(t)
			mirror := shadow(t, up)
			tt.trouble(up)
			pusher := mirror.pusher(t, "org/app")
			layer := pusher.bulk("layer", 10_000)
			config := pusher.text("config")
			for _, b := range []blob{config, layer} {
				pusher.head("/blobs/" + b.digest).expect(http.StatusNotFound)
				pusher.inChunks(b.content, len(b.content)).commit(b.digest).expect(http.StatusCreated)
				pusher.head("/blobs/" + b.digest).expect(http.StatusOK)
			}
			image := imageOf(config, layer).manifest()
			pusher.head("/manifests/latest").expect(http.StatusNotFound)
			pusher.keep(image)
			pusher.tag("latest", image)
			whole := indexOf(image).manifest()
			pusher.tag("whole", whole)
			pusher.head("/manifests/latest").expect(http.StatusOK)
			pusher.serves("latest", image)
			pusher.serves("whole", whole)
			mirror.reader(t, "org/app").servesBlob(layer)
			mirror.repository(t, "org/app").delete("/manifests/whole").expect(http.StatusAccepted)
			up.wasLeftAlone(t)
		})
	}
}

// An image may be built on one that is upstream: what its client knows to be
// there it does not send.
func TestPushOnUpstreamLayers(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ rule, repository, upstream string }{
		{"of docker.io", "org/app", "docker.io"},
		{"of docker.io, said in full", "docker.io/org/app", "docker.io"},
		{"of another registry", "quay.io/org/app", "quay.io"},
	} {
		t.Run(tt.rule, func(t *testing.T) {
			t.Parallel()
			all := upstreams{"docker.io": newUpstream(t), "quay.io": newUpstream(t)}
			up := all[tt.upstream]
			base := up.image("org/app", "base")
			mirror := shadowAll(t, all)
			pusher, reader := mirror.pusher(t, tt.repository), mirror.reader(t, tt.repository)
			config, layer := pusher.text("config"), pusher.text("layer")
			pusher.has(config, layer)
			image := imageOf(config, base.layer, layer).manifest()
			pusher.tag("latest", image)
			reader.serves("latest", image)
			reader.servesBlob(layer)
			reader.servesBlob(base.layer)

			whole := indexOf(image, base.manifest).manifest()
			pusher.tag("whole", whole) // with a child that is upstream
			up.forget()
			reader.serves("whole", whole)
			reader.servesAll(base.digest, base)
			for _, c := range up.asked(getBlob, getPart) {
				if c.reference == base.layer.digest {
					t.Error("the upstream was asked again for the layer that is here")
				}
			}
		})
	}
}

// What the upstream does not have either is missing, and so is what it has in
// another repository, or another upstream has.
func TestPushOnMissingLayers(t *testing.T) {
	t.Parallel()
	docker, quay := newUpstream(t), newUpstream(t)
	elsewhere := docker.image("org/other", "base").layer
	other := quay.image("org/app", "base").layer
	mirror := shadowAll(t, upstreams{"docker.io": docker, "quay.io": quay}, "UPSTREAM_TIMEOUT", "1s")
	pusher := mirror.pusher(t, "org/app")
	config := pusher.text("config")
	pusher.has(config)
	for rule, layer := range map[string]blob{
		"nowhere": pusher.text("not pushed"), "in another repository of the upstream": elsewhere, "in another upstream": other,
	} {
		t.Run(rule, func(t *testing.T) {
			image := imageOf(config, layer).manifest()
			for _, reference := range []string{"latest", image.digest} {
				pusher.in(t).putManifest(reference, image).refused("MANIFEST_BLOB_UNKNOWN", http.StatusBadRequest, http.StatusNotFound)
			}
			mirror.reader(t, "org/app").lacks(image.digest)
		})
	}
	t.Run("in an upstream that does not answer", func(t *testing.T) {
		base := docker.image("org/app", "base").layer
		for _, trouble := range []fault{hangs, hangsUp, answers(http.StatusInternalServerError), answers(http.StatusUnauthorized)} {
			docker.fails(trouble)
			pusher.in(t).putManifest("latest", imageOf(config, base).manifest()).
				refused("MANIFEST_BLOB_UNKNOWN|UNAVAILABLE", http.StatusBadRequest, http.StatusNotFound, http.StatusServiceUnavailable)
		}
		docker.recovers()
		mirror.reader(t, "org/app").lacks("latest")
	})
}

// A layer can be mounted from a repository that is only upstream, as clients do
// for an image that is built on another. It costs no transfer before somebody
// wants it.
func TestPushMountsFromUpstream(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ mode, from, to string }{
		{"auto", "library/alpine", "org/app"},
		{"auto", "docker.io/library/alpine", "org/app"},
		{"auto", "alpine", "quay.io/org/app"},
		{"path", "docker.io/library/alpine", "docker.io/org/app"},
	} {
		t.Run(fmt.Sprint(tt), func(t *testing.T) {
			t.Parallel()
			docker, quay := newUpstream(t), newUpstream(t)
			base := docker.image("library/alpine", "base").layer
			mirror := shadowAll(t, upstreams{"docker.io": docker, "quay.io": quay}, "NAMESPACING", tt.mode)
			writer := mirror.repository(t, tt.to)
			writer.post("/blobs/uploads/").query("mount", base.digest).query("from", tt.from).
				expect(http.StatusCreated).has("Docker-Content-Digest", base.digest)
			config := writer.text("config")
			writer.has(config)
			image := imageOf(config, base).manifest()
			writer.tag("latest", image)
			docker.wasAsked(t, 0, getBlob, getPart)
			reader := mirror.reader(t, tt.to)
			reader.serves("latest", image)
			reader.servesBlob(base)
			docker.wasAsked(t, 1, getBlob)
		})
	}
}

// What cannot be mounted is uploaded; no trouble of an upstream stops that.
func TestPushMountsNothing(t *testing.T) {
	t.Parallel()
	docker, quay := newUpstream(t), newUpstream(t)
	base := docker.image("library/alpine", "base").layer
	for _, mode := range []string{"auto", "path"} {
		mirror := shadowAll(t, upstreams{"docker.io": docker, "quay.io": quay}, "NAMESPACING", mode, "UPSTREAM_TIMEOUT", "1s")
		for _, tt := range []struct {
			rule, mount, from string
			trouble           fault
		}{
			{"what nobody has", blobOf([]byte("nobody's")).digest, "docker.io/library/alpine", nil},
			{"from a repository without it", base.digest, "docker.io/library/other", nil},
			{"from another upstream", base.digest, "quay.io/library/alpine", nil},
			{"from an unknown namespace", base.digest, "unknown.example/library/alpine", nil},
			{"from an upstream that hangs", base.digest, "docker.io/library/alpine", hangs},
			{"from an upstream with a fault", base.digest, "docker.io/library/alpine", answers(http.StatusInternalServerError)},
			{"from an upstream that keeps it private", base.digest, "docker.io/library/alpine", answers(http.StatusForbidden)},
		} {
			t.Run(mode+"/"+tt.rule, func(t *testing.T) {
				if docker.recovers(); tt.trouble != nil {
					docker.fails(tt.trouble)
				}
				writer := mirror.repository(t, "docker.io/org/app")
				b := writer.text(tt.rule)
				upload := writer.uploadAt(writer.post("/blobs/uploads/").query("mount", tt.mount).query("from", tt.from).expect(http.StatusAccepted))
				upload.commit(b.digest).content(b.content).expect(http.StatusCreated)
				writer.as(nobody).get("/blobs/" + b.digest).expect(http.StatusOK).holds(b.content)
			})
		}
	}
}

// Namespaces that share nothing mount nothing from each other, not even what
// both could have.
func TestPushMountsFromNoOtherNamespace(t *testing.T) {
	t.Parallel()
	docker, quay := newUpstream(t), newUpstream(t)
	base := docker.image("org/app", "base").layer
	mirror := shadowAll(t, upstreams{"docker.io": docker, "quay.io": quay}, "NAMESPACING", "path")
	writer := mirror.repository(t, "quay.io/org/app")
	writer.post("/blobs/uploads/").query("mount", base.digest).query("from", "docker.io/org/app").expect(http.StatusAccepted)
	writer.as(nobody).lacksBlob(base.digest)
	config := writer.text("config")
	writer.has(config)
	writer.putManifest("latest", imageOf(config, base).manifest()).refused("MANIFEST_BLOB_UNKNOWN", http.StatusBadRequest, http.StatusNotFound)
}
