package swift_test

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"opendev.org/zuul/zuul-registry/server/storage/swift"
)

// keystone is one that lets in whoever asks, and a Swift beside it in which nothing is.
type keystone struct {
	*httptest.Server
	mu     sync.Mutex
	logins []string // paths and what was sent there
	used   []string // paths of Swift that were asked for
}

func newKeystone(t *testing.T, start func(http.Handler) *httptest.Server) *keystone {
	t.Helper()
	k := new(keystone)
	k.Server = start(k)
	t.Cleanup(k.Close)
	return k
}

func (k *keystone) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case strings.HasSuffix(r.URL.Path, "/auth/tokens"):
		k.logins = append(k.logins, r.URL.Path+" "+sentence(r))
		w.Header().Set("X-Subject-Token", "token")
		w.WriteHeader(http.StatusCreated)
		_ = json.NewEncoder(w).Encode(map[string]any{"token": map[string]any{
			"expires_at": time.Now().Add(time.Hour).UTC().Format(time.RFC3339),
			"catalog":    []any{map[string]any{"type": "object-store", "endpoints": k.endpoints()}},
		}})
	case strings.HasSuffix(r.URL.Path, "/v2.0/tokens"):
		k.logins = append(k.logins, r.URL.Path+" "+sentence(r))
		url := k.URL + "/RegionOne/public/v1/AUTH_a"
		_ = json.NewEncoder(w).Encode(map[string]any{"access": map[string]any{
			"token":          map[string]any{"id": "token", "expires": time.Now().Add(time.Hour).UTC().Format(time.RFC3339)},
			"serviceCatalog": []any{map[string]any{"type": "object-store", "endpoints": []any{map[string]any{"region": "RegionOne", "publicURL": url}}}},
		}})
	case r.Header.Get("X-Auth-Token") != "token":
		w.WriteHeader(http.StatusUnauthorized)
	default:
		k.used = append(k.used, r.Method+" "+r.URL.Path)
		if strings.HasSuffix(r.URL.Path, "/info") {
			_, _ = fmt.Fprint(w, `{"slo": {}}`)
		}
	}
}

func (k *keystone) endpoints() (all []any) {
	for _, region := range []string{"RegionOne", "RegionTwo"} {
		for _, kind := range []string{"admin", "internal", "public"} {
			all = append(all, map[string]any{"region": region, "interface": kind, "url": k.URL + "/" + region + "/" + kind + "/v1/AUTH_a"})
		}
	}
	return all
}

// sentence is the JSON that was sent, with its keys sorted.
func sentence(r *http.Request) string {
	var body any
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		return err.Error()
	}
	text, _ := json.Marshal(body)
	return string(text)
}

// opened opens a driver of the account that the environment describes.
func opened(t *testing.T) error {
	t.Helper()
	account, err := swift.AccountFromEnvironment()
	if err != nil {
		t.Fatal(err)
	}
	_, err = opens(t, account)
	return err
}

// authority is a file with the certificate of a server of HTTPS.
func authority(t *testing.T, s *httptest.Server) string {
	t.Helper()
	return file(t, "ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})))
}

func file(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
