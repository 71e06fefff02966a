package testbed

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// Swift is OpenStack's object store, with all its servers. Each Swift has an
// address of its own, and the ports that Swift has anywhere.
type Swift struct {
	t        testing.TB // for which it runs; a server may be started again by a part of it
	bed      *Bed
	keystone *Keystone // or nil
	address  string
	etc      string   // the folder of its settings
	devices  string   // the folder of what it stores
	object   *process // of these two more is asked than to run
	proxy    *process
}

// SwiftOptions are what a test decides of a Swift; everything may be left out.
type SwiftOptions struct {
	Keystone *Keystone // knows the users; otherwise Swift does, by its tempauth
	Copies   int       // of each object, each on a device of its own; 1 if left out
	Listing  int       // the most names in one answer; 10,000 if left out
	Segments int       // the most segments of a static large object; 1,000 if left out
}

const (
	proxyServer     = "swift-proxy-server"
	accountServer   = "swift-account-server"
	containerServer = "swift-container-server"
	objectServer    = "swift-object-server"
	memcached       = "memcached"
)

var swifts atomic.Int32

// StartSwift starts a Swift for the test, which is empty.
func (b *Bed) StartSwift(t testing.TB, o SwiftOptions) *Swift {
	t.Helper()
	Need(t, proxyServer, accountServer, containerServer, objectServer, memcached)
	s := &Swift{
		t:        t,
		bed:      b,
		keystone: o.Keystone,
		address:  fmt.Sprintf("127.0.1.%d", swifts.Add(1)),
		etc:      b.store(t, "swift"),
		devices:  b.store(t, "devices"),
	}
	if s.keystone != nil {
		s.keystone.addStore(t, s.URL())
	}
	o.Copies = max(1, o.Copies)
	s.configure(t, o)
	s.start()
	return s
}

// start starts all servers at once, of which each takes its second, and returns
// when they answer.
func (s *Swift) start() {
	s.t.Helper()
	cache := s.serve(memcached, "-u", "root", "-l", s.address, "-U", "0", "-m", "16")
	account := s.serveSwift(accountServer)
	container := s.serveSwift(containerServer)
	s.object = s.serveSwift(objectServer)
	s.proxy = s.serveSwift(proxyServer)
	cache.await(s.t, startup, s.listens)
	account.await(s.t, startup, s.healthy(accountPort))
	container.await(s.t, startup, s.healthy(containerPort))
	s.object.await(s.t, startup, s.healthy(objectPort))
	s.proxy.await(s.t, startup, s.healthy(proxyPort))
}

const startup = time.Minute // of a server that is written in Python, on a busy machine

// serveSwift starts a server of Swift's, which writes down what it would tell the
// machine's log.
func (s *Swift) serveSwift(name string) *process {
	s.t.Helper()
	return s.serve(name, "/etc/swift/"+strings.TrimPrefix(name, "swift-")+".conf", "-v")
}

// serve starts one of the servers. It has the settings where Swift looks for
// them, at a path that is in its code.
func (s *Swift) serve(command ...string) *process {
	s.t.Helper()
	const settled = `mount --bind "$0" /etc/swift && exec "$@"`
	server := exec.Command("sh", append([]string{"-c", settled, s.etc}, command...)...)
	server.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	p := start(s.t, s.bed.store(s.t, command[0]), 5*time.Second, server)
	p.name, p.cut = command[0], true
	return p
}

func (s *Swift) listens() error {
	connection, err := net.Dial("tcp", net.JoinHostPort(s.address, cachePort))
	if err != nil {
		return err
	}
	return connection.Close()
}

func (s *Swift) healthy(port string) func() error {
	client := http.Client{Timeout: 5 * time.Second}
	return func() error {
		response, err := client.Get("http://" + net.JoinHostPort(s.address, port) + "/healthcheck")
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("its health is %s", response.Status)
		}
		return nil
	}
}

// URL is where clients reach Swift: its proxy server.
func (s *Swift) URL() string { return "http://" + net.JoinHostPort(s.address, proxyPort) }

// StopProxy ends the one server that clients speak with. What it had in hand is
// broken off.
func (s *Swift) StopProxy(t testing.TB) {
	t.Helper()
	s.proxy.stop(t)
}

// StartProxy starts that server again.
func (s *Swift) StartProxy(t testing.TB) {
	t.Helper()
	s.proxy = s.serveSwift(proxyServer)
	s.proxy.await(t, startup, s.healthy(proxyPort))
}

// The user that Swift knows by itself.
const (
	swiftUser = "test:tester"
	swiftKey  = "the-key-of-swift"
)

// Environment has a client log in, as the swift command does.
func (s *Swift) Environment() []string {
	if s.keystone != nil {
		return s.keystone.Environment()
	}
	return s.EnvironmentVia(s.URL())
}

// EnvironmentVia has a client log in that reaches Swift through something in
// between, at another URL. That is to leave the Host of requests as it is: then
// Swift, if it knows the user by itself, takes what is in between for itself, and
// sends the client there for all that follows.
func (s *Swift) EnvironmentVia(url string) []string {
	return []string{"ST_AUTH=" + url + "/auth/v1.0", "ST_USER=" + swiftUser, "ST_KEY=" + swiftKey}
}

// ForgetTokens has Swift know no more who has logged in, so that each must do so
// again.
func (s *Swift) ForgetTokens(t testing.TB) {
	t.Helper()
	cache, err := net.Dial("tcp", net.JoinHostPort(s.address, cachePort))
	if err != nil {
		t.Fatal(err)
	}
	defer cache.Close()
	answer := make([]byte, 16)
	if _, err := fmt.Fprint(cache, "flush_all\r\n"); err != nil {
		t.Fatal(err)
	}
	if n, err := cache.Read(answer); err != nil || string(answer[:n]) != "OK\r\n" {
		t.Fatalf("memcached answers %q, %v", answer[:n], err)
	}
}

// configure writes the settings of all servers, and makes their folders.
func (s *Swift) configure(t testing.TB, o SwiftOptions) {
	t.Helper()
	dirs := []string{"/etc/swift"}
	for n := range o.Copies {
		dirs = append(dirs, filepath.Join(s.devices, device(n)))
	}
	for _, dir := range dirs {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	// What Swift knows of an object is with its file, which not every file system allows.
	if err := syscall.Setxattr(s.devices, "user.swift", []byte("allowed"), 0); err != nil {
		Missing(t, "extended attributes of files in "+s.devices)
	}
	for name, content := range s.settings(o) {
		if err := os.WriteFile(filepath.Join(s.etc, name), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
