package replicas

import (
	"encoding/csv"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"opendev.org/zuul/zuul-registry/tests/testbed"
)

// haproxy is HAProxy with the configuration that docs has.
type haproxy struct {
	URL    string
	pem    []byte // the certificate
	socket string // where it is asked how it is
	client *http.Client
}

const haproxyCommand = "haproxy"

// startHAProxy starts it at an address, before servers, until the test ends. Its
// certificate is for registry.test.
func startHAProxy(t *testing.T, bed *testbed.Bed, address string, servers ...string) *haproxy {
	t.Helper()
	testbed.Need(t, haproxyCommand)
	dir := bed.Folder(t, haproxyCommand)
	h := &haproxy{URL: "https://" + testbed.RegistryHost, socket: filepath.Join(dir, "admin.sock")}
	certificate := h.certify(t, bed, dir)
	h.client = testbed.ClientOf(address, h.pem)

	file, log := filepath.Join(dir, "haproxy.cfg"), filepath.Join(dir, "log")
	if err := os.WriteFile(file, []byte(configuration(t, address, certificate, h.socket, servers)), 0o644); err != nil {
		t.Fatal(err)
	}
	// What it warns of is a fault of the configuration, too.
	if _, err := testbed.Run(exec.Command(haproxyCommand, "-c", "-dW", "-f", file)); err != nil {
		t.Fatal(err)
	}
	running, err := start(log, exec.Command(haproxyCommand, "-db", "-f", file))
	if err != nil {
		t.Fatal(err)
	}
	show(t, log)
	t.Cleanup(func() {
		if err := running.kill(); err != nil {
			t.Error(err)
		}
	})
	testbed.Await(t, 10*time.Second, "HAProxy listens", func() error {
		connection, err := net.Dial("tcp", address)
		if err != nil {
			return err
		}
		return connection.Close()
	})
	return h
}

// certify makes the certificate, and the file in which it is with its key.
func (h *haproxy) certify(t *testing.T, bed *testbed.Bed, dir string) string {
	t.Helper()
	certificate, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "cert.key")
	command := exec.Command(bed.Binary(), "certificate")
	name, _, _ := strings.Cut(testbed.RegistryHost, ":")
	command.Env = []string{
		"ZUUL_REGISTRY_TLS_CERT=" + certificate, "ZUUL_REGISTRY_TLS_KEY=" + key, "ZUUL_REGISTRY_TLS_HOSTS=" + name,
	}
	if _, err := testbed.Run(command); err != nil {
		t.Fatal(err)
	}
	var err error
	if h.pem, err = os.ReadFile(certificate); err != nil {
		t.Fatal(err)
	}
	secret, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	both := filepath.Join(dir, "registry.pem")
	if err := os.WriteFile(both, append(h.pem[:len(h.pem):len(h.pem)], secret...), 0o600); err != nil {
		t.Fatal(err)
	}
	return both
}

// configuration is the one in docs with the addresses and paths of the test. Each
// of these is there once, and nothing else is changed.
func configuration(t *testing.T, address, certificate, socket string, servers []string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(testbed.Root(t), "docs", "haproxy.cfg"))
	if err != nil {
		t.Fatal(err)
	}
	own := [][2]string{
		{"bind :443 ", "bind " + address + " "},
		{" /etc/haproxy/registry.pem ", " " + certificate + " "},
		{" /run/haproxy/admin.sock ", " " + socket + " "},
	}
	for n, server := range servers {
		own = append(own, [2]string{fmt.Sprintf(" 192.0.2.%d:9000\n", 11+n), " " + server + "\n"})
	}
	configured := string(text)
	for _, replace := range own {
		if n := strings.Count(configured, replace[0]); n != 1 {
			t.Fatalf("docs/haproxy.cfg has %q %d times, and not once", replace[0], n)
		}
		configured = strings.Replace(configured, replace[0], replace[1], 1)
	}
	return configured
}

// server is what HAProxy says of a replica.
type server struct {
	status   string // UP, DOWN, or on the way
	sessions string // how many there were
}

// servers are all of them, in their order.
func (h *haproxy) servers() ([]server, error) {
	connection, err := net.Dial("unix", h.socket)
	if err != nil {
		return nil, err
	}
	defer connection.Close()
	if _, err := fmt.Fprintln(connection, "show stat"); err != nil {
		return nil, err
	}
	rows, err := csv.NewReader(connection).ReadAll()
	if err != nil {
		return nil, err
	}
	column := map[string]int{}
	for n, name := range rows[0] {
		column[name] = n
	}
	var all []server
	for _, row := range rows[1:] {
		if strings.HasPrefix(row[column["svname"]], "replica") {
			all = append(all, server{row[column["status"]], row[column["stot"]]})
		}
	}
	return all, nil
}

// awaitServers waits until each of them has its status.
func (h *haproxy) awaitServers(t *testing.T, statuses ...string) {
	t.Helper()
	testbed.Await(t, 30*time.Second, "HAProxy finds its servers "+strings.Join(statuses, ", "), func() error {
		all, err := h.servers()
		if err != nil {
			return err
		}
		for n, status := range statuses {
			if n >= len(all) || all[n].status != status {
				return errors.New(fmt.Sprint("they are ", all))
			}
		}
		return nil
	})
}
