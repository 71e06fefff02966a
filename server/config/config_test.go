package config

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"opendev.org/zuul/zuul-registry/server/namespace"
	"opendev.org/zuul/zuul-registry/server/peer"
)

const key = "0123456789abcdef0123456789abcdef"

func load(t *testing.T, environ ...string) Config {
	t.Helper()
	c, err := Load(environ)
	if err != nil {
		t.Fatalf("Load(%q): %v", environ, err)
	}
	return c
}

// localHosts are the default of TLS_HOSTS here.
func localHosts() []string {
	hosts := []string{"localhost", "127.0.0.1", "::1"}
	if name, err := os.Hostname(); err == nil && peer.IsHost(name) && !slices.Contains(hosts, name) {
		hosts = append(hosts, name)
	}
	return hosts
}

func TestDefaults(t *testing.T) {
	want := Config{
		Address:       ":9000",
		TLS:           true,
		TLSCert:       "data/tls/cert.pem",
		TLSKey:        "data/tls/cert.key",
		TLSHosts:      localHosts(),
		Username:      "zuul",
		AnonymousRead: true,
		TokenLifetime: time.Hour,
		Storage:       Filesystem,
		StorageRoot:   "data/storage",
		SwiftPartSize: 16 << 20, SwiftConnections: 8, SwiftRetries: 7,
		StorageSync: true,
		Namespacing: namespace.Auto,
		Upstreams: Upstreams{
			"docker.io":       "https://registry-1.docker.io",
			"quay.io":         "https://quay.io",
			"gcr.io":          "https://gcr.io",
			"ghcr.io":         "https://ghcr.io",
			"registry.k8s.io": "https://registry.k8s.io",
		},
		UpstreamTagTTL:  5 * time.Minute,
		UpstreamTimeout: 30 * time.Second,
		PruneUploadAge:  24 * time.Hour,
		PruneCacheAge:   7 * 24 * time.Hour,
		CopyTimeout:     time.Minute,
		LogLevel:        slog.LevelInfo,
		LogFormat:       Text,
	}
	if c := load(t, "PATH=/bin", "ZUUL_REGISTRYTLS=no", "TLS=no", "odd"); !reflect.DeepEqual(c, want) {
		t.Errorf("nothing set: %+v, want %+v", c, want)
	}
	var empty []string
	for _, v := range want.Describe() {
		empty = append(empty, v.Name+"=", v.Name+"_FILE=")
	}
	if c := load(t, empty...); !reflect.DeepEqual(c, want) {
		t.Errorf("all set to nothing: %+v, want %+v", c, want)
	}
}

func TestEveryVariable(t *testing.T) {
	c := load(t,
		"ZUUL_REGISTRY_ADDRESS=[fe80::1%eth0]:443",
		"ZUUL_REGISTRY_PUSH_ADDRESS=:9001",
		"ZUUL_REGISTRY_PUBLIC_URL=HTTPS://registry.example.com:8443/",
		"ZUUL_REGISTRY_TLS=off",
		"ZUUL_REGISTRY_TLS_CERT=/tls/it's a cert.pem",
		"ZUUL_REGISTRY_TLS_KEY=/tls/key=1.pem",
		"ZUUL_REGISTRY_TLS_HOSTS=registry, my_registry,10.0.0.1,registry,fd00::1",
		"ZUUL_REGISTRY_USERNAME=zoë smith",
		"ZUUL_REGISTRY_PASSWORD= p=:\n$HOME,\xff",
		"ZUUL_REGISTRY_WRITERS_HTPASSWD=/writers",
		"ZUUL_REGISTRY_READERS_HTPASSWD=/readers",
		"ZUUL_REGISTRY_ANONYMOUS_READ=0",
		"ZUUL_REGISTRY_SECRET="+key,
		"ZUUL_REGISTRY_TOKEN_LIFETIME=90s",
		"ZUUL_REGISTRY_STORAGE=filesystem",
		"ZUUL_REGISTRY_STORAGE_ROOT=/storage",
		"ZUUL_REGISTRY_STORAGE_SYNC=false",
		"ZUUL_REGISTRY_SWIFT_CONTAINER=my images",
		"ZUUL_REGISTRY_SWIFT_PART_SIZE=1GiB",
		"ZUUL_REGISTRY_SWIFT_CONNECTIONS=1000",
		"ZUUL_REGISTRY_SWIFT_RETRIES=20",
		"ZUUL_REGISTRY_NAMESPACING=path",
		"ZUUL_REGISTRY_UPSTREAMS=quay.io=https://mirror.example.com/, docker.io=http://[::1]:5000",
		"ZUUL_REGISTRY_UPSTREAM_AUTH_FILE=/auth.json",
		"ZUUL_REGISTRY_UPSTREAM_CA_FILE=/ca.pem",
		"ZUUL_REGISTRY_UPSTREAM_TAG_TTL=0",
		"ZUUL_REGISTRY_UPSTREAM_TIMEOUT=1m",
		"ZUUL_REGISTRY_PRUNE_MANIFEST_AGE=30d",
		"ZUUL_REGISTRY_PRUNE_UPLOAD_AGE=1h",
		"ZUUL_REGISTRY_PRUNE_CACHE_AGE=1d12h",
		"ZUUL_REGISTRY_PRUNE_INTERVAL=1m",
		"ZUUL_REGISTRY_PRUNE_DRY_RUN=true",
		"ZUUL_REGISTRY_CHECK_QUARANTINE=true",
		"ZUUL_REGISTRY_COPY_SOURCE_AUTH_FILE=/from.json",
		"ZUUL_REGISTRY_COPY_SOURCE_CA_FILE=/from.pem",
		"ZUUL_REGISTRY_COPY_DESTINATION_AUTH_FILE=/to.json",
		"ZUUL_REGISTRY_COPY_DESTINATION_CA_FILE=/to.pem",
		"ZUUL_REGISTRY_COPY_TIMEOUT=5m",
		"ZUUL_REGISTRY_REPORT_REQUIRE_SPECULATIVE=quay.io/org/app:1,alpine",
		"ZUUL_REGISTRY_REPORT_CLIENTS=10.0.0.1,fd00::1",
		"ZUUL_REGISTRY_REPORT_JSON=/report.json",
		"ZUUL_REGISTRY_REPORT_PAGE=/report.html",
		"ZUUL_REGISTRY_REPORT_AUTH_FILE=/report-auth.json",
		"ZUUL_REGISTRY_REPORT_CA_FILE=/report.pem",
		"ZUUL_REGISTRY_LOG_LEVEL=debug",
		"ZUUL_REGISTRY_LOG_FORMAT=json",
		"ZUUL_REGISTRY_LOG_FORMAT=text", // as for os.Getenv the first counts
	)
	want := Config{
		Address:                 "[fe80::1%eth0]:443",
		PushAddress:             ":9001",
		PublicURL:               "https://registry.example.com:8443",
		TLSCert:                 "/tls/it's a cert.pem",
		TLSKey:                  "/tls/key=1.pem",
		TLSHosts:                []string{"registry", "my_registry", "10.0.0.1", "fd00::1"},
		Username:                "zoë smith",
		Password:                " p=:\n$HOME,\xff",
		WritersHtpasswd:         "/writers",
		ReadersHtpasswd:         "/readers",
		Secret:                  key,
		TokenLifetime:           90 * time.Second,
		Storage:                 Filesystem,
		StorageRoot:             "/storage",
		SwiftContainer:          "my images",
		SwiftPartSize:           1 << 30,
		SwiftConnections:        1000,
		SwiftRetries:            20,
		Namespacing:             namespace.Path,
		Upstreams:               Upstreams{"docker.io": "http://[::1]:5000", "quay.io": "https://mirror.example.com"},
		UpstreamAuthFile:        "/auth.json",
		UpstreamCAFile:          "/ca.pem",
		UpstreamTimeout:         time.Minute,
		PruneManifestAge:        30 * 24 * time.Hour,
		PruneUploadAge:          time.Hour,
		PruneCacheAge:           36 * time.Hour,
		PruneInterval:           time.Minute,
		PruneDryRun:             true,
		CheckQuarantine:         true,
		CopySourceAuthFile:      "/from.json",
		CopySourceCAFile:        "/from.pem",
		CopyDestinationAuthFile: "/to.json",
		CopyDestinationCAFile:   "/to.pem",
		CopyTimeout:             5 * time.Minute,
		ReportRequire:           []string{"quay.io/org/app:1", "alpine"},
		ReportClients:           []string{"10.0.0.1", "fd00::1"},
		ReportJSON:              "/report.json",
		ReportPage:              "/report.html",
		ReportAuthFile:          "/report-auth.json",
		ReportCAFile:            "/report.pem",
		LogLevel:                slog.LevelDebug,
		LogFormat:               JSON,
	}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("%+v\nwant %+v", c, want)
	}
}

func TestGoodValues(t *testing.T) {
	for name, values := range map[string][]string{
		"ADDRESS":          {":0", "localhost:65535", "0.0.0.0:9000", "[::]:9000", "registry.example.com:1"},
		"PUBLIC_URL":       {"http://localhost", "http://127.0.0.1:9000", "https://[::1]", "https://[fd00::1]:9000"},
		"TLS_HOSTS":        {"a", "a.example.com", "0123456789", "fd00::1", "<hostname>"},
		"ANONYMOUS_READ":   {"true", "false", "1", "0", "TRUE"},
		"TOKEN_LIFETIME":   {"1ns", "1h30m", "48h", "30d", "1d12h", "0d1s", "65535d"},
		"NAMESPACING":      {"auto", "path", "none"},
		"UPSTREAM_TAG_TTL": {"0", "0s", "0d", "1ns", "48h", "2d"},
		"LOG_LEVEL":        {"debug", "info", "warn", "error"},
	} {
		for _, value := range values {
			load(t, Prefix+name+"="+value)
		}
	}
}

func TestDescribe(t *testing.T) {
	c := load(t, "ZUUL_REGISTRY_PASSWORD=hunter2", "ZUUL_REGISTRY_TLS=off",
		"ZUUL_REGISTRY_TOKEN_LIFETIME=90m", "ZUUL_REGISTRY_LOG_LEVEL=warn",
		"ZUUL_REGISTRY_UPSTREAMS=quay.io=https://quay.io/", "ZUUL_REGISTRY_UPSTREAM_TAG_TTL=0")
	var lines []string
	for _, v := range c.Describe() {
		lines = append(lines, fmt.Sprintf("%s [%s] [%s]", v.Name, v.Default, v.Value))
		if v.Meaning == "" || strings.ContainsAny(v.Meaning, "\n|") {
			t.Errorf("meaning of %s: %q, want one line for a table", v.Name, v.Meaning)
		}
	}
	want := strings.Split(`ZUUL_REGISTRY_ADDRESS [:9000] [:9000]
ZUUL_REGISTRY_PUSH_ADDRESS [] []
ZUUL_REGISTRY_PUBLIC_URL [] []
ZUUL_REGISTRY_TLS [on] [off]
ZUUL_REGISTRY_TLS_CERT [data/tls/cert.pem] [data/tls/cert.pem]
ZUUL_REGISTRY_TLS_KEY [data/tls/cert.key] [data/tls/cert.key]
ZUUL_REGISTRY_TLS_HOSTS [localhost,127.0.0.1,::1,<hostname>] [`+strings.Join(localHosts(), ",")+`]
ZUUL_REGISTRY_USERNAME [zuul] [zuul]
ZUUL_REGISTRY_PASSWORD [] [***]
ZUUL_REGISTRY_WRITERS_HTPASSWD [] []
ZUUL_REGISTRY_READERS_HTPASSWD [] []
ZUUL_REGISTRY_ANONYMOUS_READ [true] [true]
ZUUL_REGISTRY_SECRET [] []
ZUUL_REGISTRY_TOKEN_LIFETIME [1h] [1h30m]
ZUUL_REGISTRY_STORAGE [filesystem] [filesystem]
ZUUL_REGISTRY_STORAGE_ROOT [data/storage] [data/storage]
ZUUL_REGISTRY_STORAGE_SYNC [true] [true]
ZUUL_REGISTRY_SWIFT_CONTAINER [] []
ZUUL_REGISTRY_SWIFT_PART_SIZE [16MiB] [16MiB]
ZUUL_REGISTRY_SWIFT_CONNECTIONS [8] [8]
ZUUL_REGISTRY_SWIFT_RETRIES [7] [7]
ZUUL_REGISTRY_NAMESPACING [auto] [auto]
ZUUL_REGISTRY_UPSTREAMS [docker.io=https://registry-1.docker.io,quay.io=https://quay.io,gcr.io=https://gcr.io,ghcr.io=https://ghcr.io,registry.k8s.io=https://registry.k8s.io] [quay.io=https://quay.io]
ZUUL_REGISTRY_UPSTREAM_AUTH_FILE [] []
ZUUL_REGISTRY_UPSTREAM_CA_FILE [] []
ZUUL_REGISTRY_UPSTREAM_TAG_TTL [5m] [0s]
ZUUL_REGISTRY_UPSTREAM_TIMEOUT [30s] [30s]
ZUUL_REGISTRY_PRUNE_MANIFEST_AGE [] []
ZUUL_REGISTRY_PRUNE_UPLOAD_AGE [24h] [24h]
ZUUL_REGISTRY_PRUNE_CACHE_AGE [168h] [168h]
ZUUL_REGISTRY_PRUNE_INTERVAL [] []
ZUUL_REGISTRY_PRUNE_DRY_RUN [false] [false]
ZUUL_REGISTRY_CHECK_QUARANTINE [false] [false]
ZUUL_REGISTRY_COPY_SOURCE_AUTH_FILE [] []
ZUUL_REGISTRY_COPY_SOURCE_CA_FILE [] []
ZUUL_REGISTRY_COPY_DESTINATION_AUTH_FILE [] []
ZUUL_REGISTRY_COPY_DESTINATION_CA_FILE [] []
ZUUL_REGISTRY_COPY_TIMEOUT [1m] [1m]
ZUUL_REGISTRY_REPORT_REQUIRE_SPECULATIVE [] []
ZUUL_REGISTRY_REPORT_CLIENTS [] []
ZUUL_REGISTRY_REPORT_JSON [] []
ZUUL_REGISTRY_REPORT_PAGE [] []
ZUUL_REGISTRY_REPORT_AUTH_FILE [] []
ZUUL_REGISTRY_REPORT_CA_FILE [] []
ZUUL_REGISTRY_METRICS_ADDRESS [] []
ZUUL_REGISTRY_LOG_LEVEL [info] [warn]
ZUUL_REGISTRY_LOG_FORMAT [text] [text]`, "\n")
	if !slices.Equal(lines, want) {
		t.Errorf("Describe:\n%s\nwant:\n%s", strings.Join(lines, "\n"), strings.Join(want, "\n"))
	}
}

// Durations are shown as people write them, and read back.
func TestDurations(t *testing.T) {
	for text, want := range map[string]string{
		"90s": "1m30s", "1h": "1h", "24h0m0s": "24h", "1d": "24h", "7d": "168h", "168h1m": "7d1m",
		"8d": "8d", "720h": "30d", "10d12h": "10d12h", "30d30m": "30d30m", "365d0h1s": "365d1s", "0d1ns": "1ns",
	} {
		c := load(t, "ZUUL_REGISTRY_TOKEN_LIFETIME="+text)
		got := showDuration(c.TokenLifetime)
		if got != want {
			t.Errorf("%s is shown as %s, want %s", text, got, want)
		}
		if again := load(t, "ZUUL_REGISTRY_TOKEN_LIFETIME="+got); again.TokenLifetime != c.TokenLifetime {
			t.Errorf("%s, shown as %s, is read as %v", text, got, again.TokenLifetime)
		}
	}
}

func TestDescribeWithoutValues(t *testing.T) {
	for i, v := range (Config{}).Describe() {
		loaded := load(t).Describe()[i]
		if loaded.Value = v.Value; v != loaded {
			t.Errorf("the zero Config describes %+v, a loaded one %+v", v, loaded)
		}
	}
}

func TestEveryFieldHasAKind(t *testing.T) {
	for _, s := range settings(reflect.ValueOf(Config{})) {
		if s.name == "" || s.kind.parse == nil || s.kind.allowed == "" {
			t.Errorf("field %s: env %q, kind %q", s.Name, s.name, s.Tag.Get("kind"))
		}
	}
}

// What is accepted is printed so that it is accepted again, as the same.
func FuzzLoad(f *testing.F) {
	for _, v := range (Config{}).Describe() {
		name := strings.TrimPrefix(v.Name, Prefix)
		f.Add(name, v.Default)
		f.Add(name, "https://[::1]:443/")
		f.Add(name+"X", "\x00\n")
	}
	f.Fuzz(func(t *testing.T, name, text string) {
		if strings.Contains(name, "_FILE") {
			return // it would read any file
		}
		c, err := Load([]string{Prefix + name + "=" + text})
		if err != nil {
			var fault Fault
			if !errors.As(err, &fault) || strings.Contains(err.Error(), "\n") {
				t.Fatalf("%q is not one fault in one line", err)
			}
			return
		}
		var printed []string
		for _, v := range c.Describe() {
			printed = append(printed, v.Name+"="+v.Value)
		}
		if c.Password != "" || c.Secret != "" {
			return // not printed
		}
		again, err := Load(printed)
		if err != nil {
			t.Fatalf("%q loads, but not as printed: %v", text, err)
		}
		if !reflect.DeepEqual(again, c) {
			t.Fatalf("%q loads as %+v, but printed as %+v", text, c, again)
		}
	})
}

func write(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "value")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
