package conformance

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What is no pair of names is wrong usage, and nothing is asked of anybody.
func TestCopyUsage(t *testing.T) {
	t.Parallel()
	const secret = "hunter2-hunter2"
	c := newCourier(t)
	c.secrets[secret] = true
	for _, tt := range []struct {
		args string
		says []string
	}{
		{"", []string{"pairs", "SRC DST"}},
		{"quay.io/a", []string{"pairs", "not 1"}},
		{"quay.io/a quay.io/b quay.io/c", []string{"pairs", "not 3"}},
		{"alpine quay.io/a", []string{"argument 1", "did you mean docker.io/alpine?"}},
		{"quay.io/a org/app:1", []string{"argument 2", "did you mean docker.io/org/app:1?"}},
		{"quay.io/a quay.io/b@" + strings.Repeat("a", 3), []string{"argument 2"}},
		{"quay.io/a quay.io/b@" + blobOf(nil).digest, []string{"argument 2", "digest", "tag"}},
		{"quay.io/a quay.io/b quay.io/c quay.io/b:latest", []string{"argument 4", "quay.io/b:latest", "two images"}},
		{"https://zuul:" + secret + "@quay.io/a quay.io/b", []string{"argument 1", "credentials"}},
		{"quay.io/a zuul:" + secret + "@quay.io/b", []string{"argument 2", "credentials"}},
		{"oci:/tmp quay.io/b", []string{"argument 1", "allowed"}},
	} {
		c.t = t
		r := c.copies(strings.Fields(tt.args)...).fails(2, tt.says...)
		if r.stdout != "" {
			t.Errorf("copy %s says %q", tt.args, r.stdout)
		}
	}
}

// So is a file that is named and cannot be used, whatever names it.
func TestCopyWithBadFiles(t *testing.T) {
	t.Parallel()
	const secret = "hunter2-hunter2"
	for _, variable := range []string{
		"ZUUL_REGISTRY_COPY_SOURCE_AUTH_FILE", "ZUUL_REGISTRY_COPY_DESTINATION_AUTH_FILE", "REGISTRY_AUTH_FILE",
		"ZUUL_REGISTRY_COPY_SOURCE_CA_FILE", "ZUUL_REGISTRY_COPY_DESTINATION_CA_FILE",
	} {
		c := newCourier(t)
		c.secrets[secret] = true
		for _, path := range []string{filepath.Join(c.home, "none"), c.write("bad", []byte(`{"auths":{"quay.io":{"auth":"`+secret+`"}}}`))} {
			c.environ[variable] = path
			c.copies("quay.io/a", "quay.io/b").fails(2, variable, path)
		}
	}
	c := newCourier(t)
	bad := c.write(".docker/config.json", []byte("no JSON"))
	c.copies("quay.io/a", "quay.io/b").fails(2, bad)
}

// credentialHelper is a program as Docker asks for credentials: it knows one registry.
const credentialHelper = `#!/bin/sh
read host
[ "$1 $host" = "get $ADDRESS" ] && printf '{"Username": "%s", "Secret": "%s"}' "$USERNAME" "$SECRET"
`

// credentialPlaces are where credentials may be. The courier is told right and wrong
// ones for an address.
var credentialPlaces = []struct {
	name string
	put  func(c *courier, address string, right, wrong []byte)
	good bool
}{
	{"none", func(*courier, string, []byte, []byte) {}, false},
	{"Docker's", func(c *courier, _ string, right, _ []byte) { c.write(".docker/config.json", right) }, true},
	{"Docker's elsewhere", func(c *courier, _ string, right, wrong []byte) {
		c.write(".docker/config.json", wrong)
		c.environ["DOCKER_CONFIG"] = filepath.Dir(c.write("elsewhere/config.json", right))
	}, true},
	{"Podman's before Docker's", func(c *courier, _ string, right, wrong []byte) {
		c.write(".docker/config.json", wrong)
		c.write("run/containers/auth.json", right)
	}, true},
	{"Docker's, where Podman's has others", func(c *courier, _ string, right, _ []byte) {
		c.write(".docker/config.json", right)
		c.write("run/containers/auth.json", []byte(`{"auths":{"quay.io":{"auth":"YTpi"}}}`))
	}, true},
	{"Podman's permanent ones", func(c *courier, _ string, right, _ []byte) { c.write(".config/containers/auth.json", right) }, true},
	{"REGISTRY_AUTH_FILE before all of them", func(c *courier, _ string, right, wrong []byte) {
		c.write("run/containers/auth.json", wrong)
		c.environ["REGISTRY_AUTH_FILE"] = c.write("mine.json", right)
	}, true},
	{"the side's before that", func(c *courier, _ string, right, wrong []byte) {
		c.environ["REGISTRY_AUTH_FILE"] = c.write("theirs.json", wrong)
		c.sets("COPY_DESTINATION_AUTH_FILE", c.write("mine.json", right))
	}, true},
	{"the other side's", func(c *courier, _ string, right, _ []byte) {
		c.sets("COPY_SOURCE_AUTH_FILE", c.write("mine.json", right))
	}, false},
	{"a helper's", func(c *courier, address string, _, _ []byte) {
		if err := os.Chmod(c.write("bin/docker-credential-test", []byte(credentialHelper)), 0o700); err != nil {
			c.t.Fatal(err)
		}
		c.write(".docker/config.json", []byte(`{"credHelpers":{"`+address+`":"test"}}`))
		c.environ["PATH"] += ":" + filepath.Join(c.home, "bin")
		c.environ["ADDRESS"], c.environ["USERNAME"], c.environ["SECRET"] = address, writerName, writerPassword
	}, true},
	{"the repository's before the registry's", func(c *courier, address string, _, _ []byte) {
		c.knows(address, writerName, "a wrong password").knows(address+"/conformance", writerName, writerPassword)
	}, true},
	{"another repository's", func(c *courier, address string, _, _ []byte) {
		c.knows(address+"/other", writerName, writerPassword)
	}, false},
}

// Credentials come from the file that is named for the side, or from
// $REGISTRY_AUTH_FILE, or from where Podman and Docker have them.
func TestCopyFindsCredentials(t *testing.T) {
	t.Parallel()
	from, there := newRepository(t, public), start(t, nil)
	image := from.image("image")
	from.tag("1", image)
	entry := func(password string) []byte {
		text, err := os.ReadFile(filepath.Join(newCourier(t).knows(there.address, writerName, password).home, ".docker/config.json"))
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	for _, tt := range credentialPlaces {
		t.Run(tt.name, func(t *testing.T) {
			c := newCourier(t).trusts(public, there)
			tt.put(c, there.address, entry(writerPassword), entry("a wrong password"))
			c.secrets[writerPassword] = true
			to := newRepository(t, there)
			r := c.copies(from.ref("1"), to.ref("1"))
			if tt.good {
				r.succeeds()
				to.serves("1", image)
				return
			}
			r.fails(1, to.ref("1")+": access refused", "no credentials for \""+there.address+"\"", "ZUUL_REGISTRY_COPY_DESTINATION_AUTH_FILE")
			to.lacks("1")
		})
	}
}

// Who is refused is told which file the credentials are from.
func TestCopyWithWrongCredentials(t *testing.T) {
	t.Parallel()
	private := start(t, map[string]string{"ANONYMOUS_READ": "false"})
	for _, side := range []string{"source", "destination"} {
		t.Run(side, func(t *testing.T) {
			c := newCourier(t).writes(public).trusts(private).knows(private.address, writerName, "a wrong password")
			open, closed := newRepository(t, public), newRepository(t, private)
			for _, r := range []*repository{open, closed} {
				r.tag("1", r.image("image"))
			}
			file := filepath.Join(c.home, ".docker/config.json")
			if side == "source" {
				c.copies(closed.ref("1"), open.ref("2")).fails(1, closed.ref("1")+": access refused (status 401)", file, private.address)
			} else {
				c.copies(open.ref("1"), closed.ref("2")).fails(1, closed.ref("2")+": access refused (status 401)", file, private.address)
			}
		})
	}
}

// Upstreams that demand credentials in any way get them, and others do not.
func TestCopyFromGates(t *testing.T) {
	t.Parallel()
	to := newRepository(t, public)
	for _, gate := range gates {
		up := newUpstream(t)
		image := up.tagged("org/app", "1")
		up.demands(gate.scheme, gate.user, gate.password)
		up.isSent(customerName, customerPassword)
		c := newCourier(t).writes(public).knows(up.address(), customerName, customerPassword)
		c.copies("http://"+up.address()+"/org/app:1", to.ref("1")).succeeds()
		to.serves("1", image.manifest)
	}
}

// A certificate that nobody is known to have signed is not trusted, and there are
// places to put the one of who did.
func TestCopyTrust(t *testing.T) {
	t.Parallel()
	here, there := start(t, nil), start(t, map[string]string{"TLS_HOSTS": "127.0.0.1"})
	from, to := newRepository(t, here), newRepository(t, there)
	image := from.image("image")
	from.tag("1", image)
	known := func() *courier { return newCourier(t).knows(there.address, writerName, writerPassword) }

	known().copies(from.ref("1"), to.ref("1")).fails(1, from.ref("1")+": ", "certificate is not trusted",
		"/etc/containers/certs.d/"+here.address+"/ca.crt", "ZUUL_REGISTRY_COPY_SOURCE_CA_FILE")
	known().sets("COPY_SOURCE_CA_FILE", there.settings["TLS_CERT"]).copies(from.ref("1"), to.ref("1")).
		fails(1, from.ref("1")+": ", "certificate is not trusted", "ZUUL_REGISTRY_COPY_SOURCE_CA_FILE")
	named := func() *courier {
		return known().sets("COPY_SOURCE_CA_FILE", here.settings["TLS_CERT"], "COPY_DESTINATION_CA_FILE", there.settings["TLS_CERT"])
	}
	other := strings.Replace(to.ref("1"), "127.0.0.1", "localhost", 1) // which its certificate is not for
	named().copies(from.ref("1"), other).fails(1, other+": ", "certificate is not good for it", "localhost")
	named().copies(from.ref("1"), to.ref("1")).succeeds()
	to.serves("1", image)
}

// Each failure says what to do.
func TestCopyFailures(t *testing.T) {
	t.Parallel()
	plain := start(t, map[string]string{"TLS": "off"})
	private := start(t, map[string]string{"ANONYMOUS_READ": "false"})
	from, to := newRepository(t, public), newRepository(t, plain)
	from.tag("1", from.image("image"))
	up := newUpstream(t)
	old, other := newUpstream(t), newUpstream(t)
	old.tagged("org/app", "1")
	old.fails(says("Content-Type", dockerSchema1), getTag)
	other.tagged("org/app", "1")
	other.fails(says("Content-Type", "text/plain"), getTag)
	up.tag("org/part", "1", indexOf(manifest{ociImage, blobOf([]byte("lost"))}).manifest())
	readOnly := start(t, map[string]string{"TLS": "off", "PUSH_ADDRESS": "127.0.0.1:0"})
	origin := "http://" + up.address()
	for _, tt := range []struct {
		rule, from, to string
		says           []string
	}{
		{"no such tag", from.ref("none"), to.ref("1"), []string{from.ref("none") + ": image not found"}},
		{"no such repository", public.address + "/none/none", to.ref("1"), []string{"none/none:latest: image not found"}},
		{"no such digest", from.ref(blobOf(nil).digest), to.ref("1"), []string{from.ref(blobOf(nil).digest) + ": image not found"}},
		{"private, and nobody knows me", private.address + "/org/app", to.ref("1"),
			[]string{"access refused", "ZUUL_REGISTRY_COPY_SOURCE_AUTH_FILE", ".docker/config.json"}},
		{"HTTP and not HTTPS", plain.address + "/org/app", to.ref("1"), []string{plain.address, "http://"}},
		{"HTTPS and not HTTP", "http://" + public.address + "/org/app", to.ref("1"), []string{public.address, "http://"}},
		{"schema 1", "http://" + old.address() + "/org/app:1", to.ref("1"), []string{old.address() + "/org/app:1: ", "schema 1"}},
		{"no image", "http://" + other.address() + "/org/app:1", to.ref("1"), []string{other.address() + "/org/app:1: ", "text/plain"}},
		{"a part of an image", origin + "/org/part:1", to.ref("1"), []string{origin + "/org/part:1: ", "manifest " + sha256Of([]byte("lost")) + " not found"}},
		{"nothing can be pushed there", from.ref("1"), readOnly.repository(t, "org/app").ref("1"), []string{readOnly.address, "405", "pushed"}},
		{"a name that the registry does not have", from.ref("1"), plain.repository(t, "org/app").ref("1") + strings.Repeat("x", 128), []string{"argument 2"}},
	} {
		t.Run(tt.rule, func(t *testing.T) {
			t.Parallel()
			c := newCourier(t).writes(public, plain, readOnly).trusts(private)
			code := 1
			if strings.HasPrefix(tt.says[0], "argument") {
				code = 2
			}
			c.copies(tt.from, tt.to).fails(code, tt.says...)
			to.in(t).get("/tags/list").expect(http.StatusNotFound)
		})
	}
}
