package roles

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"testing"

	"opendev.org/zuul/zuul-registry/tests/testbed"
)

// access is how to reach a registry, as run-buildset-registry returns it.
type access struct {
	Host     string      `json:"host"`
	Port     json.Number `json:"port"`
	PushHost string      `json:"push_host"`
	PushPort json.Number `json:"push_port"`
	Username string      `json:"username"`
	Password string      `json:"password"`
	Cert     string      `json:"cert"`
}

// returnedBy is the buildset registry that a build has returned to Zuul, as a
// secret, and with nothing else.
func returnedBy(t *testing.T, build *testbed.Build) (a access) {
	t.Helper()
	returned := build.Returned(t)
	if len(returned.Data) > 0 || len(returned.SecretData) != 1 {
		t.Errorf("the build returned more than a buildset registry: %v", returned)
	}
	content, err := json.Marshal(returned.SecretData["buildset_registry"])
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(content, &a); err != nil {
		t.Fatalf("the build returned %s: %v", content, err)
	}
	return a
}

func (a access) pull() string { return net.JoinHostPort(a.Host, a.Port.String()) }
func (a access) push() string { return net.JoinHostPort(a.PushHost, a.PushPort.String()) }

// answers finds the registry to answer at both of its endpoints, over TLS that
// is verified: the writer may log in, and nobody may with another password.
// Pushes begin where they are meant to.
func (a access) answers(t *testing.T) {
	t.Helper()
	for _, request := range []struct {
		method, address, path, password string
		want                            int
	}{
		{http.MethodGet, a.pull(), "/readyz", "", http.StatusOK},
		{http.MethodGet, a.pull(), "/v2/", a.Password, http.StatusOK},
		{http.MethodGet, a.push(), "/v2/", a.Password, http.StatusOK},
		{http.MethodGet, a.push(), "/v2/", a.Password + "?", http.StatusUnauthorized},
		{http.MethodPost, a.push(), "/v2/zuul/app/blobs/uploads/", a.Password, http.StatusAccepted},
		{http.MethodPost, a.push(), "/v2/zuul/app/blobs/uploads/", "", http.StatusUnauthorized},
	} {
		if got := a.ask(t, request.method, request.address, request.path, request.password); got != request.want {
			t.Errorf("%s https://%s%s is answered with %d, want %d", request.method, request.address, request.path, got, request.want)
		}
	}
}

// onlyReads finds that the endpoint to pull from takes no pushes.
func (a access) onlyReads(t *testing.T) {
	t.Helper()
	if a.pull() == a.push() {
		t.Fatalf("there is but one endpoint: %s", a.pull())
	}
	if got := a.ask(t, http.MethodPost, a.pull(), "/v2/zuul/app/blobs/uploads/", a.Password); got != http.StatusMethodNotAllowed {
		t.Errorf("a push to %s is answered with %d", a.pull(), got)
	}
}

// ask is the status of the answer to a request, with a password if there is
// one.
func (a access) ask(t *testing.T, method, address, path, password string) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, "https://"+address+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if password != "" {
		request.SetBasicAuth(a.Username, password)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(a.Cert))
	client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	return response.StatusCode
}

// isFor finds the certificate to be good for each of the names.
func (a access) isFor(t *testing.T, names ...string) {
	t.Helper()
	block, _ := pem.Decode([]byte(a.Cert))
	if block == nil {
		t.Fatalf("there is no certificate: %q", a.Cert)
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if err := certificate.VerifyHostname(name); err != nil {
			t.Error(err)
		}
	}
}

// String has no secrets.
func (a access) String() string { return fmt.Sprintf("%s, push to %s", a.pull(), a.push()) }
