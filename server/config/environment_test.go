package config

import (
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"

	"opendev.org/zuul/zuul-registry/server/namespace"
)

func TestValuesOutOfFiles(t *testing.T) {
	for content, want := range map[string]string{
		"hunter2":         "hunter2",
		"hunter2\n":       "hunter2",
		"hunter2\r\n":     "hunter2",
		"hunter2\n\n":     "hunter2\n",
		"hunter2\r":       "hunter2\r",
		" hunter2 \nmore": " hunter2 \nmore",
	} {
		path := write(t, content)
		c := load(t, "ZUUL_REGISTRY_PASSWORD_FILE="+path, "ZUUL_REGISTRY_PASSWORD=")
		if string(c.Password) != want {
			t.Errorf("a file with %q gives %q, want %q", content, string(c.Password), want)
		}
	}
}

func TestEveryVariableMayBeInAFile(t *testing.T) {
	var environ []string
	want := Config{
		Address: ":1", PushAddress: ":2", PublicURL: "http://localhost", TLS: true, TLSCert: "cert", TLSKey: "key",
		TLSHosts: []string{"localhost", "::1"}, Username: "smith", Password: "hunter2",
		WritersHtpasswd: "writers", ReadersHtpasswd: "readers", Secret: key, TokenLifetime: time.Minute,
		Storage: Swift, StorageRoot: "root",
		SwiftContainer: "images", SwiftPartSize: 1 << 20, SwiftConnections: 1, SwiftRetries: 0,
		Namespacing: namespace.None, Upstreams: Upstreams{}, UpstreamAuthFile: "auth.json", UpstreamCAFile: "ca.pem",
		UpstreamTimeout:  time.Second,
		PruneManifestAge: 24000 * time.Hour, PruneUploadAge: 36 * time.Hour, PruneCacheAge: 1000 * time.Hour,
		PruneInterval: time.Minute, PruneDryRun: true, CheckQuarantine: true,
		CopySourceAuthFile: "from.json", CopySourceCAFile: "from.pem", CopyTimeout: time.Hour,
		CopyDestinationAuthFile: "to.json", CopyDestinationCAFile: "to.pem",
		ReportRequire: []string{"quay.io/org/app"}, ReportClients: []string{"::1"}, ReportJSON: "report.json", ReportPage: "report.html",
		ReportAuthFile: "report-auth.json", ReportCAFile: "report.pem",
		MetricsAddress: ":3", LogLevel: slog.LevelError, LogFormat: JSON,
	}
	for _, v := range want.Describe() {
		text := v.Value
		switch v.Name {
		case "ZUUL_REGISTRY_PASSWORD":
			text = string(want.Password)
		case "ZUUL_REGISTRY_SECRET":
			text = string(want.Secret)
		}
		environ = append(environ, v.Name+"_FILE="+write(t, text+"\n"))
	}
	if c := load(t, environ...); !reflect.DeepEqual(c, want) {
		t.Errorf("%+v, want %+v", c, want)
	}
}

func TestBadFiles(t *testing.T) {
	dir := t.TempDir()
	empty, newline, large := write(t, ""), write(t, "\r\n"), write(t, strings.Repeat("a", largest+1))
	word, pem, htpasswd := write(t, "hunter2\n"), write(t, "-----BEGIN\nhunter2\n"), write(t, "zuul:$2y$10$hunter2\n")
	docker := write(t, `{"auths":{"quay.io":{"auth":"hunter2"}}}`)
	const file = `, allowed: path of a file with the value`
	for _, c := range []struct{ name, path, line string }{
		{"PASSWORD", dir + "/none", `PASSWORD_FILE is %q, which cannot be read (no such file or directory)` + file},
		{"TLS", dir, `TLS_FILE is %q, which cannot be read (is a directory)` + file},
		{"PASSWORD", "a\nb", `PASSWORD_FILE is %q, which cannot be read (no such file or directory)` + file},
		{"PASSWORD", empty, `PASSWORD_FILE is %q, which is empty` + file},
		{"SECRET", newline, `SECRET_FILE is %q, which is empty` + file},
		{"PASSWORD", large, `PASSWORD_FILE is %q, which is larger than 1048576 bytes` + file},
		{"SECRET", word, `SECRET is 7 bytes long (read from %q), allowed: at least 32 bytes`},
		{"TLS", word, `TLS is 7 bytes long (read from %q), allowed: on or off`},
		{"TLS_KEY", pem, `TLS_KEY is the content of a file (read from %q), allowed: a path`},
		{"UPSTREAMS", word, `UPSTREAMS is 7 bytes long (read from %q), allowed: ` + upstreamsAllowed},
		{"UPSTREAM_AUTH_FILE", docker, `UPSTREAM_AUTH_FILE is the content of a file (read from %q), allowed: a path`},
		{"READERS_HTPASSWD", htpasswd, `READERS_HTPASSWD is the content of a file (read from %q), allowed: a path`},
	} {
		want := fmt.Sprintf(Prefix+c.line, c.path)
		if got := failure(t, Prefix+c.name+"_FILE="+c.path); got != want {
			t.Errorf("gave %s\nwant %s", got, want)
		}
	}
}

// A name that ends in _FILE may be a variable's own, beside one without.
func TestKnownNameThatEndsInFile(t *testing.T) {
	type later struct {
		Auth     string `env:"AUTH" kind:"text"`
		AuthFile string `env:"AUTH_FILE" kind:"path"`
	}
	var got later
	err := fill(&got, []string{"ZUUL_REGISTRY_AUTH=basic", "ZUUL_REGISTRY_AUTH_FILE=/auth.json"})
	if want := (later{"basic", "/auth.json"}); err != nil || got != want {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
}

func TestVariablesThatEndInFile(t *testing.T) {
	auth, ca := write(t, "hunter2"), write(t, "/ca.pem\n")
	c := load(t, "ZUUL_REGISTRY_UPSTREAM_AUTH_FILE="+auth, "ZUUL_REGISTRY_UPSTREAM_CA_FILE_FILE="+ca)
	if c.UpstreamAuthFile != auth || c.UpstreamCAFile != "/ca.pem" {
		t.Errorf("%q and %q, want %q and /ca.pem", c.UpstreamAuthFile, c.UpstreamCAFile, auth)
	}
	for entry, line := range map[string]string{
		"UPSTREAM_AUTH=hunter2": "UPSTREAM_AUTH is not known, did you mean ZUUL_REGISTRY_UPSTREAM_AUTH_FILE?",
		"UPSTREAM_CA=/ca.pem":   "UPSTREAM_CA is not known, did you mean ZUUL_REGISTRY_UPSTREAM_CA_FILE?",
	} {
		if got := failure(t, Prefix+entry); got != Prefix+line {
			t.Errorf("gave %s\nwant %s", got, Prefix+line)
		}
	}
	both := failure(t, "ZUUL_REGISTRY_UPSTREAM_CA_FILE=/ca.pem", "ZUUL_REGISTRY_UPSTREAM_CA_FILE_FILE="+ca)
	if want := "ZUUL_REGISTRY_UPSTREAM_CA_FILE and ZUUL_REGISTRY_UPSTREAM_CA_FILE_FILE are both set, allowed: one of them"; both != want {
		t.Errorf("gave %s\nwant %s", both, want)
	}
}

func TestUnknownNames(t *testing.T) {
	for name, meant := range map[string]string{
		"ADRESS":            "ADDRESS",
		"PORT":              "ADDRESS",
		"LISTEN_ADDRESS":    "ADDRESS",
		"LISTEN":            "ADDRESS",
		"PUSH_ADRESS":       "PUSH_ADDRESS",
		"NAMESPACE":         "NAMESPACING",
		"UPSTREAM":          "UPSTREAMS",
		"UPSTREAM_TTL":      "UPSTREAM_TAG_TTL",
		"TSL":               "TLS",
		"tls":               "TLS",
		"TLS_HOST":          "TLS_HOSTS",
		"TLS_CERTIFICATE":   "TLS_CERT",
		"CERT":              "TLS_CERT",
		"USER":              "USERNAME",
		"PASWORD":           "PASSWORD",
		"PASSWORDFILE":      "PASSWORD_FILE",
		"PASWORD_FILE":      "PASSWORD_FILE",
		"READER_HTPASSWORD": "READERS_HTPASSWD",
		"ANONYMOUS":         "ANONYMOUS_READ",
		"SECRETS":           "SECRET",
		"TOKEN_LIFE_TIME":   "TOKEN_LIFETIME",
		"ROOT":              "STORAGE_ROOT",
		"LOGFORMAT":         "LOG_FORMAT",
		"SERVICE_HOSTS":     "TLS_HOSTS",
	} {
		// Whatever it holds, which may be a secret.
		for _, text := range []string{"hunter2", "9000", ""} {
			want := Prefix + name + " is not known, did you mean " + Prefix + meant + "?"
			if got := failure(t, Prefix+name+"="+text); got != want {
				t.Errorf("gave %s\nwant %s", got, want)
			}
		}
	}
	if got := failure(t, "ZUUL_REGISTRY_"); !strings.HasPrefix(got, "ZUUL_REGISTRY_ is not known") {
		t.Errorf("the bare prefix: %s", got)
	}
	if got := failure(t, "ZUUL_REGISTRY_TL\nS=on"); !strings.HasPrefix(got, `ZUUL_REGISTRY_TL\nS is not known`) {
		t.Errorf("a newline in a name: %s", got)
	}
}

func TestOneSlipOfTheFinger(t *testing.T) {
	var known []string
	for _, s := range settings(reflect.ValueOf(Config{})) {
		known = append(known, s.name)
	}
	for _, name := range known {
		for i := range name {
			slips := []string{name[:i] + name[i+1:], name[:i] + "X" + name[i+1:], name[:i] + "X" + name[i:]}
			if i > 0 {
				slips = append(slips, name[:i-1]+name[i:i+1]+name[i-1:i]+name[i+1:])
			}
			for _, slip := range slips {
				if got := nearest(slip, known); got != name {
					t.Errorf("%s suggests %s, want %s", slip, got, name)
				}
			}
		}
	}
}

func TestKubernetesServices(t *testing.T) {
	for _, entry := range []string{
		"SERVICE_HOST=10.0.0.11",
		"SERVICE_PORT=9000",
		"SERVICE_PORT_REGISTRY=9000",
		"SERVICE_PORT_METRICS_2=9001",
		"PORT=tcp://10.0.0.11:9000",
		"PORT=udp://10.0.0.11:9000",
		"PORT_9000_TCP=tcp://10.0.0.11:9000",
		"PORT_9000_TCP_PROTO=tcp",
		"PORT_9000_TCP_PORT=9000",
		"PORT_9000_TCP_ADDR=10.0.0.11",
		"PORT_9000_UDP_ADDR=fd00::11",
		// a second Service, zuul-registry-metrics
		"METRICS_SERVICE_HOST=10.0.0.12",
		"METRICS_SERVICE_PORT_HTTP=9001",
		"METRICS_PORT=tcp://10.0.0.12:9001",
		"METRICS_PORT_9001_TCP_PORT=9001",
	} {
		load(t, Prefix+entry)
	}
	for _, entry := range []string{
		"PORT=9000", "METRICS_PORT=9001", "PORT_9000=tcp", "PORT_TCP=tcp", "PORT_9000_TCP_HOST=a", "SERVICE=a",
		"SERVICE_PORTS=1", "PORTS=tcp://10.0.0.11:9000",
	} {
		if got := failure(t, Prefix+entry); !strings.Contains(got, " is not known") {
			t.Errorf("%s gave %s", entry, got)
		}
	}
	for _, v := range (Config{}).Describe() {
		for _, name := range []string{v.Name, v.Name + "_FILE"} {
			if fromKubernetes(strings.TrimPrefix(name, Prefix), "tcp://10.0.0.11:9000") {
				t.Errorf("%s is a name that Kubernetes gives", name)
			}
		}
	}
}
