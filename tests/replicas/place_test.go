package replicas

import (
	"encoding/base64"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"opendev.org/zuul/zuul-registry/tests/testbed"
)

// place is where everything happens.
type place struct {
	test     *testing.T // at whose end all that runs here ends
	bed      *testbed.Bed
	swift    *testbed.Swift
	replicas []*replica
	haproxy  *haproxy
	chance   *chance
	seed     uint64
	tally    *tally
}

// open starts Swift, the replicas, and HAProxy at an address.
func open(t *testing.T, bed *testbed.Bed, address string, seed uint64) *place {
	t.Helper()
	p := &place{test: t, bed: bed, chance: newChance(seed), seed: seed, tally: newTally()}
	p.swift = bed.StartSwift(t, testbed.SwiftOptions{})
	var addresses []string
	for n := range 3 {
		faults := startFaults(t, "127.0.0.1:0", p.swift.URL(), p.chance, p.tally)
		p.replicas = append(p.replicas, startReplica(t, bed, loopback(1+n), p.swift, faults))
		addresses = append(addresses, p.replicas[n].address)
	}
	p.haproxy = startHAProxy(t, bed, address, addresses...)
	p.awaitReady(t)
	return p
}

// awaitReady waits until all replicas are ready, and HAProxy knows it.
func (p *place) awaitReady(t *testing.T) {
	t.Helper()
	for _, r := range p.replicas {
		r.awaitReady(t)
	}
	p.haproxy.awaitServers(t, "UP", "UP", "UP")
}

// spoil has a share of Swift's answers spoilt, in percent.
func (p *place) spoil(percent int) {
	for _, r := range p.replicas {
		r.faults.share.Store(int64(10 * percent))
	}
}

// bench is a host with all tools and their daemons, which trust the certificate
// of HAProxy for the registry's name and for no other.
type bench struct {
	testbed.Workshop
	env []string
}

// openBench starts one. Who is there has a password, or none.
func openBench(t *testing.T, site *testbed.Site, name, password string) *bench {
	t.Helper()
	// Docker's daemon brings one of containerd along.
	b := &bench{Workshop: site.StartWorkshop(t, name, "dockerd", "--log-level", "warn")}
	home := filepath.Join(b.Folder, "home")
	credentials := filepath.Join(home, ".docker/config.json")
	if err := os.MkdirAll(filepath.Dir(credentials), 0o700); err != nil {
		t.Fatal(err)
	}
	known := map[string]any{}
	if password != "" {
		login := base64.StdEncoding.EncodeToString([]byte(username + ":" + password))
		known[testbed.RegistryHost] = map[string]string{"auth": login}
	}
	text, err := json.Marshal(map[string]any{"auths": known})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(credentials, text, 0o600); err != nil {
		t.Fatal(err)
	}
	b.env = []string{"HOME=" + home, "REGISTRY_AUTH_FILE=" + credentials, "SSL_CERT_DIR=" + testbed.TrustedDir}
	b.Await(t, time.Minute, func() error {
		_, err := b.Try(t, "docker", "version")
		return err
	})
	return b
}

// address is where the registry's name leads to.
func (b *bench) address(t *testing.T) string {
	t.Helper()
	name, port, _ := net.SplitHostPort(testbed.RegistryHost)
	found, _, _ := strings.Cut(b.Run(t, "getent", "ahostsv4", name), " ")
	return net.JoinHostPort(found, port)
}

// trust has the tools of all hosts of the site trust the certificate.
func (b *bench) trust(t *testing.T, pem []byte) {
	t.Helper()
	for _, dir := range []string{
		"/etc/docker/certs.d/" + testbed.RegistryHost, "/etc/containers/certs.d/" + testbed.RegistryHost,
		testbed.HostsDir + "/" + testbed.RegistryHost, testbed.TrustedDir,
	} {
		b.Write(t, dir+"/ca.crt", 0o644, pem)
	}
}
