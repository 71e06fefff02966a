package transfer

import (
	"strings"
	"testing"
)

const (
	some256 = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	some512 = "sha512:cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce" +
		"47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e"
)

func TestReferences(t *testing.T) {
	for _, tt := range []struct{ text, printed, dialled, repository string }{
		{"quay.io/org/app", "quay.io/org/app:latest", "quay.io", "org/app"},
		{"docker://quay.io/org/app:1.0", "quay.io/org/app:1.0", "quay.io", "org/app"},
		{"https://quay.io/org/app:1.0", "quay.io/org/app:1.0", "quay.io", "org/app"},
		{"HTTPS://Quay.IO:443/org/app:A_b", "quay.io:443/org/app:A_b", "quay.io:443", "org/app"},
		{"http://registry:5000/app", "http://registry:5000/app:latest", "registry:5000", "app"},
		{"http://registry/app", "http://registry/app:latest", "registry", "app"},
		{"https://my_registry/a/b", "https://my_registry/a/b:latest", "my_registry", "a/b"},
		{"localhost/app", "localhost/app:latest", "localhost", "app"},
		{"registry:5000/app@" + some256, "registry:5000/app@" + some256, "registry:5000", "app"},
		{"10.0.0.1/app@" + some512, "10.0.0.1/app@" + some512, "10.0.0.1", "app"},
		{"[::1]:5000/org/app:1", "[::1]:5000/org/app:1", "[::1]:5000", "org/app"},
		{"docker://[2001:DB8::1]:5000/app", "[2001:db8::1]:5000/app:latest", "[2001:db8::1]:5000", "app"},
		{"http://[2001:db8::1]/app", "http://[2001:db8::1]/app:latest", "[2001:db8::1]", "app"},
		{"docker.io/alpine", "docker.io/library/alpine:latest", "registry-1.docker.io", "library/alpine"},
		{"docker://docker.io/org/app:1", "docker.io/org/app:1", "registry-1.docker.io", "org/app"},
		{"index.docker.io/alpine:3", "docker.io/library/alpine:3", "registry-1.docker.io", "library/alpine"},
		{"registry-1.docker.io/alpine", "docker.io/library/alpine:latest", "registry-1.docker.io", "library/alpine"},
		{"registry.example.com/docker.io/library/alpine", "registry.example.com/docker.io/library/alpine:latest", "registry.example.com", "docker.io/library/alpine"},
	} {
		r, err := ParseReference(tt.text)
		if err != nil {
			t.Errorf("%s: %v", tt.text, err)
			continue
		}
		if r.String() != tt.printed || r.host() != tt.dialled || r.Repository != tt.repository || r.Plain != strings.HasPrefix(tt.text, "http:") {
			t.Errorf("%s is %s, %s at %s, plain %t", tt.text, r, r.Repository, r.host(), r.Plain)
		}
	}
}

func TestReferencesThatAreNone(t *testing.T) {
	const secret = "hunter2"
	for _, tt := range []struct{ text, says string }{
		{"", "names no registry"},
		{"alpine", "docker.io/alpine"},
		{"alpine:3.22", "did you mean docker.io/alpine:3.22?"},
		{"org/app", "did you mean docker.io/org/app?"},
		{"docker://alpine", "docker.io/alpine"},
		{"docker://registry/app", "https://"},
		{"quay.io", "allowed is"},
		{"quay.io/", "allowed is"},
		{"https://quay.io", "allowed is"},
		{"https:///app", "allowed is"},
		{"ftp://quay.io/app", "scheme"},
		{"oci-archive:/tmp/x.tar", "allowed is"},
		{"quay.io/App", "malformed repository name"},
		{"quay.io/org//app", "malformed repository name"},
		{"quay.io/../app", "malformed repository name"},
		{"quay.io/app?ns=x", "malformed repository name"},
		{"quay.io/app#x", "malformed repository name"},
		{"quay.io/app:", "malformed tag"},
		{"quay.io/app:-", "malformed tag"},
		{"quay.io/app:a:b", "unsupported digest"},
		{"quay.io/app:1@" + some256, "a tag and a digest"},
		{"quay.io/app@sha256:abc", "malformed digest"},
		{"quay.io:/app", "allowed is"},
		{"quay.io:0/app", "allowed is"},
		{"quay.io:65536/app", "allowed is"},
		{"::1/app", "allowed is"},
		{"[::1/app", "allowed is"},
		{"[::1%25eth0]/app", "allowed is"},
		{"10.0.0.256/app", "allowed is"},
		{"quay.io/app\n", "malformed repository name"},
		{"https://zuul:" + secret + "@quay.io/app", "file of credentials"},
		{"zuul:" + secret + "@quay.io/app:1", "file of credentials"},
		{"zuul:pass/" + secret + "@quay.io/app@" + some256, "file of credentials"},
		{"quay.io/app@" + secret, "file of credentials"},
	} {
		r, err := ParseReference(tt.text)
		if err == nil || !strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v, %v; want an error with %q", tt.text, r, err, tt.says)
		}
	}
}

// What is printed is read as the same image.
func FuzzReference(f *testing.F) {
	for _, text := range []string{
		"quay.io/org/app", "docker://docker.io/alpine", "http://[::1]:5000/app:1", "https://registry/app@" + some256,
		"localhost/app@" + some512, "my_registry.:1/a__b/c-d:_", "docker.io/docker.io/app",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := ParseReference(text)
		if err != nil {
			return
		}
		again, err := ParseReference(r.String())
		if err != nil || again != r {
			t.Fatalf("%q is %+v, printed as %s, which is %+v, %v", text, r, r, again, err)
		}
		if err := r.repository().Validate(); err != nil {
			t.Fatalf("%q is nothing that oras takes: %v", text, err)
		}
	})
}
