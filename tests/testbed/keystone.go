package testbed

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"
)

// Keystone is OpenStack's identity service: it knows one user, and where Swift
// is. It has the address and the database that no other one has.
type Keystone struct {
	url string
	dir string
}

const (
	keystoneServer   = "keystone-wsgi-public"
	keystoneManage   = "keystone-manage"
	keystonePort     = "5000"
	keystoneUser     = "zuul"
	keystoneProject  = "registry"
	keystoneRegion   = "RegionOne"
	keystonePassword = "the-password-in-keystone"
)

var keystones atomic.Int32

// StartKeystone starts a Keystone for the test.
func (b *Bed) StartKeystone(t testing.TB) *Keystone {
	t.Helper()
	Need(t, keystoneServer, keystoneManage)
	if _, err := os.Stat("/usr/share/doc/python3-keystonemiddleware"); err != nil {
		Missing(t, "keystonemiddleware") // with which Swift asks it
	}
	address := fmt.Sprintf("127.0.2.%d", keystones.Add(1))
	k := &Keystone{
		url: "http://" + net.JoinHostPort(address, keystonePort),
		dir: b.store(t, "keystone"),
	}
	k.create(t)
	server := exec.Command(keystoneServer, "--host", address, "--port", keystonePort)
	server.Env = append(os.Environ(), "OS_KEYSTONE_CONFIG_DIR="+k.dir)
	p := start(t, k.dir, 5*time.Second, server)
	p.cut = true
	p.await(t, startup, k.answers)
	return k
}

// URL is where Keystone is; it says there which versions of its API it has.
func (k *Keystone) URL() string { return k.url }

// api is the URL of the version that everybody uses.
func (k *Keystone) api() string { return k.url + "/v3" }

// create makes the database, with the user, and the keys of tokens.
func (k *Keystone) create(t testing.TB) {
	t.Helper()
	settings := filepath.Join(k.dir, "keystone.conf")
	if err := os.WriteFile(settings, fmt.Appendf(nil, `[DEFAULT]
use_stderr = true
[database]
connection = sqlite:///%[1]s/keystone.db
[fernet_tokens]
key_repository = %[1]s/keys
[fernet_receipts]
key_repository = %[1]s/keys
[identity]
password_hash_rounds = 4
`, k.dir), 0o644); err != nil {
		t.Fatal(err)
	}
	k.createKeys(t)
	for _, arguments := range [][]string{
		{"db_sync"},
		{
			"bootstrap", "--bootstrap-username", keystoneUser, "--bootstrap-password", keystonePassword,
			"--bootstrap-project-name", keystoneProject,
			"--bootstrap-region-id", keystoneRegion, "--bootstrap-public-url", k.api(),
		},
	} {
		if _, err := Run(exec.Command(keystoneManage, append([]string{"--config-file", settings}, arguments...)...)); err != nil {
			t.Fatal(err)
		}
	}
}

// createKeys makes the key that is used, 1, and the one that would be next, 0.
func (k *Keystone) createKeys(t testing.TB) {
	t.Helper()
	keys := filepath.Join(k.dir, "keys")
	if err := os.Mkdir(keys, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"0", "1"} {
		key := make([]byte, 32)
		_, _ = rand.Read(key) // never fails
		encoded := base64.URLEncoding.EncodeToString(key)
		if err := os.WriteFile(filepath.Join(keys, name), []byte(encoded), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func (k *Keystone) answers() error {
	response, err := http.Get(k.api())
	if err != nil {
		return err
	}
	return response.Body.Close()
}

// filters are the parts of Swift's proxy server that ask Keystone who a client is.
func (k *Keystone) filters() string {
	return fmt.Sprintf(`[filter:authtoken]
paste.filter_factory = keystonemiddleware.auth_token:filter_factory
auth_type = password
auth_url = %[1]s
www_authenticate_uri = %[1]s
interface = public
username = %[2]s
password = %[3]s
project_name = %[4]s
user_domain_id = default
project_domain_id = default
delay_auth_decision = true
cache = swift.cache
[filter:keystoneauth]
use = egg:swift#keystoneauth
operator_roles = admin
`, k.api(), keystoneUser, keystonePassword, keystoneProject)
}

// Environment has a client of OpenStack log in with the user's password.
func (k *Keystone) Environment() []string {
	return []string{
		"OS_IDENTITY_API_VERSION=3",
		"OS_AUTH_URL=" + k.api(),
		"OS_REGION_NAME=" + keystoneRegion,
		"OS_USERNAME=" + keystoneUser,
		"OS_PASSWORD=" + keystonePassword,
		"OS_USER_DOMAIN_ID=default",
		"OS_PROJECT_NAME=" + keystoneProject,
		"OS_PROJECT_DOMAIN_ID=default",
	}
}

// ApplicationCredential has a client log in with a credential that the user has
// made for it.
func (k *Keystone) ApplicationCredential(t testing.TB) []string {
	t.Helper()
	id, secret := k.addCredential(t)
	return []string{
		"OS_AUTH_TYPE=v3applicationcredential",
		"OS_IDENTITY_API_VERSION=3",
		"OS_AUTH_URL=" + k.api(),
		"OS_REGION_NAME=" + keystoneRegion,
		"OS_APPLICATION_CREDENTIAL_ID=" + id,
		"OS_APPLICATION_CREDENTIAL_SECRET=" + secret,
	}
}

// Cloud has a client log in as a file says that knows the cloud by a name.
func (k *Keystone) Cloud(t testing.TB) []string {
	t.Helper()
	const name = "vexxhost"
	file := filepath.Join(k.dir, "clouds.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, `clouds:
  %s:
    region_name: %s
    auth:
      auth_url: %s
      username: %s
      password: %s
      user_domain_id: default
      project_name: %s
      project_domain_id: default
`, name, keystoneRegion, k.api(), keystoneUser, keystonePassword, keystoneProject), 0o600); err != nil {
		t.Fatal(err)
	}
	return []string{"OS_CLOUD=" + name, "OS_CLIENT_CONFIG_FILE=" + file}
}
