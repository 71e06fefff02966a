package roles

import (
	"encoding/json"
	"net"
	"net/http"
	"testing"

	"opendev.org/zuul/zuul-registry/tests/testbed"
)

// playIntermediate runs an intermediate registry, with users and a timer that
// prunes it.
func playIntermediate(t *testing.T, bed *testbed.Bed, hosts *testbed.Hosts) {
	t.Helper()
	const (
		part   = "by7whom0it8is5wr" // of a password, the same however that is quoted
		writer = "any $password \"it\" is 'quoted' & sömetimes \\escaped " + part
		reader = "another password than that"
	)
	host := hosts.Intermediate
	r := role{
		playbook: "playbooks/run-intermediate-registry.yaml",
		build: hosts.Build(t, testbed.Job{Variables: map[string]any{
			"zuul_registry_binary":                 bed.Binary(),
			"intermediate_registry_prune_calendar": "daily",
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

	secrets := []string{part, writer, reader}
	var own struct{ Password, Secret string }
	if err := json.Unmarshal([]byte(host.Read(t, "/var/lib/zuul-registry/credentials.json")), &own); err != nil {
		t.Fatal(err)
	}
	secrets = append(secrets, own.Password, own.Secret)
	untold(t, "the console", first.Console, secrets...)
	guarded(t, host, secrets...)

	host.Run(t, "systemctl", "stop", "zuul-registry")
	r.playAgain(t, secrets...)
	registry.answers(t)
}
