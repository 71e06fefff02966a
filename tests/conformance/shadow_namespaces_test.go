package conformance

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// spelling is a way to name a repository in a request.
type spelling struct{ path, ns string }

func (s spelling) String() string {
	if s.ns == "" {
		return s.path
	}
	return s.path + "?ns=" + s.ns
}

// spelled is the writer's repository of that name.
func (s *server) spelled(t *testing.T, name spelling) *repository {
	repo := s.repository(t, name.path)
	repo.ns = name.ns
	return repo
}

// modes are the values of NAMESPACING.
var modes = []string{"auto", "path", "none"}

// meanings are what requests mean to the rest of the world, in each mode.
var meanings = map[string][]struct {
	asked spelling
	want  string // of which upstream; empty for none
}{
	"auto": {
		{spelling{"alpine", ""}, "docker.io/library/alpine"},
		{spelling{"library/alpine", ""}, "docker.io/library/alpine"},
		{spelling{"docker.io/alpine", ""}, "docker.io/library/alpine"},
		{spelling{"docker.io/library/alpine", ""}, "docker.io/library/alpine"},
		{spelling{"index.docker.io/library/alpine", ""}, "docker.io/library/alpine"},
		{spelling{"registry-1.docker.io/library/alpine", ""}, "docker.io/library/alpine"},
		{spelling{"library/alpine", "docker.io"}, "docker.io/library/alpine"},
		{spelling{"docker.io/library/alpine", "docker.io"}, "docker.io/library/alpine"},
		{spelling{"library/alpine", "registry-1.docker.io"}, "docker.io/library/alpine"},
		{spelling{"org/app", ""}, "docker.io/org/app"},
		{spelling{"quay.io", ""}, "docker.io/library/quay.io"}, // nothing follows the host
		{spelling{"quay.io/org/app", ""}, "quay.io/org/app"},
		{spelling{"org/app", "quay.io"}, "quay.io/org/app"},
		{spelling{"quay.io/org/app", "quay.io"}, "quay.io/org/app"},
		{spelling{"quay.io/app", ""}, "quay.io/app"},
		{spelling{"app", "quay.io"}, "quay.io/app"},
		{spelling{"unknown.example/org/app", ""}, ""},
		{spelling{"localhost/org/app", ""}, ""},
		{spelling{"org/app", "unknown.example"}, ""},
		{spelling{"org/app", "unknown.example:5000"}, ""},
	},
	"path": {
		{spelling{"alpine", ""}, ""},
		{spelling{"docker.io/library/alpine", ""}, "docker.io/library/alpine"},
		{spelling{"library/alpine", "docker.io"}, "docker.io/library/alpine"},
		{spelling{"docker.io/library/alpine", "docker.io"}, "docker.io/library/alpine"},
		{spelling{"docker.io/org/app", ""}, "docker.io/org/app"},
		{spelling{"quay.io/org/app", ""}, "quay.io/org/app"},
		{spelling{"org/app", "quay.io"}, "quay.io/org/app"},
		{spelling{"quay.io/org/app", "quay.io"}, "quay.io/org/app"},
		{spelling{"org/app", ""}, ""}, // namespace org
		{spelling{"library/alpine", ""}, ""},
		{spelling{"org/app", "unknown.example"}, ""},
	},
	"none": {
		{spelling{"alpine", ""}, "docker.io/library/alpine"},
		{spelling{"library/alpine", ""}, "docker.io/library/alpine"},
		{spelling{"docker.io/library/alpine", ""}, "docker.io/library/alpine"},
		{spelling{"org/app", ""}, "docker.io/org/app"},
		{spelling{"quay.io/org/app", ""}, "quay.io/org/app"},
		{spelling{"org/app", "quay.io"}, ""}, // from the store alone
		{spelling{"org/app", "docker.io"}, ""},
		{spelling{"unknown.example/org/app", ""}, ""},
	},
}

// What a request means depends on the mode, and on nothing else.
func TestShadowedRepository(t *testing.T) {
	t.Parallel()
	for _, mode := range modes {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			docker, quay := newUpstream(t), newUpstream(t)
			mirror := shadowAll(t, upstreams{"docker.io": docker, "quay.io": quay}, "NAMESPACING", mode)
			unasked := quay.tagged("org/unasked", "latest")
			images := map[string]picture{
				"docker.io/library/alpine":  docker.tagged("library/alpine", "latest"),
				"docker.io/library/quay.io": docker.tagged("library/quay.io", "latest"),
				"docker.io/org/app":         docker.tagged("org/app", "latest"),
				"quay.io/org/app":           quay.tagged("org/app", "latest"),
				"quay.io/app":               quay.tagged("app", "latest"),
			}
			for _, tt := range meanings[mode] {
				t.Run(tt.asked.String(), func(t *testing.T) {
					repo := mirror.spelled(t, tt.asked).as(nobody)
					if tt.want != "" {
						repo.servesAll("latest", images[tt.want])
						return
					}
					asked := docker.count() + quay.count()
					repo.lacks("latest")
					repo.lacksBlob(unasked.layer.digest)
					if got := docker.count() + quay.count(); got != asked {
						t.Errorf("upstreams were asked %d times for what is not theirs", got-asked)
					}
				})
			}
		})
	}
}

// Whatever spelling an image was pushed under, it is there under those that mean
// the same, and under no other.
func TestShadowSpellings(t *testing.T) {
	t.Parallel()
	same := map[string][][]spelling{
		"auto": {
			{
				{"alpine", ""}, {"library/alpine", ""}, {"docker.io/library/alpine", ""}, {"docker.io/alpine", ""},
				{"index.docker.io/library/alpine", ""}, {"registry-1.docker.io/library/alpine", ""},
				{"alpine", "docker.io"}, {"library/alpine", "docker.io"}, {"docker.io/library/alpine", "docker.io"},
				{"library/alpine", "index.docker.io"},
			},
			{{"org/app", ""}, {"docker.io/org/app", ""}, {"org/app", "docker.io"}, {"docker.io/org/app", "docker.io"}},
			{{"quay.io/org/app", ""}, {"org/app", "quay.io"}, {"quay.io/org/app", "quay.io"}},
			{{"localhost/org/app", ""}, {"org/app", "localhost"}},
			{{"org/app", "localhost:5000"}},
			{{"unknown.example/org/app", ""}, {"org/app", "unknown.example"}},
		},
		"path": {
			{{"docker.io/library/alpine", ""}, {"library/alpine", "docker.io"}, {"docker.io/library/alpine", "docker.io"}},
			{{"docker.io/org/app", ""}, {"org/app", "docker.io"}},
			{{"quay.io/org/app", ""}, {"org/app", "quay.io"}, {"quay.io/org/app", "quay.io"}},
			{{"org/app", ""}},
			{{"org/library/app", ""}},
		},
		"none": {
			{{"alpine", ""}, {"alpine", "docker.io"}},
			{{"library/alpine", ""}},
			{{"docker.io/library/alpine", ""}, {"docker.io/library/alpine", "docker.io"}},
			{{"org/app", ""}, {"org/app", "quay.io"}, {"org/app", "docker.io"}},
			{{"quay.io/org/app", ""}, {"quay.io/org/app", "quay.io"}},
		},
	}
	for _, mode := range modes {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			s := start(t, map[string]string{"NAMESPACING": mode})
			for n, names := range same[mode] {
				for m, name := range names {
					tag := fmt.Sprintf("pushed-%d-%d", n, m)
					pushed := s.spelled(t, name).pushes(tag)
					for other, others := range same[mode] {
						for _, asked := range others {
							reader := s.spelled(t, asked).as(nobody)
							if other != n {
								reader.lacks(tag)
								continue
							}
							reader.serves(tag, pushed)
							reader.serves(pushed.digest, pushed)
						}
					}
				}
			}
		})
	}
}

// What a registry answers leads back to the name as it was asked for: a client
// knows no other.
func TestShadowLocations(t *testing.T) {
	t.Parallel()
	for _, mode := range modes {
		s := start(t, map[string]string{"NAMESPACING": mode})
		for _, name := range []spelling{
			{"docker.io/library/alpine", ""}, {"quay.io/org/app", ""}, {"org/app", "quay.io"}, {"quay.io/org/app", "quay.io"},
		} {
			t.Run(mode+"/"+name.String(), func(t *testing.T) {
				repo := s.spelled(t, name)
				same := func(location string) {
					t.Helper()
					u, err := url.Parse(location)
					if err != nil || !strings.HasPrefix(u.Path, "/v2/"+name.path+"/") || u.Query().Get("ns") != name.ns {
						t.Errorf("%q, %v, does not lead back to %s", location, err, name)
					}
				}
				layer := repo.bulk("layer", 1_000)
				upload := repo.startUpload()
				same(upload.location)
				upload.follow(upload.patch().chunk(layer.content, 0, 500).expect(http.StatusAccepted), 500)
				same(upload.location)
				if got := upload.received(); got != 500 {
					t.Errorf("the upload has %d bytes, want 500", got)
				}
				same(upload.location)
				same(upload.commit(layer.digest).chunk(layer.content, 500, 1_000).expect(http.StatusCreated).location())
				same(repo.post("/blobs/uploads/").query("mount", layer.digest).expect(http.StatusCreated).location())
				image := imageOf(layer, layer).manifest()
				same(repo.tag("one", image).location())
				repo.tag("two", image)
				repo.tag("three", image)

				first := repo.as(nobody).get("/tags/list").query("n", "1")
				link := linkPattern.FindStringSubmatch(first.expect(http.StatusOK).get("Link"))
				if link == nil {
					t.Fatal("no Link to the second page")
				}
				same(link[1])
				pages(t, first, "tags", 1, []string{"one", "three", "two"})
				var list struct{ Name string }
				repo.get("/tags/list").expect(http.StatusOK).json(&list)
				if list.Name != name.path {
					t.Errorf("the list is of %q, want %s", list.Name, name.path)
				}
			})
		}
	}
}

// Whoever asks by ns is told that it was heard; others are not told of it.
func TestShadowNamespaceHeader(t *testing.T) {
	t.Parallel()
	docker, quay := newUpstream(t), newUpstream(t)
	image := quay.tagged("org/app", "latest")
	for _, mode := range []string{"auto", "path"} {
		mirror := shadowAll(t, upstreams{"docker.io": docker, "quay.io": quay}, "NAMESPACING", mode)
		repo := mirror.spelled(t, spelling{"org/app", "quay.io"}).as(nobody)
		for _, path := range []string{
			"/manifests/latest", "/manifests/" + image.digest, "/blobs/" + image.layer.digest, "/tags/list", "/referrers/" + image.digest,
		} {
			repo.get(path).expect(http.StatusOK).has("OCI-Namespace", "quay.io")
			mirror.reader(t, "quay.io/org/app").get(path).expect(http.StatusOK).lacks("OCI-Namespace")
		}
		repo.head("/manifests/latest").expect(http.StatusOK).has("OCI-Namespace", "quay.io")
	}
}

// Clients ask for tokens of the repository that is in their URL, and so does the
// challenge.
func TestShadowScope(t *testing.T) {
	t.Parallel()
	for _, mode := range modes {
		s := start(t, map[string]string{"NAMESPACING": mode, "ANONYMOUS_READ": "false"})
		for _, name := range []spelling{
			{"docker.io/library/alpine", ""}, {"library/alpine", "docker.io"}, {"quay.io/org/app", "quay.io"}, {"quay.io/org/app", ""},
		} {
			t.Run(mode+"/"+name.String(), func(t *testing.T) {
				repo := s.spelled(t, name)
				stranger, resource := repo.as(nobody), "repository:"+name.path
				stranger.get("/manifests/latest").expect(http.StatusUnauthorized).demands(resource, "pull")
				stranger.post("/blobs/uploads/").expect(http.StatusUnauthorized).demands(resource, "push")
				stranger.delete("/manifests/latest").expect(http.StatusUnauthorized).demands(resource, "delete")
				repo.serves("latest", repo.pushes("latest")) // with the token that the challenge leads to
			})
		}
	}
}

// In path mode a name without a namespace can be nothing: a pull misses, and a
// push is a mistake.
func TestShadowWithoutNamespace(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	image := up.tagged("library/alpine", "latest")
	mirror := shadow(t, up, "NAMESPACING", "path")
	repo := mirror.repository(t, "alpine").as(asWriter())
	repo.lacks("latest")
	repo.lacks(image.digest)
	repo.lacksBlob(image.layer.digest)
	repo.get("/tags/list").refused("NAME_UNKNOWN", http.StatusNotFound)
	for _, push := range []*request{
		repo.post("/blobs/uploads/"),
		repo.post("/blobs/uploads/").query("digest", image.config.digest).content(image.config.content),
		repo.putManifest("latest", image.manifest),
	} {
		push.refused("NAME_INVALID|NAME_UNKNOWN", http.StatusBadRequest)
	}
	up.wasLeftAlone(t)
}

// The catalog lists repositories by names that they can be asked for by.
func TestShadowCatalog(t *testing.T) {
	t.Parallel()
	pushed := []spelling{
		{"quay.io/org/app", ""}, {"docker.io/library/alpine", ""}, {"docker.io/org/app", ""}, {"library/busybox", "docker.io"}, {"org/other", "quay.io"},
	}
	for mode, want := range map[string][]string{
		"auto": {"library/alpine", "library/busybox", "org/app", "quay.io/org/app", "quay.io/org/other"},
		"path": {"docker.io/library/alpine", "docker.io/library/busybox", "docker.io/org/app", "quay.io/org/app", "quay.io/org/other"},
		"none": {"docker.io/library/alpine", "docker.io/org/app", "library/busybox", "org/other", "quay.io/org/app"},
	} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			up := newUpstream(t)
			mirror := shadow(t, up, "NAMESPACING", mode)
			for _, name := range pushed {
				mirror.spelled(t, name).pushes("latest")
			}
			mirror.reader(t, "docker.io/org/only-upstream").servesAll("latest", up.tagged("org/only-upstream", "latest"))
			catalog := func() *request { return mirror.request(t, http.MethodGet, "/v2/_catalog").as(asWriter()) }
			wantList(t, catalog(), "repositories", want)
			for size := 1; size <= len(want); size++ {
				pages(t, catalog().query("n", fmt.Sprint(size)), "repositories", size, want)
			}
			for _, name := range want {
				mirror.reader(t, name).head("/manifests/latest").expect(http.StatusOK)
			}
		})
	}
}

// A store is laid out by area and repository, so that what other versions wrote
// can be read.
func TestShadowStore(t *testing.T) {
	t.Parallel()
	for mode, want := range map[string][][2]string{
		"auto": {{"_local", "library/alpine"}, {"_local", "quay.io/org/app"}, {"_local", "org/app"}},
		"path": {{"docker.io", "library/alpine"}, {"quay.io", "org/app"}, {"docker.io", "org/app"}},
		"none": {{"_local", "docker.io/library/alpine"}, {"_local", "quay.io/org/app"}, {"_local", "docker.io/org/app"}},
	} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			s := start(t, map[string]string{"NAMESPACING": mode})
			for n, name := range []string{"docker.io/library/alpine", "quay.io/org/app", "docker.io/org/app"} {
				image := s.repository(t, name).pushes("latest")
				for _, reference := range []string{"latest", image.digest} {
					stores(t, s.record(want[n][0], want[n][1], reference))
				}
				if !slices.ContainsFunc(s.stored(t), func(path string) bool {
					return strings.HasSuffix(path, want[n][0]+"/blobs/"+image.digest+"/data")
				}) {
					t.Errorf("%s is not among the blobs of %s", image.digest, want[n][0])
				}
			}
		})
	}
}
