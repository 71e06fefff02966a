package testbed

import (
	"fmt"
	"net"
	"os/exec"
	"sync/atomic"
	"testing"
)

// Site is a part of the network that a test has to itself: the addresses of a
// registry and of the upstreams. What is at one site does not know of others,
// so that tests can run at the same time.
type Site struct {
	engine *Engine
	bed    *Bed
	number int32
	etc    string // the folder of the configuration of its hosts
}

// Two registries of the world have their names at each site, and addresses
// that are there whether they run or not: while they do not, they refuse.
const (
	hubName  = "registry-1.docker.io"
	quayName = "quay.io"
)

// A registry under test has another name, and one that nobody is told to trust
// is a stranger. No address is loopback: see the package.
const (
	registryName = "registry.test"
	strangerName = "stranger.test"
)

// names are those that hosts and the registry know at a site, with the last
// part of their addresses.
var names = map[string]int{registryName: 10, strangerName: 11, hubName: 20, quayName: 21}

var sites atomic.Int32

// OpenSite opens a site. Its addresses are there as long as the bed is.
func (e *Engine) OpenSite(t *testing.T) *Site {
	t.Helper()
	s := &Site{engine: e, bed: e.bed, number: sites.Add(1)}
	for name := range names {
		if _, err := Run(exec.Command(ip, "address", "add", s.address(name)+"/32", "dev", "lo")); err != nil {
			t.Fatal(err)
		}
	}
	s.configure(t)
	return s
}

// address is where a name leads to.
func (s *Site) address(name string) string { return fmt.Sprintf("10.99.%d.%d", s.number, names[name]) }

// extraHosts are all names, as Docker wants them for a container.
func (s *Site) extraHosts() (hosts []string) {
	for name := range names {
		hosts = append(hosts, name+":"+s.address(name))
	}
	return hosts
}

// endpoint is where a name of a registry under test is listened for.
func (s *Site) endpoint(name string) string { return net.JoinHostPort(s.address(name), registryPort) }
