package conformance

import (
	"net/http"
	"testing"
)

// The base endpoint is how clients learn whether and where to log in.
func TestBase(t *testing.T) {
	t.Parallel()
	loggedIn := bearer(public.askToken(t, asWriter()).expect(http.StatusOK).token())
	reading := bearer(public.askToken(t, nobody, "repository:conformance/any:pull").expect(http.StatusOK).token())
	tests := []struct {
		rule string
		who  identity
		want int
	}{
		{"without credentials there is a challenge, although everybody may read", nobody, http.StatusUnauthorized},
		{"a password is good", asWriter(), http.StatusOK},
		{"the token of a login is good", loggedIn, http.StatusOK},
		{"a token for reading is good", reading, http.StatusOK},
		{"a wrong password is not", basic(writerName, "a wrong password"), http.StatusUnauthorized},
		{"an unknown user is not", basic("somebody", writerPassword), http.StatusUnauthorized},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			a := public.request(t, http.MethodGet, "/v2/").as(tt.who).expect(tt.want)
			if tt.want != http.StatusUnauthorized {
				return
			}
			c, err := a.challenge("Bearer")
			if err != nil {
				t.Fatal(err)
			}
			if realm := "https://" + public.address + "/auth/token"; c["realm"] != realm || c["service"] == "" {
				t.Errorf("the challenge is %q, want realm %s and a service", a.get("WWW-Authenticate"), realm)
			}
		})
	}
}

// A registry behind a proxy is known under another address than it listens on.
func TestRealm(t *testing.T) {
	t.Parallel()
	proxied := start(t, map[string]string{"PUBLIC_URL": "https://registry.example:5000"})
	tests := []struct {
		rule   string
		server *server
		host   string
		realm  string
	}{
		{"the realm is where the request went", public, "registry.test:9000", "https://registry.test:9000/auth/token"},
		{"PUBLIC_URL goes before", proxied, "registry.test:9000", "https://registry.example:5000/auth/token"},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			a := tt.server.request(t, http.MethodGet, "/v2/").at(tt.host).expect(http.StatusUnauthorized)
			if c, err := a.challenge("Bearer"); err != nil || c["realm"] != tt.realm {
				t.Errorf("the challenge is %q, %v; want the realm %s", a.get("WWW-Authenticate"), err, tt.realm)
			}
		})
	}
}

func TestHealth(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/healthz", "/readyz"} {
		public.request(t, http.MethodGet, path).expect(http.StatusOK)
		public.request(t, http.MethodHead, path).expect(http.StatusOK)
	}
}

// Every route names the methods that it has, and does nothing for others.
func TestWrongMethod(t *testing.T) {
	t.Parallel()
	repo := newRepository(t, public)
	image := repo.image("image")
	repo.tag("latest", image)
	own := "/v2/" + repo.name
	tests := []struct{ method, path string }{
		{http.MethodPut, "/v2/"},
		{http.MethodDelete, "/v2/"},
		{http.MethodPost, "/v2/_catalog"},
		{http.MethodDelete, "/v2/_catalog"},
		{http.MethodPost, own + "/manifests/latest"},
		{http.MethodPatch, own + "/manifests/latest"},
		{http.MethodPut, own + "/blobs/" + image.digest},
		{http.MethodPost, own + "/blobs/" + image.digest},
		{http.MethodGet, own + "/blobs/uploads/"},
		{http.MethodPut, own + "/blobs/uploads/"},
		{http.MethodPost, own + "/tags/list"},
		{http.MethodDelete, own + "/tags/list"},
		{http.MethodPut, own + "/referrers/" + image.digest},
		{http.MethodDelete, own + "/referrers/" + image.digest},
		{http.MethodDelete, "/auth/token"},
	}
	for _, tt := range tests {
		t.Run(tt.method+tt.path, func(t *testing.T) {
			public.request(t, tt.method, tt.path).as(asWriter()).refused("UNSUPPORTED", http.StatusMethodNotAllowed)
		})
	}
	repo.serves("latest", image)
}

func TestUnknownRoute(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/nothing", "/v1/search", "/v2/conformance/app/nothing", "/auth"} {
		public.request(t, http.MethodGet, path).as(asWriter()).expect(http.StatusNotFound)
	}
}

// Clients add parameters of their own; those that the registry does not know
// change nothing.
func TestUnknownParameters(t *testing.T) {
	t.Parallel()
	repo := newRepository(t, public)
	image, layer := repo.image("image"), repo.text("another layer")
	repo.putManifest("latest", image).query("colour", "blue").expect(http.StatusCreated)
	repo.post("/blobs/uploads/").query("digest", layer.digest).query("colour", "blue").
		content(layer.content).expect(http.StatusCreated)
	repo.get("/manifests/latest").query("colour", "blue").expect(http.StatusOK).holds(image.content)
	repo.get("/blobs/"+layer.digest).query("colour", "blue").expect(http.StatusOK).holds(layer.content)
	repo.get("/tags/list").query("colour", "blue").expect(http.StatusOK)
	repo.get("/referrers/"+image.digest).query("colour", "blue").expect(http.StatusOK).lacks("OCI-Filters-Applied")
	public.request(t, http.MethodGet, "/v2/").as(asWriter()).query("colour", "blue").expect(http.StatusOK)
	public.askToken(t, nobody, "repository:"+repo.name+":pull").query("account", "me").expect(http.StatusOK)
}
