package conformance

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"testing"
)

// The user of upstreams that know one.
const (
	customerName     = "customer"
	customerPassword = "a customer's pass:word"
)

// authFile writes credentials as "docker login" does, by registry.
func authFile(t *testing.T, registries ...string) string {
	t.Helper()
	auths := map[string]any{}
	for _, registry := range registries {
		auths[registry] = map[string]string{"auth": base64.StdEncoding.EncodeToString([]byte(customerName + ":" + customerPassword))}
	}
	text, err := json.Marshal(map[string]any{"auths": auths})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// gates are the ways in which upstreams demand credentials.
var gates = []struct{ name, scheme, user, password string }{
	{"nothing", "", "", ""},
	{"a token for everybody", "Bearer", "", ""},
	{"a token of a user", "Bearer", customerName, customerPassword},
	{"a password", "Basic", customerName, customerPassword},
}

// With credentials that the upstream accepts, its images are there.
func TestShadowWithCredentials(t *testing.T) {
	t.Parallel()
	for _, tt := range gates {
		t.Run("the upstream wants "+tt.name, func(t *testing.T) {
			t.Parallel()
			up, other := newUpstream(t), newUpstream(t) // which is sent none
			image := up.tagged("org/app", "latest")
			up.demands(tt.scheme, tt.user, tt.password)
			up.isSent(customerName, customerPassword)
			mirror := shadowAll(t, upstreams{"docker.io": up, "quay.io": other},
				"UPSTREAM_AUTH_FILE", authFile(t, up.address()), "UPSTREAM_TAG_TTL", "0")
			mirror.keepSecret(customerPassword)
			mirror.keepSecret("token-1-of-")
			reader := mirror.reader(t, "org/app")
			reader.servesAll("latest", image)
			reader.get("/tags/list").expect(http.StatusOK).lacks("Warning")
			reader.get("/referrers/" + image.digest).expect(http.StatusOK).lacks("Warning")
			if got := up.count(askToken); got > 1 {
				t.Errorf("the upstream was asked for %d tokens of one repository", got)
			}
			mirror.reader(t, "quay.io/org/app").lacks("latest")

			up.revokes() // what was granted
			reader.servesAll("latest", image)
			reader.get("/manifests/latest").expect(http.StatusOK).lacks("Warning")
			newer := up.image("org/app", "newer")
			up.tag("org/app", "latest", newer.manifest)
			reader.servesAll("latest", newer)
		})
	}
}

// locks are the ways in which upstreams refuse.
var locks = []struct {
	name string
	lock func(u *upstream)
}{
	{"demands a password", func(u *upstream) { u.demands("Basic", "owner", "the owner's") }},
	{"demands a token of its users", func(u *upstream) { u.demands("Bearer", "owner", "the owner's") }},
	{"grants tokens that open nothing", func(u *upstream) {
		u.demands("Bearer", "", "")
		u.fails(answers(http.StatusUnauthorized, "WWW-Authenticate",
			`Bearer realm="`+u.server.URL+`/token",service="`+upstreamService+`",scope="repository:org/app:pull"`),
			headTag, getTag, headManifest, getManifest, headBlob, getBlob, getPart, listTags, listReferrers)
	}},
	{"says 401 without a challenge", func(u *upstream) { u.fails(answers(http.StatusUnauthorized)) }},
	{"says 403", func(u *upstream) { u.fails(answers(http.StatusForbidden)) }},
}

// What is private upstream is a miss to clients, which cannot do anything about
// it. Whoever runs the registry can, and reads in the log what.
func TestShadowWithoutCredentials(t *testing.T) {
	t.Parallel()
	for _, tt := range locks {
		t.Run("the upstream "+tt.name, func(t *testing.T) {
			t.Parallel()
			up := newUpstream(t)
			image := up.tagged("org/app", "latest")
			tt.lock(up)
			mirror := shadow(t, up)
			for _, who := range []identity{nobody, basic("docker-hub-user", "docker-hub-password"), asWriter()} {
				repo := mirror.repository(t, "org/app").as(who)
				repo.get("/manifests/latest").refused("MANIFEST_UNKNOWN|NAME_UNKNOWN", http.StatusNotFound)
				repo.get("/manifests/"+image.digest).refused("MANIFEST_UNKNOWN|NAME_UNKNOWN", http.StatusNotFound)
				repo.get("/blobs/"+image.layer.digest).refused("BLOB_UNKNOWN|NAME_UNKNOWN", http.StatusNotFound)
				repo.head("/manifests/latest").expect(http.StatusNotFound)
				repo.head("/blobs/" + image.layer.digest).expect(http.StatusNotFound)
				repo.get("/tags/list").refused("NAME_UNKNOWN", http.StatusNotFound)
				wantReferrers(t, repo.get("/referrers/"+image.digest))
			}
			mirror.keepsNothing(t)
			mirror.logs(t, "docker.io", "ZUUL_REGISTRY_UPSTREAM_AUTH_FILE")
		})
	}
}

// Wrong credentials are as good as none, and the log says of which namespace.
func TestShadowWithWrongCredentials(t *testing.T) {
	t.Parallel()
	for _, scheme := range []string{"Basic", "Bearer"} {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			docker, quay := newUpstream(t), newUpstream(t)
			quay.tagged("org/app", "latest")
			quay.demands(scheme, customerName, "another password")
			mirror := shadowAll(t, upstreams{"docker.io": docker, "quay.io": quay}, "UPSTREAM_AUTH_FILE", authFile(t, quay.address()))
			quay.isSent(customerName, customerPassword)
			mirror.keepSecret(customerPassword)
			mirror.reader(t, "quay.io/org/app").lacks("latest")
			mirror.logs(t, "quay.io", "ZUUL_REGISTRY_UPSTREAM_AUTH_FILE")
		})
	}
}

// The credentials open private images to everybody who may read here, of which
// the start warns where that is everybody.
func TestShadowWithCredentialsWarns(t *testing.T) {
	t.Parallel()
	for anonymous, warns := range map[string]bool{"true": true, "false": false} {
		t.Run("ANONYMOUS_READ="+anonymous, func(t *testing.T) {
			t.Parallel()
			up := newUpstream(t)
			image := up.tagged("org/app", "latest")
			up.demands("Basic", customerName, customerPassword)
			mirror := shadow(t, up, "UPSTREAM_AUTH_FILE", authFile(t, up.address()), "ANONYMOUS_READ", anonymous)
			mirror.keepSecret(customerPassword)
			mirror.repository(t, "org/app").as(asWriter()).get("/manifests/latest").expect(http.StatusOK).holds(image.content)
			if !warns {
				mirror.reader(t, "org/app").get("/manifests/latest").refused("UNAUTHORIZED", http.StatusUnauthorized)
			}
			mirror.stop(t)
			if got := mirror.logged("level=WARN", "ZUUL_REGISTRY_UPSTREAM_AUTH_FILE"); got != warns {
				t.Errorf("the log warns of credentials for everybody: %t, want %t\n%s", got, warns, mirror.log)
			}
		})
	}
}

// A registry that not everybody may read asks no upstream for who may not.
func TestShadowOfAPrivateRegistry(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	image := up.tagged("org/app", "latest")
	mirror := shadow(t, up, "ANONYMOUS_READ", "false")
	stranger := mirror.reader(t, "org/app")
	for _, path := range []string{
		"/manifests/latest", "/manifests/" + image.digest, "/blobs/" + image.layer.digest, "/tags/list", "/referrers/" + image.digest,
	} {
		stranger.get(path).refused("UNAUTHORIZED", http.StatusUnauthorized).demands("repository:org/app", "pull")
	}
	up.wasLeftAlone(t)
	mirror.repository(t, "org/app").servesAll("latest", image)
}

// Whatever credentials clients have, the upstream sees none of them, and neither
// does who it leads to: see upstream.record.
func TestShadowKeepsCredentialsToItself(t *testing.T) {
	t.Parallel()
	for _, gate := range gates {
		t.Run("the upstream wants "+gate.name, func(t *testing.T) {
			t.Parallel()
			up := newUpstream(t)
			up.demands(gate.scheme, gate.user, gate.password)
			up.isSent(customerName, customerPassword)
			mirror := shadow(t, up, "UPSTREAM_AUTH_FILE", authFile(t, up.address()), "UPSTREAM_TAG_TTL", "0")
			mirror.keepSecret(customerPassword)
			for _, who := range []identity{
				basic("docker-hub-user", "docker-hub-password"), asWriter(),
				mirror.granted(t, asWriter(), "repository:org/app:pull,push"),
				mirror.granted(t, nobody, "repository:org/app:pull"),
			} {
				image := up.tagged("org/app", "latest")
				repo := mirror.repository(t, "org/app").as(who)
				cookie := func(q *request) *request { return q.header("Cookie", "session=of-the-client") }
				cookie(repo.get("/manifests/latest")).expect(http.StatusOK)
				cookie(repo.get("/blobs/" + image.layer.digest)).expect(http.StatusOK)
				cookie(repo.get("/tags/list")).expect(http.StatusOK)
				cookie(repo.get("/referrers/" + image.digest)).expect(http.StatusOK)
			}
			for _, c := range up.asked() {
				if c.header.Get("Cookie") != "" {
					t.Errorf("the upstream was sent a client's cookie for %s", c.kind)
				}
			}
		})
	}
}
