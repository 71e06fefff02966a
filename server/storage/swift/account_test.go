package swift_test

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	ncw "github.com/ncw/swift/v2"

	"opendev.org/zuul/zuul-registry/server/storage/swift"
	"opendev.org/zuul/zuul-registry/server/storage/swift/pretend"
)

// environment is all that the account may be described by.
func environment(t *testing.T, variables ...string) {
	t.Helper()
	for _, variable := range os.Environ() {
		name, _, _ := strings.Cut(variable, "=")
		if strings.HasPrefix(name, "OS_") || strings.HasPrefix(name, "ST_") || strings.HasPrefix(name, "GOSWIFT_") {
			t.Setenv(name, "")
		}
	}
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	for i := 0; i < len(variables); i += 2 {
		t.Setenv(variables[i], variables[i+1])
	}
}

func opens(t *testing.T, account *ncw.Connection) (*swift.Driver, error) {
	t.Helper()
	return swift.New(t.Context(), swift.Options{
		Account: account, Container: "images", PartSize: mebibyte, Connections: 1, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
}

var password = []string{"OS_USERNAME", "bob", "OS_PASSWORD", "secret", "OS_PROJECT_NAME", "images", "OS_USER_DOMAIN_NAME", "people", "OS_PROJECT_DOMAIN_NAME", "projects"}

// What programs of OpenStack send to Keystone for these variables, and where they find
// Swift then.
func TestAccountOfKeystone(t *testing.T) {
	const (
		bob    = `{"auth":{"identity":{"methods":["password"],"password":{"user":{"domain":{"name":"people"},"name":"bob","password":"secret"}}},"scope":{"project":`
		public = "/RegionOne/public"
	)
	for _, tt := range []struct {
		what      string
		url       string // after the server's
		variables []string
		login     string
		swift     string // where it is
	}{
		{"a password", "/v3", password, `/v3/auth/tokens ` + bob + `{"domain":{"name":"projects"},"name":"images"}}}}`, public},
		{"no version", "", password, `/v3/auth/tokens ` + bob + `{"domain":{"name":"projects"},"name":"images"}}}}`, public},
		{"a slash", "/", password, `/v3/auth/tokens ` + bob + `{"domain":{"name":"projects"},"name":"images"}}}}`, public},
		{"v3 and a slash", "/v3/", password, `/v3/auth/tokens ` + bob + `{"domain":{"name":"projects"},"name":"images"}}}}`, public},
		{"a path", "/identity", password, `/identity/v3/auth/tokens ` + bob + `{"domain":{"name":"projects"},"name":"images"}}}}`, public},
		{"a path and v3", "/identity/v3", password, `/identity/v3/auth/tokens ` + bob + `{"domain":{"name":"projects"},"name":"images"}}}}`, public},
		{"a path like a version", "/v2cloud", password, `/v2cloud/v3/auth/tokens ` + bob + `{"domain":{"name":"projects"},"name":"images"}}}}`, public},
		{"the project's ID", "", append(password[:4:4], "OS_USER_DOMAIN_NAME", "people", "OS_PROJECT_ID", "4711"), `/v3/auth/tokens ` + bob + `{"id":"4711"}}}}`, public},
		{"the project's ID and name", "", append(password[:len(password):len(password)], "OS_PROJECT_ID", "4711"), `/v3/auth/tokens ` + bob + `{"id":"4711"}}}}`, public},
		{"IDs of domains", "", append(password[:6:6], "OS_USER_DOMAIN_ID", "u", "OS_PROJECT_DOMAIN_ID", "p"),
			`/v3/auth/tokens {"auth":{"identity":{"methods":["password"],"password":{"user":{"domain":{"id":"u"},"name":"bob","password":"secret"}}},"scope":{"project":{"domain":{"id":"p"},"name":"images"}}}}`, public},
		{"the user's ID", "", []string{"OS_USER_ID", "42", "OS_PASSWORD", "secret", "OS_PROJECT_ID", "4711"},
			`/v3/auth/tokens {"auth":{"identity":{"methods":["password"],"password":{"user":{"id":"42","password":"secret"}}},"scope":{"project":{"id":"4711"}}}}`, public},
		{"an application credential", "", []string{"OS_AUTH_TYPE", "v3applicationcredential", "OS_APPLICATION_CREDENTIAL_ID", "id", "OS_APPLICATION_CREDENTIAL_SECRET", "secret"},
			`/v3/auth/tokens {"auth":{"identity":{"application_credential":{"id":"id","secret":"secret","user":{}},"methods":["application_credential"]}}}`, public},
		{"an application credential's name", "", []string{"OS_APPLICATION_CREDENTIAL_NAME", "images", "OS_USERNAME", "bob", "OS_USER_DOMAIN_NAME", "people", "OS_APPLICATION_CREDENTIAL_SECRET", "secret"},
			`/v3/auth/tokens {"auth":{"identity":{"application_credential":{"name":"images","secret":"secret","user":{"domain":{"name":"people"},"name":"bob"}},"methods":["application_credential"]}}}`, public},
		{"a region", "", append(password[:len(password):len(password)], "OS_REGION_NAME", "RegionTwo"), "", "/RegionTwo/public"},
		{"OS_INTERFACE", "", append(password[:len(password):len(password)], "OS_INTERFACE", "internal"), "", "/RegionOne/internal"},
		{"OS_INTERFACE with URL", "", append(password[:len(password):len(password)], "OS_INTERFACE", "internalURL"), "", "/RegionOne/internal"},
		{"OS_INTERFACE public", "", append(password[:len(password):len(password)], "OS_INTERFACE", "publicURL"), "", public},
		{"OS_ENDPOINT_TYPE", "", append(password[:len(password):len(password)], "OS_ENDPOINT_TYPE", "adminURL"), "", "/RegionOne/admin"},
		{"OS_ENDPOINT_TYPE without URL", "", append(password[:len(password):len(password)], "OS_ENDPOINT_TYPE", "internal"), "", "/RegionOne/internal"},
		{"Keystone's version 2", "/v2.0", []string{"OS_USERNAME", "bob", "OS_PASSWORD", "secret", "OS_TENANT_NAME", "images"},
			`/v2.0/tokens {"auth":{"passwordCredentials":{"password":"secret","username":"bob"},"tenantName":"images"}}`, public},
		{"Keystone's version 2 and a slash", "/v2.0/", []string{"OS_USERNAME", "bob", "OS_PASSWORD", "secret", "OS_TENANT_NAME", "images"}, "", public},
	} {
		t.Run(tt.what, func(t *testing.T) {
			k := newKeystone(t, httptest.NewServer)
			environment(t, append([]string{"OS_AUTH_URL", k.URL + tt.url}, tt.variables...)...)
			if err := opened(t); err != nil {
				t.Fatal(err)
			}
			if len(k.logins) != 1 || tt.login != "" && k.logins[0] != tt.login {
				t.Errorf("Keystone was asked\n%s, want\n%s", strings.Join(k.logins, "\n"), tt.login)
			}
			if want := []string{"HEAD " + tt.swift + "/v1/AUTH_a/images", "GET " + tt.swift + "/info"}; !slices.Equal(k.used, want) {
				t.Errorf("Swift was asked %q, want %q", k.used, want)
			}
		})
	}
}

// A token that ends soon is renewed before it is refused.
func TestTokenThatEndsSoon(t *testing.T) {
	k := newKeystone(t, httptest.NewServer)
	environment(t, append([]string{"OS_AUTH_URL", k.URL}, password...)...)
	account, err := swift.AccountFromEnvironment()
	if err != nil {
		t.Fatal(err)
	}
	d, err := opens(t, account)
	if err != nil {
		t.Fatal(err)
	}
	account.Expires = time.Now().Add(time.Second)
	for range 2 {
		if err := ask(t.Context(), d); err != nil {
			t.Error(err)
		}
	}
	if len(k.logins) != 2 {
		t.Errorf("it logged in %d times, want once more", len(k.logins))
	}
}

func TestAccountOfSwiftItself(t *testing.T) {
	s := pretend.New(t)
	o := s.Options().Account
	environment(t, "ST_AUTH", o.AuthUrl, "ST_USER", o.UserName, "ST_KEY", o.ApiKey)
	if err := opened(t); err != nil {
		t.Error(err)
	}
	if asked := s.Asked(); count(asked, login) != 1 || count(asked, "PUT images") != 1 {
		t.Errorf("Swift was asked %q", asked)
	}
	environment(t, "ST_AUTH", o.AuthUrl, "ST_USER", o.UserName, "ST_KEY", "SECRET")
	if err := opened(t); err == nil || strings.Contains(err.Error(), "SECRET") {
		t.Errorf("with another key: %v", err)
	}
}

// What the environment lacks is said when it is read, and by the names it should have.
func TestNoAccount(t *testing.T) {
	for _, variables := range [][]string{nil, {"OS_USERNAME", "bob", "OS_PASSWORD", "s3cr3t"}, {"ST_KEY", "s3cr3t"}} {
		environment(t, variables...)
		_, err := swift.AccountFromEnvironment()
		if err == nil {
			t.Fatalf("%q: no error", variables)
		}
		for _, name := range []string{"OS_CLOUD", "OS_AUTH_URL", "OS_USERNAME", "OS_PASSWORD", "OS_PROJECT_NAME", "OS_APPLICATION_CREDENTIAL_ID", "OS_APPLICATION_CREDENTIAL_SECRET", "ST_AUTH", "ST_USER", "ST_KEY"} {
			if !strings.Contains(err.Error(), name) {
				t.Errorf("%q: %v, want that it names %s", variables, err, name)
			}
		}
		if strings.Contains(err.Error(), "s3cr3t") {
			t.Error(err)
		}
	}
	environment(t, "OS_AUTH_URL", "https://keystone.example.com", "ST_AUTH_VERSION", "three")
	if _, err := swift.AccountFromEnvironment(); err == nil || !strings.Contains(err.Error(), "ST_AUTH_VERSION") {
		t.Errorf("%v, want one that names ST_AUTH_VERSION", err)
	}
}

// What a login cannot do without is said before it is tried, by the name that it has.
func TestWhatAnAccountLacks(t *testing.T) {
	const keystone, domain = "https://keystone.example.com", "OS_USER_DOMAIN_NAME"
	for _, tt := range []struct {
		want      string // empty: nothing
		variables []string
	}{
		{"OS_AUTH_URL", []string{"OS_AUTH_URL", "keystone.example.com:5000", "OS_USERNAME", "bob", "OS_PASSWORD", "s3cr3t", domain, "people"}},
		{"OS_AUTH_URL", []string{"OS_AUTH_URL", "ftp://keystone.example.com", "OS_USERNAME", "bob", "OS_PASSWORD", "s3cr3t", domain, "people"}},
		{"OS_AUTH_URL", []string{"OS_AUTH_URL", "https:///v3", "OS_USERNAME", "bob", "OS_PASSWORD", "s3cr3t", domain, "people"}},
		{"OS_AUTH_URL", []string{"OS_AUTH_URL", "https://keystone\x7f", "OS_USERNAME", "bob", "OS_PASSWORD", "s3cr3t", domain, "people"}},
		{"ST_AUTH", []string{"ST_AUTH", "http//swift/auth", "ST_USER", "bob", "ST_KEY", "s3cr3t"}},
		{"OS_PASSWORD", []string{"OS_AUTH_URL", keystone, "OS_USERNAME", "bob", domain, "people"}},
		{"OS_APPLICATION_CREDENTIAL_SECRET", []string{"OS_AUTH_URL", keystone, "OS_APPLICATION_CREDENTIAL_ID", "id"}},
		{domain, []string{"OS_AUTH_URL", keystone, "OS_USERNAME", "bob", "OS_PASSWORD", "s3cr3t", "OS_PROJECT_ID", "4711"}},
		{"ST_USER", []string{"ST_AUTH", "http://swift/auth", "ST_KEY", "s3cr3t"}},
		{"ST_KEY", []string{"ST_AUTH", "http://swift/auth", "ST_USER", "bob"}},
		{"", []string{"ST_AUTH", "http://swift/auth", "ST_USER", "bob", "ST_KEY", "s3cr3t"}},
		{"", []string{"OS_AUTH_URL", keystone, "OS_USERNAME", "bob", "OS_PASSWORD", "s3cr3t", "OS_USER_DOMAIN_ID", "default"}},
		{"", []string{"OS_AUTH_URL", keystone + "/v2.0", "OS_USERNAME", "bob", "OS_PASSWORD", "s3cr3t"}},
		{"", []string{"OS_AUTH_URL", keystone, "OS_APPLICATION_CREDENTIAL_ID", "id", "OS_APPLICATION_CREDENTIAL_SECRET", "s3cr3t"}},
	} {
		environment(t, tt.variables...)
		if _, err := swift.AccountFromEnvironment(); (err == nil) != (tt.want == "") {
			t.Errorf("%q: %v, want one that names %q", tt.variables, err, tt.want)
		} else if err != nil && (!strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "s3cr3t")) {
			t.Errorf("%q: %v, want one that names %s", tt.variables, err, tt.want)
		}
	}
}

// What signs Keystone's certificate may be in a file.
func TestAuthorities(t *testing.T) {
	k := newKeystone(t, httptest.NewTLSServer)
	k.Config.ErrorLog = slog.NewLogLogger(slog.NewTextHandler(io.Discard, nil), slog.LevelError)
	variables := append([]string{"OS_AUTH_URL", k.URL}, password...)
	environment(t, variables...)
	if err := opened(t); err == nil || !strings.Contains(err.Error(), "certificate") || len(k.logins) != 0 {
		t.Errorf("without the authority: %v", err)
	}
	environment(t, append(variables, "OS_CACERT", authority(t, k.Server))...)
	if err := opened(t); err != nil || len(k.used) != 2 {
		t.Errorf("with the authority: %v, Swift was asked %q", err, k.used)
	}
	if account, err := swift.AccountFromEnvironment(); err != nil || account.Transport.(*http.Transport).ResponseHeaderTimeout != 0 {
		t.Errorf("%v; or a limit beside the driver's own, which depends on what is asked for", err)
	}
	for what, path := range map[string]string{"missing": "/nowhere/ca.pem", "no certificate": file(t, "empty.pem", "nothing")} {
		environment(t, append(variables, "OS_CACERT", path)...)
		if _, err := swift.AccountFromEnvironment(); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v, want one that names %s", what, err, path)
		}
	}
}

func TestAccountOfACloud(t *testing.T) {
	k := newKeystone(t, httptest.NewTLSServer)
	clouds := file(t, "clouds.yaml", fmt.Sprintf(`
clouds:
  site:
    auth: {auth_url: %[1]s, username: bob, password: secret, project_name: images, user_domain_name: people, project_domain_name: projects}
    cacert: %[2]s
  ids:
    auth: {auth_url: %[1]s/v3, user_id: "42", password: secret, project_id: "4711"}
    cacert: %[2]s
    region_name: RegionTwo
    interface: internal
  default domain:
    auth: {auth_url: %[1]s/v3, username: bob, password: secret, project_name: images, domain_name: people}
    cacert: %[2]s
    endpoint_type: adminURL
  application:
    auth_type: v3applicationcredential
    auth: {auth_url: %[1]s/identity, application_credential_id: id, application_credential_secret: secret}
    cacert: %[2]s
  named application:
    auth: {auth_url: %[1]s, application_credential_name: images, username: bob, user_domain_id: u, application_credential_secret: secret}
    cacert: %[2]s
  unverified:
    auth: {auth_url: %[1]s, application_credential_id: id, application_credential_secret: secret}
    verify: false
  trust:
    auth: {auth_url: %[1]s, user_id: "42", password: secret, trust_id: t}
    cacert: %[2]s
  no authority:
    auth: {auth_url: %[1]s, application_credential_id: id, application_credential_secret: secret}
    cacert: /nowhere/ca.pem
  no auth:
    cacert: %[2]s
`, k.URL, authority(t, k.Server)))
	for _, tt := range []struct {
		cloud     string
		variables []string
		login     string
		swift     string
	}{
		{"site", nil, `/v3/auth/tokens {"auth":{"identity":{"methods":["password"],"password":{"user":{"domain":{"name":"people"},"name":"bob","password":"secret"}}},"scope":{"project":{"domain":{"name":"projects"},"name":"images"}}}}`, "/RegionOne/public"},
		{"ids", nil, `/v3/auth/tokens {"auth":{"identity":{"methods":["password"],"password":{"user":{"id":"42","password":"secret"}}},"scope":{"project":{"id":"4711"}}}}`, "/RegionTwo/internal"},
		{"ids", []string{"OS_REGION_NAME", "RegionOne", "OS_INTERFACE", "admin"}, "", "/RegionOne/admin"},
		{"default domain", nil, `/v3/auth/tokens {"auth":{"identity":{"methods":["password"],"password":{"user":{"domain":{"name":"people"},"name":"bob","password":"secret"}}},"scope":{"project":{"domain":{"name":"people"},"name":"images"}}}}`, "/RegionOne/admin"},
		{"application", nil, `/identity/v3/auth/tokens {"auth":{"identity":{"application_credential":{"id":"id","secret":"secret","user":{}},"methods":["application_credential"]}}}`, "/RegionOne/public"},
		{"named application", nil, `/v3/auth/tokens {"auth":{"identity":{"application_credential":{"name":"images","secret":"secret","user":{"domain":{"id":"u"},"name":"bob"}},"methods":["application_credential"]}}}`, "/RegionOne/public"},
		{"unverified", nil, "", "/RegionOne/public"},
		{"trust", nil, `/v3/auth/tokens {"auth":{"identity":{"methods":["password"],"password":{"user":{"id":"42","password":"secret"}}},"scope":{"OS-TRUST:trust":{"id":"t"}}}}`, "/RegionOne/public"},
	} {
		t.Run(tt.cloud, func(t *testing.T) {
			k.logins, k.used = nil, nil
			environment(t, append([]string{"OS_CLOUD", tt.cloud, "OS_CLIENT_CONFIG_FILE", clouds}, tt.variables...)...)
			if err := opened(t); err != nil {
				t.Fatal(err)
			}
			if len(k.logins) != 1 || tt.login != "" && k.logins[0] != tt.login {
				t.Errorf("Keystone was asked\n%s, want\n%s", strings.Join(k.logins, "\n"), tt.login)
			}
			if len(k.used) != 2 || !strings.HasPrefix(k.used[0], "HEAD "+tt.swift+"/v1/AUTH_a/images") {
				t.Errorf("Swift was asked %q, want it at %s", k.used, tt.swift)
			}
		})
	}
	for cloud, want := range map[string]string{
		"other": `"other"`, "no authority": "/nowhere/ca.pem", "no auth": `"no auth"`,
	} {
		environment(t, "OS_CLOUD", cloud, "OS_CLIENT_CONFIG_FILE", clouds)
		if _, err := swift.AccountFromEnvironment(); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("cloud %s: %v, want one that names %s", cloud, err, want)
		}
	}
	environment(t, "OS_CLOUD", "site", "OS_CLIENT_CONFIG_FILE", "/nowhere/clouds.yaml")
	if _, err := swift.AccountFromEnvironment(); err == nil || !strings.Contains(err.Error(), "/nowhere/clouds.yaml") {
		t.Errorf("%v, want one that names the file", err)
	}
}
