package conformance

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/crypto/bcrypt"
)

// The users of a private registry besides its writer.
const (
	readerName, readerPassword = "reader", "a reader's password"
	authorName, authorPassword = "author", "an author's pass:word"
)

// htpasswd writes a file with one user, whose password is hashed with bcrypt.
func htpasswd(t *testing.T, name, user, password string) string {
	t.Helper()
	hashed, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte("# users\n"+user+":"+string(hashed)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// private starts a registry that not everybody may read, and pushes an image.
func private(t *testing.T) (*repository, manifest) {
	t.Helper()
	s := start(t, map[string]string{
		"ANONYMOUS_READ":   "false",
		"READERS_HTPASSWD": htpasswd(t, "readers", readerName, readerPassword),
		"WRITERS_HTPASSWD": htpasswd(t, "writers", authorName, authorPassword),
	})
	repo := newRepository(t, s)
	image := repo.image("image")
	repo.tag("latest", image)
	return repo, image
}

// In a private registry, reading takes a user who may read, by password or by
// token, and nothing is said to others, not even what is there.
func TestPrivateRegistryIsRead(t *testing.T) {
	t.Parallel()
	repo, image := private(t)
	own := "/v2/" + repo.name
	reads := []struct{ method, path, resource, action string }{
		{http.MethodGet, own + "/manifests/latest", "repository:" + repo.name, "pull"},
		{http.MethodHead, own + "/manifests/" + image.digest, "repository:" + repo.name, "pull"},
		{http.MethodGet, own + "/blobs/" + repo.text("layer of image").digest, "repository:" + repo.name, "pull"},
		{http.MethodHead, own + "/blobs/" + repo.text("layer of image").digest, "repository:" + repo.name, "pull"},
		{http.MethodGet, own + "/tags/list", "repository:" + repo.name, "pull"},
		{http.MethodGet, own + "/referrers/" + image.digest, "repository:" + repo.name, "pull"},
		{http.MethodGet, "/v2/_catalog", "registry:catalog", "*"},
	}
	for _, tt := range reads {
		t.Run(tt.method+tt.path, func(t *testing.T) {
			q := func(who identity) *request { return repo.server.request(t, tt.method, tt.path).as(who) }
			for _, who := range []identity{nobody, basic(readerName, "a wrong password"), basic("stranger", readerPassword)} {
				q(who).refused("UNAUTHORIZED", http.StatusUnauthorized).demands(tt.resource, tt.action)
			}
			q(basic(readerName, readerPassword)).expect(http.StatusOK)
			q(&login{user: readerName, password: readerPassword}).expect(http.StatusOK)
			q(basic(authorName, authorPassword)).expect(http.StatusOK)
			q(&login{user: authorName, password: authorPassword}).expect(http.StatusOK)
			q(asWriter()).expect(http.StatusOK)
		})
	}
	missing := repo.server.repository(t, "conformance/not-there").as(nobody)
	missing.get("/manifests/latest").refused("UNAUTHORIZED", http.StatusUnauthorized)
}

// Ansible's uri module and the like answer nothing but a Basic challenge.
func TestCatalogOffersBasic(t *testing.T) {
	t.Parallel()
	repo, _ := private(t)
	a := repo.server.request(t, http.MethodGet, "/v2/_catalog").expect(http.StatusUnauthorized)
	if _, err := a.challenge("Basic"); err != nil {
		t.Error(err)
	}
}

// Writing takes a user who may write. A reader who asks for more gets no more.
func TestPrivateRegistryIsWritten(t *testing.T) {
	t.Parallel()
	repo, image := private(t)
	layer := repo.text("layer of image")
	writes := []struct {
		rule    string
		request func(r *repository) *request
		action  string
		granted int
	}{
		{"an upload", func(r *repository) *request { return r.post("/blobs/uploads/") }, "push", http.StatusAccepted},
		{"a blob in one request", func(r *repository) *request {
			return r.post("/blobs/uploads/").query("digest", layer.digest).content(layer.content)
		}, "push", http.StatusCreated},
		{"a tag", func(r *repository) *request { return r.putManifest("another", image) }, "push", http.StatusCreated},
		{"a tag's end", func(r *repository) *request { return r.delete("/manifests/another") }, "delete", http.StatusAccepted},
	}
	for _, tt := range writes {
		t.Run(tt.rule, func(t *testing.T) {
			for _, who := range []identity{nobody, basic(authorName, "a wrong password")} {
				tt.request(repo.as(who).in(t)).refused("UNAUTHORIZED", http.StatusUnauthorized).
					demands("repository:"+repo.name, tt.action)
			}
			tt.request(repo.as(basic(readerName, readerPassword)).in(t)).forbidden()
			tt.request(repo.as(&login{user: readerName, password: readerPassword}).in(t)).forbidden()
			tt.request(repo.as(&login{user: authorName, password: authorPassword}).in(t)).expect(tt.granted)
		})
	}
	repo.as(basic(authorName, authorPassword)).tag("basic", image)
	repo.serves("latest", image)
}

// In a private registry there is no token for nobody, and a token for one
// repository opens no other, not by way of a mount either.
func TestPrivateRegistryToken(t *testing.T) {
	t.Parallel()
	repo, image := private(t)
	s := repo.server
	other := newRepository(t, s)
	scope := func(r *repository, actions string) string { return "repository:" + r.name + ":" + actions }

	t.Run("reading needs a password", func(t *testing.T) {
		s.askToken(t, nobody, scope(repo, "pull")).expect(http.StatusUnauthorized)
		s.askToken(t, basic(readerName, "a wrong password"), scope(repo, "pull")).expect(http.StatusUnauthorized)
		s.askToken(t, nobody, "registry:catalog:*").expect(http.StatusUnauthorized)
	})
	t.Run("a token opens the repository that it names", func(t *testing.T) {
		here := bearer(s.askToken(t, basic(readerName, readerPassword), scope(repo, "pull")).expect(http.StatusOK).token())
		there := bearer(s.askToken(t, basic(readerName, readerPassword), scope(other, "pull")).expect(http.StatusOK).token())
		repo.as(here).in(t).serves("latest", image)
		repo.as(there).in(t).get("/manifests/latest").forbidden()
		repo.as(there).in(t).head("/manifests/latest").forbidden()
		s.request(t, http.MethodGet, "/v2/_catalog").as(here).forbidden()
	})
	t.Run("a mount needs to read where it takes from", func(t *testing.T) {
		layer := repo.text("layer of image")
		mount := func(scopes ...string) *request {
			who := bearer(s.askToken(t, basic(authorName, authorPassword), scopes...).expect(http.StatusOK).token())
			return other.as(who).in(t).post("/blobs/uploads/").query("mount", layer.digest).query("from", repo.name)
		}
		mount(scope(other, "pull,push")).expect(http.StatusAccepted, http.StatusUnauthorized, http.StatusForbidden)
		mount(scope(other, "pull,push"), scope(repo, "pull")).expect(http.StatusCreated)
	})
	t.Run("health is nobody's secret", func(t *testing.T) {
		s.request(t, http.MethodGet, "/healthz").expect(http.StatusOK)
		s.request(t, http.MethodGet, "/readyz").expect(http.StatusOK)
	})
}
