package config

import (
	"errors"
	"strings"
	"testing"
)

// Each entry sets one variable, and the line is the whole error.
func TestBadValues(t *testing.T) {
	const (
		address  = `, allowed: <host>:<port> or :<port>, with a port from 0 to 65535`
		url      = `, allowed: http:// or https:// and a host, maybe with a port; no user, path, query or fragment`
		hosts    = `, allowed: DNS names, IP addresses and <hostname>, with commas between them`
		username = `, allowed: a name without colon and control characters`
		duration = `, allowed: a duration above zero, such as 90s, 1h or 30d`
		path     = `, allowed: a path`
		age      = `, allowed: a duration such as 90s, 1h or 30d, or 0`
		grace    = `, allowed: a duration of at least 1h, such as 36h or 30d`
		interval = `, allowed: a duration of at least 1m, such as 1h or 1d`
		ups      = `, allowed: ` + upstreamsAllowed
		size     = `, allowed: a size from 1MiB to 1GiB, in MiB or GiB`
	)
	for _, c := range []struct{ entry, line string }{
		{`ADDRESS=9000`, `ADDRESS is "9000"` + address},
		{`ADDRESS=localhost`, `ADDRESS is "localhost"` + address},
		{`ADDRESS=:65536`, `ADDRESS is ":65536"` + address},
		{`ADDRESS=:-1`, `ADDRESS is ":-1"` + address},
		{`ADDRESS=:https`, `ADDRESS is ":https"` + address},
		{`ADDRESS=localhost:`, `ADDRESS is "localhost:"` + address},
		{`ADDRESS=*:9000`, `ADDRESS is "*:9000"` + address},
		{`ADDRESS=::1:9000`, `ADDRESS is "::1:9000"` + address},
		{`ADDRESS=10.0.0.256:9000`, `ADDRESS is "10.0.0.256:9000"` + address},
		{`ADDRESS=https://localhost:9000`, `ADDRESS is "https://localhost:9000"` + address},
		{"ADDRESS=:9000\n", `ADDRESS is ":9000\n"` + address},

		{`PUSH_ADDRESS=9001`, `PUSH_ADDRESS is "9001"` + address},

		{`PUBLIC_URL=registry.example.com`, `PUBLIC_URL is "registry.example.com"` + url},
		{`PUBLIC_URL=registry.example.com:9000`, `PUBLIC_URL is "registry.example.com:9000"` + url},
		{`PUBLIC_URL=ftp://localhost`, `PUBLIC_URL is "ftp://localhost"` + url},
		{`PUBLIC_URL=https://`, `PUBLIC_URL is "https://"` + url},
		{`PUBLIC_URL=https:localhost`, `PUBLIC_URL is "https:localhost"` + url},
		{`PUBLIC_URL=https://:9000`, `PUBLIC_URL is "https://:9000"` + url},
		{`PUBLIC_URL=https://localhost:`, `PUBLIC_URL is "https://localhost:"` + url},
		{`PUBLIC_URL=https://localhost:0`, `PUBLIC_URL is "https://localhost:0"` + url},
		{`PUBLIC_URL=https://localhost:99999`, `PUBLIC_URL is "https://localhost:99999"` + url},
		{`PUBLIC_URL=https://localhost/registry`, `PUBLIC_URL is "https://localhost/registry"` + url},
		{`PUBLIC_URL=https://localhost//`, `PUBLIC_URL is "https://localhost//"` + url},
		{`PUBLIC_URL=https://localhost?`, `PUBLIC_URL is "https://localhost?"` + url},
		{`PUBLIC_URL=https://localhost/?a=b`, `PUBLIC_URL is "https://localhost/?a=b"` + url},
		{`PUBLIC_URL=https://localhost/#`, `PUBLIC_URL is "https://localhost/#"` + url},
		{`PUBLIC_URL=https://::1`, `PUBLIC_URL is "https://::1"` + url},
		{`PUBLIC_URL=https://[localhost]:1`, `PUBLIC_URL is "https://[localhost]:1"` + url},
		{`PUBLIC_URL=https://[127.0.0.1]`, `PUBLIC_URL is "https://[127.0.0.1]"` + url},
		{`PUBLIC_URL=https://[fe80::1%25eth0]`, `PUBLIC_URL is "https://[fe80::1%25eth0]"` + url},
		{`PUBLIC_URL=https://local%68ost`, `PUBLIC_URL is "https://local%68ost"` + url},
		{`PUBLIC_URL=https://zuul:hunter2@localhost`, `PUBLIC_URL is a URL with a user` + url},

		{`TLS=yes`, `TLS is "yes", allowed: on or off`},
		{`TLS=true`, `TLS is "true", allowed: on or off`},
		{`TLS=ON`, `TLS is "ON", allowed: on or off`},
		{"TLS_KEY=-----BEGIN PRIVATE KEY-----\nhunter2", `TLS_KEY is the content of a file` + path},
		{`WRITERS_HTPASSWD=zuul:$2y$10$hunter2`, `WRITERS_HTPASSWD is the content of a file` + path},
		{"STORAGE_ROOT=data\t", `STORAGE_ROOT is the content of a file` + path},

		{`TLS_HOSTS=,`, `TLS_HOSTS is ","` + hosts},
		{`TLS_HOSTS=localhost,`, `TLS_HOSTS is "localhost,"` + hosts},
		{`TLS_HOSTS=a b`, `TLS_HOSTS is "a b"` + hosts},
		{`TLS_HOSTS=[::1]`, `TLS_HOSTS is "[::1]"` + hosts},
		{`TLS_HOSTS=fe80::1%eth0`, `TLS_HOSTS is "fe80::1%eth0"` + hosts},
		{`TLS_HOSTS=10.0.0.256`, `TLS_HOSTS is "10.0.0.256"` + hosts},
		{`TLS_HOSTS=-a.example.com`, `TLS_HOSTS is "-a.example.com"` + hosts},
		{`TLS_HOSTS=example.com.`, `TLS_HOSTS is "example.com."` + hosts},
		{`TLS_HOSTS=localhost:9000`, `TLS_HOSTS is "localhost:9000"` + hosts},
		{`TLS_HOSTS=zoë.example.com`, `TLS_HOSTS is "zoë.example.com"` + hosts},
		{`TLS_HOSTS=` + strings.Repeat("a", 64), `TLS_HOSTS is "` + strings.Repeat("a", 64) + `"` + hosts},
		{`TLS_HOSTS=` + strings.Repeat("a.", 126) + "aa", `TLS_HOSTS is "` + strings.Repeat("a.", 40) + `"… (254 bytes)` + hosts},

		{`USERNAME=zuul:hunter2`, `USERNAME is text with a colon` + username},
		{"USERNAME=zuul\n", `USERNAME is "zuul\n"` + username},
		{"USERNAME=\xff", `USERNAME is "\xff"` + username},
		{`SECRET=hunter2`, `SECRET is 7 bytes long, allowed: at least 32 bytes`},
		{`SECRET=` + key[1:], `SECRET is 31 bytes long, allowed: at least 32 bytes`},

		{`ANONYMOUS_READ=yes`, `ANONYMOUS_READ is "yes", allowed: true or false`},
		{`STORAGE_SYNC=off`, `STORAGE_SYNC is "off", allowed: true or false`},
		{`TOKEN_LIFETIME=60`, `TOKEN_LIFETIME is "60"` + duration},
		{`TOKEN_LIFETIME=0s`, `TOKEN_LIFETIME is "0s"` + duration},
		{`TOKEN_LIFETIME=-1h`, `TOKEN_LIFETIME is "-1h"` + duration},
		{`TOKEN_LIFETIME=d`, `TOKEN_LIFETIME is "d"` + duration},
		{`TOKEN_LIFETIME=0d`, `TOKEN_LIFETIME is "0d"` + duration},
		{`TOKEN_LIFETIME=-1d`, `TOKEN_LIFETIME is "-1d"` + duration},
		{`TOKEN_LIFETIME=1.5d`, `TOKEN_LIFETIME is "1.5d"` + duration},
		{`TOKEN_LIFETIME=12h1d`, `TOKEN_LIFETIME is "12h1d"` + duration},
		{`TOKEN_LIFETIME=1d1d`, `TOKEN_LIFETIME is "1d1d"` + duration},
		{`TOKEN_LIFETIME=1d-1h`, `TOKEN_LIFETIME is "1d-1h"` + duration},
		{`TOKEN_LIFETIME=1d+1h`, `TOKEN_LIFETIME is "1d+1h"` + duration},
		{`TOKEN_LIFETIME=1d 1h`, `TOKEN_LIFETIME is "1d 1h"` + duration},
		{`TOKEN_LIFETIME=1d60`, `TOKEN_LIFETIME is "1d60"` + duration},
		{`TOKEN_LIFETIME=65536d`, `TOKEN_LIFETIME is "65536d"` + duration},
		{`TOKEN_LIFETIME=65535d2562047h`, `TOKEN_LIFETIME is "65535d2562047h"` + duration},
		{`TOKEN_LIFETIME=9999999h`, `TOKEN_LIFETIME is "9999999h"` + duration},
		{`UPSTREAM_TIMEOUT=0`, `UPSTREAM_TIMEOUT is "0"` + duration},
		{`COPY_TIMEOUT=0`, `COPY_TIMEOUT is "0"` + duration},
		{`UPSTREAM_TAG_TTL=-1s`, `UPSTREAM_TAG_TTL is "-1s"` + age},
		{`UPSTREAM_TAG_TTL=60`, `UPSTREAM_TAG_TTL is "60"` + age},
		{`UPSTREAM_TAG_TTL=never`, `UPSTREAM_TAG_TTL is "never"` + age},
		{`PRUNE_MANIFEST_AGE=0`, `PRUNE_MANIFEST_AGE is "0"` + grace},
		{`PRUNE_MANIFEST_AGE=never`, `PRUNE_MANIFEST_AGE is "never"` + grace},
		{`PRUNE_UPLOAD_AGE=59m59s`, `PRUNE_UPLOAD_AGE is "59m59s"` + grace},
		{`PRUNE_CACHE_AGE=0`, `PRUNE_CACHE_AGE is "0"` + grace},
		{`PRUNE_INTERVAL=59s`, `PRUNE_INTERVAL is "59s"` + interval},
		{`PRUNE_DRY_RUN=yes`, `PRUNE_DRY_RUN is "yes", allowed: true or false`},
		{`CHECK_QUARANTINE=on`, `CHECK_QUARANTINE is "on", allowed: true or false`},

		{`UPSTREAMS=quay.io`, `UPSTREAMS is a list with "quay.io"` + ups},
		{`UPSTREAMS=off`, `UPSTREAMS is a list with "off"` + ups},
		{`UPSTREAMS=,`, `UPSTREAMS is a list with ""` + ups},
		{`UPSTREAMS=quay.io=https://quay.io,`, `UPSTREAMS is a list with ""` + ups},
		{`UPSTREAMS=quay.io=https://quay.io,none`, `UPSTREAMS is a list with "none"` + ups},
		{`UPSTREAMS=quay.io=https://quay.io gcr.io=https://gcr.io`, `UPSTREAMS is a list with "quay.io=https://quay.io gcr.io=https://gcr.io"` + ups},
		{`UPSTREAMS=quay.io:https://quay.io`, `UPSTREAMS is a list with "quay.io:https://quay.io"` + ups},
		{`UPSTREAMS=quay.io=quay.io`, `UPSTREAMS is a list with "quay.io=quay.io"` + ups},
		{`UPSTREAMS=quay.io=https://quay.io/v2/`, `UPSTREAMS is a list with "quay.io=https://quay.io/v2/"` + ups},
		{`UPSTREAMS=quay.io = https://quay.io`, `UPSTREAMS is a list with "quay.io = https://quay.io"` + ups},
		{`UPSTREAMS==https://quay.io`, `UPSTREAMS is a list with "=https://quay.io"` + ups},
		{`UPSTREAMS=Quay.io=https://quay.io`, `UPSTREAMS is a list with "Quay.io=https://quay.io"` + ups},
		{`UPSTREAMS=quay.io/org=https://quay.io`, `UPSTREAMS is a list with "quay.io/org=https://quay.io"` + ups},
		{`UPSTREAMS=quay.io:0=https://quay.io`, `UPSTREAMS is a list with "quay.io:0=https://quay.io"` + ups},
		{`UPSTREAMS=[::1]=https://quay.io`, `UPSTREAMS is a list with "[::1]=https://quay.io"` + ups},
		{`UPSTREAMS=index.docker.io=https://a`, `UPSTREAMS is a list with "index.docker.io=https://a"` + ups},
		{`UPSTREAMS=registry-1.docker.io=https://a`, `UPSTREAMS is a list with "registry-1.docker.io=https://a"` + ups},
		{`UPSTREAMS=quay.io=https://a,gcr.io=https://b, quay.io=https://c`, `UPSTREAMS is a list with "quay.io=https://c"` + ups},
		{`UPSTREAMS=quay.io=https://quay.io,gcr.io=https://zuul:hunter,2@gcr.io`, `UPSTREAMS is a list with a user in a URL` + ups},
		{`UPSTREAMS=` + strings.Repeat("a", 81), `UPSTREAMS is a list with "` + strings.Repeat("a", 80) + `"… (81 bytes)` + ups},
		{`UPSTREAM_AUTH_FILE={"auths":{}}`, `UPSTREAM_AUTH_FILE is the content of a file` + path},
		{`NAMESPACING=on`, `NAMESPACING is "on", allowed: auto, path or none`},
		{`STORAGE=s3`, `STORAGE is "s3", allowed: filesystem or swift`},
		{`SWIFT_CONTAINER=images/new`, `SWIFT_CONTAINER is "images/new", allowed: a name of at most 256 bytes without a slash`},
		{`SWIFT_PART_SIZE=16777216`, `SWIFT_PART_SIZE is "16777216"` + size},
		{`SWIFT_PART_SIZE=16MB`, `SWIFT_PART_SIZE is "16MB"` + size},
		{`SWIFT_PART_SIZE=0MiB`, `SWIFT_PART_SIZE is "0MiB"` + size},
		{`SWIFT_PART_SIZE=2GiB`, `SWIFT_PART_SIZE is "2GiB"` + size},
		{`SWIFT_PART_SIZE=-1MiB`, `SWIFT_PART_SIZE is "-1MiB"` + size},
		{`SWIFT_CONNECTIONS=0`, `SWIFT_CONNECTIONS is "0", allowed: a number from 1 to 1000`},
		{`SWIFT_CONNECTIONS=many`, `SWIFT_CONNECTIONS is "many", allowed: a number from 1 to 1000`},
		{`SWIFT_RETRIES=21`, `SWIFT_RETRIES is "21", allowed: a number from 0 to 20`},
		{`LOG_LEVEL=INFO`, `LOG_LEVEL is "INFO", allowed: debug, info, warn or error`},
		{`LOG_LEVEL=info+1`, `LOG_LEVEL is "info+1", allowed: debug, info, warn or error`},
		{`LOG_FORMAT=xml`, `LOG_FORMAT is "xml", allowed: text or json`},
	} {
		if got := failure(t, Prefix+c.entry); got != Prefix+c.line {
			t.Errorf("%s\ngave %s\nwant %s", c.entry, got, Prefix+c.line)
		}
	}
}

func TestAllFaultsAreReported(t *testing.T) {
	missing := t.TempDir() + "/missing"
	got := failure(t,
		"ZUUL_REGISTRY_TLS=maybe",
		"ZUUL_REGISTRY_PASSWORD=hunter2", "ZUUL_REGISTRY_PASSWORD_FILE=/password",
		"ZUUL_REGISTRY_SECRET_FILE="+missing,
		"ZUUL_REGISTRY_ADRESS=:1", "ZUUL_REGISTRY_LOGLEVEL=info",
		"ZUUL_REGISTRY_ADDRESS=1",
	)
	want := `ZUUL_REGISTRY_PASSWORD and ZUUL_REGISTRY_PASSWORD_FILE are both set, allowed: one of them
ZUUL_REGISTRY_SECRET_FILE is "` + missing + `", which cannot be read (no such file or directory), allowed: path of a file with the value
ZUUL_REGISTRY_ADRESS is not known, did you mean ZUUL_REGISTRY_ADDRESS?
ZUUL_REGISTRY_LOGLEVEL is not known, did you mean ZUUL_REGISTRY_LOG_LEVEL?
ZUUL_REGISTRY_ADDRESS is "1", allowed: <host>:<port> or :<port>, with a port from 0 to 65535
ZUUL_REGISTRY_TLS is "maybe", allowed: on or off`
	if got != want {
		t.Errorf("gave\n%s\nwant\n%s", got, want)
	}
}

func TestFaultNamesTheVariable(t *testing.T) {
	_, err := Load([]string{"ZUUL_REGISTRY_TLS=maybe"})
	var fault Fault
	if !errors.As(err, &fault) || fault.Variable != "ZUUL_REGISTRY_TLS" {
		t.Errorf("%#v is not a Fault of ZUUL_REGISTRY_TLS", err)
	}
}

// failure is the text of the error that environ gives.
func failure(t *testing.T, environ ...string) string {
	t.Helper()
	c, err := Load(environ)
	if err == nil {
		t.Errorf("Load(%q) = %+v, want an error", environ, c)
		return ""
	}
	return err.Error()
}
