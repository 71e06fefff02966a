package roles

import (
	"encoding/json"
	"encoding/pem"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"testing"

	"opendev.org/zuul/zuul-registry/tests/testbed"
)

// playIntermediate runs an intermediate registry, with images in Swift, users and a
// timer that prunes it, and then a replica of it.
func playIntermediate(t *testing.T, bed *testbed.Bed, hosts *testbed.Hosts) {
	t.Helper()
	const (
		part   = "by7whom0it8is5wr" // of a password, the same however that is quoted
		writer = "any $password \"it\" is 'quoted' & sömetimes \\escaped " + part
		reader = "another password than that"
		shared = "what $both \"replicas\" know: " + part
		secret = "what tokens of 'both' are `signed` with"
	)
	host := hosts.Intermediate
	refuseIntermediate(t, hosts)
	account, authority := startCloud(t, bed, host)
	environment := map[string]any{
		"ZUUL_REGISTRY_STORAGE":         "swift",
		"ZUUL_REGISTRY_SWIFT_CONTAINER": "the images",
		"ZUUL_REGISTRY_PASSWORD":        shared,
		"ZUUL_REGISTRY_SECRET":          secret,
		"OS_CACERT":                     "{{ intermediate_registry_root }}/cloud.pem",
	}
	maps.Copy(environment, account)
	r := role{
		playbook: "playbooks/run-intermediate-registry.yaml",
		build: hosts.Build(t, testbed.Job{Variables: map[string]any{
			"zuul_registry_binary":              bed.Binary(),
			"intermediate_registry_environment": environment,
			"intermediate_registry_files":       map[string]any{"cloud.pem": authority},
			"intermediate_registry_users": []any{
				map[string]any{"username": "zuul", "password": writer, "access": "write"},
				map[string]any{"username": "reader", "password": reader, "access": "read"},
			},
		}}),
		host: host,
	}
	r.onlyCheck(t)
	first := r.build.PlayTwice(t, r.playbook, r.limit())

	registry := access{
		Host: host.IPv4, Port: "5000", PushHost: host.IPv4, PushPort: "5000",
		Username: "zuul", Password: writer,
		Cert: host.Read(t, "/var/lib/zuul-registry/tls/cert.pem"),
	}
	registry.isFor(t, host.IPv4, host.Name, "localhost", "127.0.0.1", "::1")
	registry.answers(t)
	if got := registry.ask(t, http.MethodGet, registry.pull(), "/v2/zuul/app/manifests/latest", ""); got != http.StatusNotFound {
		t.Errorf("who has no password is answered with %d when there is no such image", got)
	}
	other := registry
	other.Username, other.Password = "reader", reader
	if got := other.ask(t, http.MethodGet, other.pull(), "/v2/", reader); got != http.StatusOK {
		t.Errorf("who may read is answered with %d", got)
	}
	if got := other.ask(t, http.MethodPost, other.push(), "/v2/zuul/app/blobs/uploads/", reader); got/100 != 4 {
		t.Errorf("who may only read is answered with %d when pushing", got)
	}
	for _, family := range []string{host.IPv4, host.IPv6} {
		connection, err := net.Dial("tcp", net.JoinHostPort(family, "5000"))
		if err != nil {
			t.Fatal(err)
		}
		connection.Close()
	}
	host.Run(t, "systemctl", "is-active", "zuul-registry-prune.timer")
	host.Run(t, "systemd-analyze", "verify", "zuul-registry-prune.service")
	host.Run(t, "systemctl", "start", "zuul-registry-prune.service")
	if said := host.Run(t, "journalctl", "--unit", "zuul-registry-prune.service"); !strings.Contains(said, "objects looked at:") {
		t.Errorf("pruning says:\n%s", said)
	}

	secrets := []string{part, writer, reader, shared, secret, account["ST_KEY"].(string)}
	var own struct{ Password, Secret string }
	if err := json.Unmarshal([]byte(host.Read(t, "/var/lib/zuul-registry/credentials.json")), &own); err != nil {
		t.Fatal(err)
	}
	secrets = append(secrets, own.Password, own.Secret)
	untold(t, "the console", first.Console, secrets...)

	host.Run(t, "systemctl", "stop", "zuul-registry")
	r.playAgain(t, secrets...)
	registry.answers(t)

	registry.Password = shared
	registry.answers(t)
	r.playReplica(t, bed, registry, secrets...)
	guarded(t, host, secrets...)
}

// playReplica runs a replica of the registry beside it, in a container. It has no
// more than the role's variables in common with it, and what the one is given, the
// other has.
func (r role) playReplica(t *testing.T, bed *testbed.Bed, registry access, secrets ...string) {
	t.Helper()
	const root = "/srv/replica" // of a user of its own
	variables, err := json.Marshal(map[string]any{
		"intermediate_registry_root":    root,
		"intermediate_registry_user":    "replica",
		"intermediate_registry_port":    5001,
		"intermediate_registry_runtime": "container",
	})
	if err != nil {
		t.Fatal(err)
	}
	sentry := watch(t, r.host)
	played := r.build.Play(t, r.playbook, r.limit(), "--extra-vars", string(variables))
	untold(t, "a command line", sentry.saw(t), secrets...)
	untold(t, "the console", played.Console, secrets...)
	replica := registry
	replica.Port, replica.PushPort = "5001", "5001"
	replica.Cert = r.host.Read(t, root+"/tls/cert.pem")
	replica.answers(t)

	image := bed.From(t, "Swift")
	archive, err := os.ReadFile(image.Archive)
	if err != nil {
		t.Fatal(err)
	}
	r.host.Write(t, "/root/image.tar", 0o600, archive)
	r.host.Run(t, "skopeo", "copy", "--dest-tls-verify=false", "--dest-creds="+registry.Username+":"+registry.Password,
		"docker-archive:/root/image.tar", "docker://localhost:5000/org/app:latest")
	if said := r.host.Run(t, "docker", "run", "--rm", "--network=none", "localhost:5001/org/app"); said != image.Says {
		t.Errorf("the image from the replica says %q, want %q", said, image.Says)
	}
	if _, err := r.host.Try(t, "test", "-e", root+"/storage"); err == nil {
		t.Error("the replica has a store of its own")
	}
	replica.takes(t, registry.token(t))
}

// token is one to push with that the registry gives to its user.
func (a access) token(t *testing.T) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet,
		"https://"+a.push()+"/auth/token?scope=repository:org/app:pull,push", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.SetBasicAuth(a.Username, a.Password)
	response, err := testbed.ClientOf(a.push(), []byte(a.Cert)).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var given struct{ Token string }
	if err := json.NewDecoder(response.Body).Decode(&given); err != nil || given.Token == "" {
		t.Fatalf("asked for a token it answers %s (%v)", response.Status, err)
	}
	return given.Token
}

// takes finds the registry to take a push of who has the token.
func (a access) takes(t *testing.T, token string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+a.push()+"/v2/org/app/blobs/uploads/", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := testbed.ClientOf(a.push(), []byte(a.Cert)).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusAccepted {
		t.Errorf("the token of another replica is answered with %s", response.Status)
	}
}

// startCloud starts a Swift that the host reaches over HTTPS, as one of a cloud
// whose authority nobody knows. It returns how to log in there, and the authority.
func startCloud(t *testing.T, bed *testbed.Bed, host *testbed.Host) (account map[string]any, authority string) {
	t.Helper()
	swift := bed.StartSwift(t, testbed.SwiftOptions{})
	behind, err := url.Parse(swift.URL())
	if err != nil {
		t.Fatal(err)
	}
	front := httptest.NewUnstartedServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(behind)
			r.Out.Host = r.In.Host
		},
		ModifyResponse: func(r *http.Response) error {
			if place, plain := strings.CutPrefix(r.Header.Get("X-Storage-Url"), "http:"); plain {
				r.Header.Set("X-Storage-Url", "https:"+place)
			}
			return nil
		},
	})
	here := addressFor(t, host)
	front.Listener.Close()
	if front.Listener, err = net.Listen("tcp", net.JoinHostPort(here, "0")); err != nil {
		t.Fatal(err)
	}
	front.StartTLS()
	t.Cleanup(front.Close)
	const name = "example.com" // which the server's certificate is for
	host.Write(t, "/etc/hosts", 0o644, []byte(host.Read(t, "/etc/hosts")+here+" "+name+"\n"))
	_, port, _ := net.SplitHostPort(front.Listener.Addr().String())
	account = map[string]any{}
	for _, variable := range swift.EnvironmentVia("https://" + net.JoinHostPort(name, port)) {
		name, value, _ := strings.Cut(variable, "=")
		account[name] = value
	}
	return account, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: front.Certificate().Raw}))
}

// addressFor is the address of this machine that a host reaches.
func addressFor(t *testing.T, host *testbed.Host) string {
	t.Helper()
	connection, err := net.Dial("udp", net.JoinHostPort(host.IPv4, "9")) // which sends nothing
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	return connection.LocalAddr().(*net.UDPAddr).IP.String()
}

// refuseIntermediate has the role refuse settings before it changes anything, and
// say which ones it wants.
func refuseIntermediate(t *testing.T, hosts *testbed.Hosts) {
	t.Helper()
	const secret = "nobody says this secret of Swift"
	type object = map[string]any
	// given are settings with which it would run, but for others; nil takes one away.
	given := func(others object) object {
		all := object{
			"ZUUL_REGISTRY_STORAGE":            "swift",
			"ZUUL_REGISTRY_SWIFT_CONTAINER":    "images",
			"ZUUL_REGISTRY_PASSWORD":           secret,
			"ZUUL_REGISTRY_SECRET":             secret,
			"OS_AUTH_URL":                      "https://keystone.test",
			"OS_APPLICATION_CREDENTIAL_ID":     "id",
			"OS_APPLICATION_CREDENTIAL_SECRET": secret,
		}
		maps.Copy(all, others)
		maps.DeleteFunc(all, func(_ string, value any) bool { return value == nil })
		return all
	}
	const (
		both    = "ZUUL_REGISTRY_STORAGE: swift and ZUUL_REGISTRY_SWIFT_CONTAINER are given both or not at all"
		account = "Swift needs an account"
		same    = "set ZUUL_REGISTRY_PASSWORD and ZUUL_REGISTRY_SECRET, of 32 characters or more"
		seen    = "A container sees no files but those below /var/lib/zuul-registry"
	)
	refused, want := object{}, map[string]string{}
	for _, c := range []struct {
		name, want, runtime string
		others              object
	}{
		{"no container", both, "process", object{"ZUUL_REGISTRY_SWIFT_CONTAINER": nil}},
		{"a container of another storage", both, "process", object{"ZUUL_REGISTRY_STORAGE": "filesystem"}},
		{"no account", account, "process", object{"OS_AUTH_URL": nil}},
		{"an account without its secret", account, "process", object{"OS_APPLICATION_CREDENTIAL_SECRET": ""}},
		{"half an account of Swift's own", account, "process", object{"OS_AUTH_URL": nil, "ST_AUTH": "https://swift.test", "ST_KEY": secret}},
		{"no password", same, "process", object{"ZUUL_REGISTRY_PASSWORD": nil}},
		{"no secret", same, "process", object{"ZUUL_REGISTRY_SECRET": nil}},
		{"a short secret", same, "process", object{"ZUUL_REGISTRY_SECRET": secret[:31]}},
		{"a cloud that a container does not see", seen, "container", object{"OS_CLOUD": "cloud"}},
		{"an authority that a container does not see", seen, "container", object{"OS_CACERT": "/var/lib/zuul_registry/ca.pem"}},
	} {
		refused[c.name] = object{"runtime": c.runtime, "environment": given(c.others)}
		want[c.name] = c.want
	}
	build := hosts.Build(t, testbed.Job{Variables: object{"refused": refused}})
	// In check mode: what it does not refuse it shall not do either.
	played := build.Check(t, "playbooks/refuse-intermediate-registry.yaml")
	for name, want := range want {
		_, said, _ := strings.Cut(played.Console, name+" was refused: ")
		said, _, _ = strings.Cut(said, "\n")
		if !strings.Contains(said, want) {
			t.Errorf("with %s it says %q, want %q", name, said, want)
		}
	}
	if changed := played.Changed(); len(changed) > 0 {
		t.Errorf("it does something before it refuses: %q", changed)
	}
	untold(t, "the console", played.Console, secret)
}
