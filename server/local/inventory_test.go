package local_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"opendev.org/zuul/zuul-registry/server/local"
	"opendev.org/zuul/zuul-registry/server/oci"
)

// inventory is the tags as lines.
func (w *world) inventory() []string {
	w.Helper()
	var all []string
	for t, err := range w.Tagged(w.Context()) {
		w.ok(err)
		all = append(all, fmt.Sprintf("%s:%s %s", t.Name, t.Tag, t.Origin))
	}
	return all
}

func TestTagged(t *testing.T) {
	timed(t, func(w *world) {
		if got := w.inventory(); got != nil {
			t.Errorf("an empty store has %q", got)
		}
		w.push(w.named("org/app"), image("1"), "b", "a")
		w.push(w.named("org/manifests"), image("2"), "latest")
		w.push(w.named("quay.io//org/app"), image("3"), "latest")
		w.fetch(w.named("org/app"), image("4"), "a")
		w.fetch(w.named("library/alpine"), image("5"), "3")
		want := []string{
			"org/app:a speculative", "org/app:b speculative", "org/manifests:latest speculative",
			"library/alpine:3 cached", "org/app:a cached", "quay.io/org/app:latest speculative",
		}
		if got := w.inventory(); !slices.Equal(got, want) {
			t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	})
}

// item is that of the one tag that there is.
func (w *world) item() (local.Item, error) {
	w.Helper()
	for t, err := range w.Tagged(w.Context()) {
		w.ok(err)
		return w.Item(w.Context(), t)
	}
	w.Fatal("there is no tag")
	return local.Item{}, nil
}

// configured is an image with a config.
func configured(config string) *goods {
	g := &goods{algorithm: oci.SHA256}
	text := `{"mediaType":"` + oci.MediaTypeImageManifest + `","config":` + strings.Trim(g.list("a/b", config), "[]") +
		`,"layers":` + g.list("a/b", "12345", "123") + `}`
	m, err := oci.NewManifest(oci.MediaTypeImageManifest, []byte(text), oci.SHA256)
	if err != nil {
		panic(err)
	}
	g.manifests, g.top = []oci.Manifest{m}, m
	return g
}

func TestItem(t *testing.T) {
	for config, want := range map[string]string{
		`{"os":"linux","architecture":"amd64"}`:                "[linux/amd64] 37+8",
		`{"os":"linux","architecture":"arm64","variant":"v8"}`: "[linux/arm64/v8] 52+8",
		`{}`:    "[] 2+8",
		`text`:  "[] 4+8",
		`[1,2]`: "[] 5+8",
	} {
		timed(t, func(w *world) {
			g := configured(config)
			pushed := time.Now()
			w.push(w.named("org/app"), g, "latest")
			time.Sleep(time.Hour)
			i, err := w.item()
			w.ok(err)
			got := fmt.Sprintf("%v %d+8", i.Platforms, i.Size-8)
			if got != want || i.Digest != g.top.Digest || i.MediaType != oci.MediaTypeImageManifest || !i.Modified.Equal(pushed) {
				t.Errorf("%s: %s of %+v, want %s", config, got, i, want)
			}
		})
	}
}

func TestItemOfAnIndex(t *testing.T) {
	timed(t, func(w *world) {
		child := image("child")
		describe := func(platform string) string {
			return `{"mediaType":"` + oci.MediaTypeImageManifest + `","digest":"` + child.top.Digest.String() + `","size":1` + platform + `}`
		}
		index, err := oci.NewManifest(oci.MediaTypeImageIndex, []byte(`{"manifests":[`+strings.Join([]string{
			describe(`,"platform":{"os":"linux","architecture":"amd64"}`),
			describe(`,"platform":{"os":"linux","architecture":"arm","variant":"v7"}`),
			describe(`,"platform":{"os":"linux","architecture":"amd64"}`),
			describe(`,"platform":{"os":"unknown","architecture":"unknown"}`),
			describe(``),
		}, ",")+`]}`), oci.SHA256)
		w.ok(err)
		name := w.named("org/app")
		w.push(name, child)
		w.ok(w.PutManifest(w.Context(), name, index, tagOf("latest")))
		i, err := w.item()
		w.ok(err)
		if got := strings.Join(i.Platforms, " "); got != "linux/amd64 linux/arm/v7" || i.Size != 0 {
			t.Errorf("%s, %d bytes", got, i.Size)
		}
	})
}

// What is damaged or lacks is no fault here, but for the tag itself.
func TestItemThatIsDamaged(t *testing.T) {
	for what, tt := range map[string]struct {
		do   func(w *world, g *goods)
		want error
	}{
		"no manifest":        {func(w *world, g *goods) { w.ok(w.store.Delete(w.Context(), blobObject("_local", g.top.Digest))) }, nil},
		"a damaged manifest": {func(w *world, g *goods) { w.put(blobObject("_local", g.top.Digest), "{") }, nil},
		"a damaged tag":      {func(w *world, g *goods) { w.put(recordObject(w.named("org/app"), "latest"), "{") }, oci.ManifestUnknown},
	} {
		timed(t, func(w *world) {
			g := configured("{}")
			w.push(w.named("org/app"), g, "latest")
			tt.do(w, g)
			if i, err := w.item(); err != tt.want && (tt.want == nil || err == nil || !strings.Contains(err.Error(), tt.want.Error())) || i.Platforms != nil {
				t.Errorf("%s: %+v, %v, want %v", what, i, err, tt.want)
			}
		})
	}
}

func TestUnfinished(t *testing.T) {
	timed(t, func(w *world) {
		begun := time.Now()
		w.begin(w.named("org/app"), "12345")
		w.begin(w.named("quay.io//org/app"), "123")
		w.put("_local/uploads/damaged", "{")
		w.put("_local/uploads/original/1", "x")
		time.Sleep(time.Hour)
		var got []string
		for u, err := range w.Unfinished(w.Context()) {
			w.ok(err)
			got = append(got, fmt.Sprint(u.Name, " ", u.Size))
			if !u.Begun.Equal(begun) || !u.Modified.Equal(begun) {
				t.Errorf("%+v, want it of %v", u, begun)
			}
		}
		if want := []string{"org/app 5", "quay.io/org/app 3"}; !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	})
}
