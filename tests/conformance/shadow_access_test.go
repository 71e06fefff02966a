package conformance

import (
	"io"
	"net"
	"net/http"
	"testing"
)

// What grants tokens may fail as well, and is then as bad as an upstream that
// does.
func TestShadowWithoutToken(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		rule  string
		fault fault
	}{
		{"it hangs", hangs},
		{"it hangs up", hangsUp},
		{"it has a fault", answers(http.StatusInternalServerError)},
		{"it has had too many requests", answers(http.StatusTooManyRequests)},
		{"it shows a page for people", showsPage},
		{"it has no token", sends([]byte("{}"))},
		{"it never ends", neverEnds(http.StatusOK, "application/json", `{"token": "`)},
		{"it leads in a circle", leadsAstray},
	} {
		t.Run(tt.rule, func(t *testing.T) {
			t.Parallel()
			up := newUpstream(t)
			image := up.tagged("org/app", "latest")
			up.demands("Bearer", "", "")
			up.fails(tt.fault, askToken)
			mirror := shadow(t, up, "UPSTREAM_TIMEOUT", "1s")
			reader := mirror.reader(t, "org/app")
			reader.get("/manifests/latest").unavailable()
			reader.get("/blobs/" + image.layer.digest).unavailable()
			mirror.keepsNothing(t)
			mirror.logs(t, "docker.io", "org/app")
		})
	}
}

// An upstream with a certificate of its own is trusted by who was told to.
func TestShadowOverTLS(t *testing.T) {
	t.Parallel()
	t.Run("with the authority", func(t *testing.T) {
		t.Parallel()
		up := newSecureUpstream(t)
		image := up.tagged("org/app", "latest")
		up.demands("Bearer", customerName, customerPassword)
		mirror := shadow(t, up, "UPSTREAM_CA_FILE", up.authority(), "UPSTREAM_AUTH_FILE", authFile(t, up.address()))
		mirror.reader(t, "org/app").servesAll("latest", image)
	})
	t.Run("without", func(t *testing.T) {
		t.Parallel()
		up := newSecureUpstream(t)
		up.tagged("org/app", "latest")
		mirror := shadow(t, up, "UPSTREAM_TIMEOUT", "2s")
		mirror.reader(t, "org/app").get("/manifests/latest").unavailable()
		up.wasLeftAlone(t)
		mirror.logs(t, "docker.io", "certificate")
	})
}

// proxy is an HTTP proxy that leads to an upstream, whatever name it is asked
// for.
func proxy(t *testing.T, u *upstream) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect {
			u.ServeHTTP(w, r)
			return
		}
		there, err := net.Dial("tcp", u.address())
		if err != nil {
			t.Error(err)
			return
		}
		w.WriteHeader(http.StatusOK)
		here, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		go func() {
			_, _ = io.Copy(there, here)
			_ = there.Close()
		}()
		_, _ = io.Copy(here, there)
		_ = here.Close()
	})}
	t.Cleanup(func() { _ = p.Close() })
	go func() { _ = p.Serve(listener) }()
	return "http://" + listener.Addr().String()
}

// Where only a proxy gets out, the registry gets out by it. The upstreams here
// have names that only the proxy knows.
func TestShadowThroughAProxy(t *testing.T) {
	t.Parallel()
	for _, scheme := range []string{"http", "https"} {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			settings := map[string]string{"UPSTREAMS": "docker.io=" + scheme + "://registry.example.com"}
			up := newUpstream(t)
			variable := "HTTP_PROXY="
			if scheme == "https" {
				up = newSecureUpstream(t)
				settings["UPSTREAM_CA_FILE"] = up.authority()
				variable = "HTTPS_PROXY="
			}
			image := up.tagged("org/app", "latest")
			place, err := newInstallation(t.TempDir(), settings)
			if err != nil {
				t.Fatal(err)
			}
			place.further = []string{variable + proxy(t, up)}
			mirror := place.startFor(t)
			mirror.reader(t, "org/app").servesAll("latest", image)
			for _, c := range up.asked() {
				if c.host != "registry.example.com" {
					t.Errorf("the upstream was asked as %s, want registry.example.com", c.host)
				}
			}
		})
	}
}
