package local_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"opendev.org/zuul/zuul-registry/server/local"
	"opendev.org/zuul/zuul-registry/server/namespace"
	"opendev.org/zuul/zuul-registry/server/oci"
	"opendev.org/zuul/zuul-registry/server/registrytest"
	"opendev.org/zuul/zuul-registry/server/storage"
	"opendev.org/zuul/zuul-registry/server/storage/memory"
	"opendev.org/zuul/zuul-registry/server/storage/swift/pretend"
)

// A registry that knows older names is as good as one that does not.
func TestRegistryWithOlderNames(t *testing.T) {
	registrytest.Suite{New: func(*testing.T) oci.Registry {
		return local.New(memory.New(), local.Options{Older: namespace.Auto.Older})
	}}.Run(t)
}

// What the original stored under the path that the client used is found under all paths
// that mean the same now.
func TestOlderNames(t *testing.T) {
	for _, tt := range []struct{ stored, asked string }{
		{"busybox", "busybox"},
		{"busybox", "docker.io/library/busybox"},
		{"library/busybox", "busybox"},
		{"docker.io/library/busybox", "busybox"},
		{"docker.io/busybox", "library/busybox"},
		{"org/app", "docker.io/org/app"},
		{"docker.io/org/app", "org/app"},
		{"quay.io/org/app", "quay.io/org/app"},
		{"localhost/app", "localhost/app"},
	} {
		t.Run(tt.stored+" as "+tt.asked, func(t *testing.T) {
			onAllDrivers(t, func(t *testing.T, o *original, h heir) {
				byTag := o.manifest(tt.stored, "latest", dockerImage, o.image("by tag"))
				byDigest := o.manifest(tt.stored, "", ociImage, imageOf(ociImage, o.blob("{}")))
				o.manifest("another", "other", dockerImage, o.image("other"))
				o.upload("left", "over")
				o.upload()

				h.gives(tt.asked, "latest", dockerImage, byTag)
				h.gives(tt.asked, byTag.String(), dockerImage, byTag)
				h.gives(tt.asked, byDigest.String(), ociImage, byDigest)
				h.misses(tt.asked, "other")
				h.hasTags(tt.asked, "", "latest")
				if got := h.catalog(); !slices.Contains(got, tt.stored) {
					t.Errorf("the catalog is %q, want %s in it", got, tt.stored)
				}
				h.reads("layer of by tag")

				// What is pushed now takes its place, and it does not come back.
				newer := h.push(tt.asked, dockerImage, imageOf(dockerImage, o.blob("newer")), "latest")
				h.gives(tt.asked, "latest", dockerImage, newer)
				h.gives(tt.asked, byTag.String(), dockerImage, byTag)
				h.hasTags(tt.asked, "", "latest")
				h.delete(tt.asked, "latest")
				h.misses(tt.asked, "latest")
				h.again().misses(tt.asked, "latest")
				h.gives(tt.asked, newer.String(), dockerImage, newer)

				h.delete(tt.asked, byDigest.String())
				h.misses(tt.asked, byDigest.String())
			})
		})
	}
}

// In Path and None a name has never meant another one.
func TestNoOlderNamesInOtherModes(t *testing.T) {
	for _, mode := range []namespace.Mode{namespace.Path, namespace.None} {
		store := memory.New()
		newOriginal(t, store).manifest("busybox", "latest", dockerImage, imageOf(dockerImage, oci.SHA256.Sum(nil)))
		r := local.New(store, local.Options{Older: mode.Older})
		name, err := oci.ParseName("library/busybox")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.StatManifest(t.Context(), name, heir{T: t}.ref("latest")); !errors.Is(err, oci.ManifestUnknown) {
			t.Errorf("%s: %v, want MANIFEST_UNKNOWN", mode, err)
		}
	}
}

// Tags that a repository has under several names are one list.
func TestTagsUnderSeveralNames(t *testing.T) {
	onAllDrivers(t, func(t *testing.T, o *original, h heir) {
		image := o.image("an image")
		for repository, tags := range map[string][]string{
			"library/busybox":           {"b", "d", "z"},
			"busybox":                   {"a", "b", "e", "z"},
			"docker.io/library/busybox": {"0", "d", "f"},
			"docker.io/busybox":         {"zz"},
		} {
			for _, tag := range tags {
				o.manifest(repository, tag, dockerImage, image)
			}
			o.manifest(repository, "", dockerImage, image)
		}
		o.put("_local/repos/busybox/manifests/c/manifests/x", "a repository that is called as a tag might be")
		h.hasTags("busybox", "", "0", "a", "b", "d", "e", "f", "z", "zz")
		h.hasTags("busybox", "a", "b", "d", "e", "f", "z", "zz")
		h.hasTags("busybox", "d", "e", "f", "z", "zz")
		if got := h.tags("busybox", "zz"); got == nil || len(got) > 0 {
			t.Errorf("tags after the last: %q, want none of a repository that is there", got)
		}
		if got := h.tags("nothing", ""); got != nil {
			t.Errorf("tags of a repository that is not there: %q", got)
		}
		for range h.Tags(t.Context(), h.name("busybox"), oci.Tag{}) {
			break // and nothing is left behind
		}
	})
}

// A deletion is of a tag or digest under all names, and of nothing if it has it under none.
func TestDeleteUnderSeveralNames(t *testing.T) {
	onAllDrivers(t, func(t *testing.T, o *original, h heir) {
		image, other := o.image("an image"), o.image("another")
		for _, repository := range []string{"library/busybox", "busybox", "docker.io/library/busybox", "docker.io/busybox"} {
			o.manifest(repository, "latest", dockerImage, image)
			o.manifest(repository, "1.0", dockerImage, image)
			o.manifest(repository, "", dockerImage, image)
			o.manifest(repository, "other", dockerImage, other)
		}
		d := oci.SHA256.Sum([]byte(image))
		h.delete("busybox", "latest")
		h.misses("busybox", "latest")
		h.gives("busybox", "1.0", dockerImage, d)
		h.delete("busybox", d.String())
		for _, h := range []heir{h, h.again()} {
			h.misses("busybox", "latest", "1.0", d.String())
			h.hasTags("busybox", "", "other")
			h.gives("busybox", "other", dockerImage, oci.SHA256.Sum([]byte(other)))
		}
		for _, ref := range []string{"latest", "1.0", d.String(), "never", oci.SHA256.Sum(nil).String()} {
			if err := h.DeleteManifest(t.Context(), h.name("busybox"), h.ref(ref)); !errors.Is(err, oci.ManifestUnknown) {
				t.Errorf("DELETE of %s: %v, want MANIFEST_UNKNOWN", ref, err)
			}
		}
	})
}

// A digest goes with its tags, and no older image of such a tag comes to light.
func TestDeleteOfADigestUnderSeveralNames(t *testing.T) {
	onAllDrivers(t, func(t *testing.T, o *original, h heir) {
		o.manifest("docker.io/library/busybox", "latest", dockerImage, o.image("oldest"))
		older := o.manifest("busybox", "latest", dockerImage, o.image("older"))
		newer := h.push("library/busybox", dockerImage, imageOf(dockerImage, o.blob("newer")), "latest")
		h.delete("busybox", newer.String())
		h.misses("busybox", "latest", newer.String(), older.String())
		h.again().misses("library/busybox", "latest")
	})
}

// An older name is found though it came later than the first miss, in a while.
func TestARestoredStore(t *testing.T) {
	withTimes(t, func(t *testing.T, o *original, h heir) {
		h.misses("busybox", "latest")
		d := o.manifest("busybox", "latest", dockerImage, o.image("restored"))
		time.Sleep(6 * time.Minute)
		h.gives("busybox", "latest", dockerImage, d)
	})
}

// What we write the original can read: it looks for a tag under the path that the client
// uses, chooses among media types, and takes the content.
func TestTheOriginalReadsWhatWeWrite(t *testing.T) {
	onAllDrivers(t, func(t *testing.T, o *original, h heir) {
		config := oci.SHA256.Sum([]byte("{}"))
		u, err := h.StartUpload(t.Context(), h.name("org/app"))
		if err != nil {
			t.Fatal(err)
		}
		if err := u.Append(t.Context(), 0, strings.NewReader("{}")); err != nil {
			t.Fatal(err)
		}
		if _, err := u.Commit(t.Context(), config); err != nil {
			t.Fatal(err)
		}
		image := imageOf(ociImage, config)
		for asked, kept := range map[string]string{
			"org/app": "org/app", "quay.io/org/app": "quay.io/org/app", "library/busybox": "library/busybox", "docker.io/org/app": "org/app",
		} {
			d := h.push(asked, ociImage, image, "latest")
			for _, ref := range []string{"latest", d.String()} {
				var types map[string]string
				if err := json.Unmarshal([]byte(o.content(o.record(kept, ref))), &types); err != nil {
					t.Fatal(err)
				}
				if len(types) != 1 || o.content("_local/blobs/"+types[ociImage]+"/data") != image {
					t.Errorf("%s of %s is %v, want the image", ref, kept, types)
				}
			}
		}
		if got := o.content("_local/blobs/" + config.String() + "/data"); got != "{}" {
			t.Errorf("the config is %q", got)
		}
	})
}

// What older names and missing records cost Swift, in requests: where there are none,
// nothing but some lists now and then.
func TestRequestsForWhatIsMissing(t *testing.T) {
	store := pretend.New(t)
	driver := store.Open()
	o, h := newOriginal(t, driver), inherit(t, driver)
	ours := h.push("library/ours", dockerList, indexOf(child{dockerImage, h.push("library/ours", dockerImage, o.image("ours"))}), "latest")
	here := o.body(o.image("of an upstream"))
	unknown := oci.SHA256.Sum([]byte("unknown"))
	theirs := o.family("docker.io/org/theirs", "1.0")
	for i := range 20 {
		o.manifest("docker.io/org/theirs", fmt.Sprintf("tag%d", i), dockerImage, o.image(fmt.Sprint(i)))
	}
	stat := func(asked, ref string) func() error {
		return func() error {
			_, err := h.StatManifest(t.Context(), h.name(asked), h.ref(ref))
			return err
		}
	}
	for _, tt := range []struct {
		step     string
		do       func() error
		want     error
		requests int
	}{
		{"the first miss", stat("elsewhere", "latest"), oci.ManifestUnknown, 2 + 4}, // with lists down to docker.io
		{"a miss", stat("elsewhere", "latest"), oci.ManifestUnknown, 2},
		{"a miss by digest", stat("elsewhere", unknown.String()), oci.ManifestUnknown, 2 + 1}, // with the list of library
		{"a miss by digest, again", stat("elsewhere", unknown.String()), oci.ManifestUnknown, 2},
		{"a miss of a tag of ours", stat("library/ours", "other"), oci.ManifestUnknown, 2},
		{"the first miss of a digest in our repository", stat("library/ours", unknown.String()), oci.ManifestUnknown, 2 + 1 + 2},
		{"the first search in our repository", stat("library/ours", here.String()), oci.ManifestUnknown, 2 + 1 + 2},
		{"a miss in it after that", stat("library/ours", here.String()), oci.ManifestUnknown, 2},
		{"a tag of ours", stat("library/ours", "latest"), nil, 2},
		{"a digest of ours", stat("library/ours", ours.String()), nil, 2},
		{"the first tag under its older name", stat("org/theirs", "1.0"), nil, 4 + 2},
		{"a tag under its older name", stat("org/theirs", "1.0"), nil, 4},
		{"a child that is not recorded, beside 21 tags", stat("org/theirs", theirs.riscv.String()), nil, 120},
		{"the child, again", stat("org/theirs", theirs.riscv.String()), nil, 2},
	} {
		store.Asked()
		if err := tt.do(); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.step, err, tt.want)
		}
		if asked := store.Asked(); len(asked) != tt.requests {
			t.Errorf("%s: %d requests, want %d:\n%s", tt.step, len(asked), tt.requests, strings.Join(asked, "\n"))
		}
	}
}

// A deletion that fails half way does not bring an older image to light.
func TestAFailedDeletionHidesTheOlder(t *testing.T) {
	store := memory.New()
	o := newOriginal(t, store)
	h := inherit(t, kept{store, o.record("busybox", "latest")})
	o.manifest("busybox", "latest", dockerImage, o.image("older"))
	newer := h.push("busybox", dockerImage, o.image("newer"), "latest")
	if err := h.DeleteManifest(t.Context(), h.name("busybox"), h.ref("latest")); err == nil {
		t.Error("DELETE: no error")
	}
	h.gives("busybox", "latest", dockerImage, newer)
}

// kept is a store that cannot delete an object.
type kept struct {
	storage.Driver
	object string
}

func (k kept) Delete(ctx context.Context, name string) error {
	if name == k.object {
		return errors.New("the disk fails")
	}
	return k.Driver.Delete(ctx, name)
}
