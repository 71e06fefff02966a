package upstream_test

import (
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"opendev.org/zuul/zuul-registry/server/oci"
	"opendev.org/zuul/zuul-registry/server/peer"
	"opendev.org/zuul/zuul-registry/server/upstream"
)

func TestFurtherAuthorities(t *testing.T) {
	t.Parallel()
	s := &there{T: t}
	s.Server = httptest.NewUnstartedServer(s.noting(sendsImage))
	s.Config.ErrorLog = nil
	s.StartTLS()
	t.Cleanup(s.Server.Close)

	_, err := s.open().GetManifest(t.Context(), "org/app", tag(t, "latest"))
	is(t, err, oci.Unavailable)
	if err == nil || !strings.Contains(err.Error(), "certificate is not trusted") {
		t.Errorf("a stranger's certificate: %v", err)
	}
	s.wasAsked()

	path := filepath.Join(t.TempDir(), "ca.pem")
	if _, err := peer.OpenAuthorities(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("without a file: %v", err)
	}
	write := func(content []byte) {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write([]byte("no certificate"))
	if _, err := peer.OpenAuthorities(path); err == nil {
		t.Error("a file without certificates is taken")
	}
	write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
	authorities, err := peer.OpenAuthorities(path)
	if err != nil {
		t.Fatal(err)
	}
	gives(t, s.open(func(o *upstream.Options) { o.Authorities = authorities }), "latest")
}

func TestURLsThatAreNone(t *testing.T) {
	for _, url := range []string{"", "quay.io", "ftp://quay.io", "https://", "http://%"} {
		if _, err := upstream.Open(upstream.Options{URLs: map[string]string{"quay.io": url}}); err == nil || !strings.Contains(err.Error(), "quay.io") {
			t.Errorf("%q: %v", url, err)
		}
	}
}

// proxied is set where the test binary is a client behind a proxy: Go reads a
// proxy's address but once in a process, and uses none for addresses of this host.
const proxied = "UPSTREAM_TEST_PROXIED"

func TestProxy(t *testing.T) {
	if os.Getenv(proxied) != "" {
		s := &there{T: t, Server: &httptest.Server{URL: "http://registry.example.invalid"}}
		gives(t, s.open(), "latest")
		return
	}
	t.Parallel()
	proxy := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Host == "registry.example.invalid" {
			sendsImage(w, r)
		}
	})
	client := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestProxy$")
	client.Env = append(os.Environ(), proxied+"=1", "HTTP_PROXY="+proxy.URL, "http_proxy="+proxy.URL, "NO_PROXY=", "no_proxy=")
	if said, err := client.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, said)
	}
	proxy.wasAsked(latest)
}

func TestUserAgent(t *testing.T) {
	t.Parallel()
	s := serve(t, sendsImage)
	gives(t, s.open(), "latest")
	if got := s.requests()[0].UserAgent(); got != "zuul-registry/test" {
		t.Errorf("the upstream takes us for %q", got)
	}
}

func TestRedirectsEnd(t *testing.T) {
	t.Parallel()
	s := serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, http.StatusFound) })
	_, err := s.open().GetManifest(t.Context(), "org/app", tag(t, "latest"))
	is(t, err, oci.Unavailable)
	if got := len(s.requests()); got != 3*6 && got != 6 { // each of the tries, of which there need be one
		t.Errorf("the upstream was asked %d times", got)
	}
}

// What fails by accident is asked for again, twice at most.
func TestAccidentsAreRetried(t *testing.T) {
	t.Parallel()
	for _, failures := range []int{2, 3} {
		t.Run(fmt.Sprint(failures), func(t *testing.T) {
			t.Parallel()
			left := failures
			s := serve(t, func(w http.ResponseWriter, r *http.Request) {
				left--
				switch {
				case left < 0:
					sendsImage(w, r)
				case left == 0:
					panic(http.ErrAbortHandler)
				default:
					w.Header().Set("Connection", "close") // Go itself tries again what fails on an old one
					w.WriteHeader(http.StatusBadGateway)
				}
			})
			r := s.open()
			if failures > 2 {
				_, err := r.GetManifest(t.Context(), "org/app", tag(t, "latest"))
				is(t, err, oci.Unavailable)
			} else {
				gives(t, r, "latest")
			}
			s.wasAsked(latest, latest, latest)
		})
	}
}

// A host that names a time is left alone until then.
func TestRetryAfter(t *testing.T) {
	t.Parallel()
	for _, status := range []int{http.StatusTooManyRequests, http.StatusServiceUnavailable} {
		for _, value := range []string{"1200", time.Now().Add(20 * time.Minute).UTC().Format(http.TimeFormat)} {
			s := serve(t, fails(status, "Retry-After", value))
			r := s.open()
			for range 2 {
				_, err := r.StatBlob(t.Context(), "org/app", imageDigest)
				is(t, err, oci.Unavailable)
				fault, _ := oci.AsError(err)
				_, text, _ := strings.Cut(fault.Message, "before ")
				if until, err := time.Parse(time.RFC3339, text); err != nil || time.Until(until).Round(time.Minute) != 20*time.Minute {
					t.Errorf("%d with %s: %v", status, value, fault)
				}
				if _, err := r.Tags(t.Context(), "org/other"); err == nil {
					t.Error("tags are listed")
				}
			}
			s.wasAsked("HEAD /v2/org/app/blobs/" + imageDigest.String())
		}
	}
	s := serve(t, fails(http.StatusTooManyRequests))
	r := s.open()
	for range 2 {
		_, err := r.GetManifest(t.Context(), "org/app", tag(t, "latest"))
		is(t, err, oci.Unavailable)
	}
	s.wasAsked(latest, latest) // it named no time, and is not asked twice for one thing
}
