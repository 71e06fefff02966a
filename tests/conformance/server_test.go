package conformance

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// The writer of every server here. A password may hold any character: the
// colon is what Basic credentials are split at.
const (
	writerName     = "zuul"
	writerPassword = "correct: horse Bätterie/100%+"
	signingSecret  = "conformance-signing-secret-of-48-bytes-and-more!"
)

// How long a server may take to answer its first request, and to end.
const (
	startTime = 20 * time.Second
	drainTime = 5 * time.Second
)

// installation is what outlives a server: its address, settings and files.
type installation struct {
	address  string            // host:port
	root     string            // directory of the certificate and the store
	settings map[string]string // environment variables, without their prefix
	further  []string          // environment variables that are not the registry's own
}

// base is what the URLs of a server there begin with.
func (i installation) base() string {
	if i.settings["TLS"] == "off" {
		return "http://" + i.address
	}
	return "https://" + i.address
}

// newInstallation picks a free port and makes the directory. Settings that are
// given go before those that every server here has.
func newInstallation(root string, settings map[string]string) (installation, error) {
	if err := os.MkdirAll(root, 0o700); err != nil {
		return installation{}, err
	}
	address, err := freeAddress()
	if err != nil {
		return installation{}, err
	}
	all := map[string]string{
		"ADDRESS":      address,
		"TLS_CERT":     filepath.Join(root, "tls", "cert.pem"),
		"TLS_KEY":      filepath.Join(root, "tls", "cert.key"),
		"STORAGE_ROOT": filepath.Join(root, "storage"),
		"USERNAME":     writerName,
		"PASSWORD":     writerPassword,
		"SECRET":       signingSecret,
		"UPSTREAMS":    "none", // but those that a test makes: there is no network
	}
	for name, value := range settings {
		all[name] = value
	}
	return installation{address: address, root: root, settings: all}, nil
}

// The ports of servers. They are not those that the kernel gives to whoever asks
// for any: one of these could go to a connection before its server has it.
const firstPort, ports = 10_000, 20_000

// beginning is where the search begins, since other tests may search as well, and
// tried is how many ports were tried from there on.
var (
	beginning = rand.Int64N(ports)
	tried     atomic.Int64
)

// freeAddress is host:port of where nobody listens, each time another one.
func freeAddress() (string, error) {
	syscall.ForkLock.RLock() // else a program that is just started has the port, too, for a moment
	defer syscall.ForkLock.RUnlock()
	listener, err := listen()
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}

// listen takes a free port.
func listen() (listener net.Listener, err error) {
	for range 100 {
		listener, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", firstPort+(beginning+tried.Add(1))%ports))
		if err == nil {
			return listener, nil
		}
	}
	return nil, err
}

// server is a running registry.
type server struct {
	installation
	client *http.Client
	trust  *x509.CertPool

	process *exec.Cmd
	log     *bytes.Buffer // standard error; to be read when the process has ended
	exited  chan struct{} // closed then

	repositories atomic.Int64 // how many newRepository has made

	mu      sync.Mutex
	secrets map[string]bool // must not be in the log
}

// start runs the program, configured by environment variables alone, until it
// answers.
func (i installation) start() (*server, error) {
	s := &server{
		installation: i,
		log:          new(bytes.Buffer),
		exited:       make(chan struct{}),
		secrets:      map[string]bool{writerPassword: true, signingSecret: true},
	}
	s.process = i.command()
	s.process.Stderr = s.log
	if err := s.process.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(s.exited)
		_ = s.process.Wait() // ProcessState tells
	}()
	if err := s.awaitHealth(); err != nil {
		_ = s.process.Process.Kill()
		<-s.exited
		return nil, fmt.Errorf("%w; its log:\n%s", err, s.log)
	}
	return s, nil
}

// command is the program as it is started there.
func (i installation) command() *exec.Cmd {
	c := exec.Command(binary, "serve")
	c.Dir = i.root
	c.Env = append([]string{"TMPDIR=" + i.root}, i.further...)
	for name, value := range i.settings {
		c.Env = append(c.Env, "ZUUL_REGISTRY_"+name+"="+value)
	}
	return c
}

// awaitHealth asks for /healthz until the server answers, trusting the
// certificate that it made for itself and no other.
func (s *server) awaitHealth() error {
	late := time.After(startTime)
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		if s.healthy() {
			return nil
		}
		select {
		case <-s.exited:
			return fmt.Errorf("the server has ended: %s", s.process.ProcessState)
		case <-late:
			return fmt.Errorf("the server did not answer within %s", startTime)
		case <-again.C:
		}
	}
}

func (s *server) healthy() bool {
	s.trust = x509.NewCertPool()
	if s.settings["TLS"] != "off" {
		certificate, err := os.ReadFile(s.settings["TLS_CERT"])
		if err != nil || !s.trust.AppendCertsFromPEM(certificate) {
			return false
		}
	}
	s.client = &http.Client{
		Timeout: time.Minute,
		Transport: &http.Transport{
			TLSClientConfig:     &tls.Config{RootCAs: s.trust},
			DisableCompression:  true,
			MaxIdleConnsPerHost: 16,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	response, err := s.client.Get(s.base() + "/healthz")
	if err != nil {
		return false
	}
	_ = response.Body.Close()
	return response.StatusCode == http.StatusOK
}

// end asks the server to end. It reports a server that does not do so cleanly
// and in time, with clients still connected, or that has logged a secret.
func (s *server) end() error {
	if err := s.process.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	return s.awaitEnd()
}

// awaitEnd is end without asking.
func (s *server) awaitEnd() error {
	select {
	case <-s.exited:
	case <-time.After(drainTime + 2*time.Second):
		s.kill()
		return fmt.Errorf("the server did not end within %s of SIGTERM", drainTime)
	}
	s.client.CloseIdleConnections()
	if code := s.process.ProcessState.ExitCode(); code != 0 {
		return fmt.Errorf("the server ended with %s, want exit code 0; its log:\n%s", s.process.ProcessState, s.log)
	}
	return s.leaked()
}

// kill ends the server in the middle of whatever it does.
func (s *server) kill() {
	_ = s.process.Process.Kill()
	<-s.exited
	s.client.CloseIdleConnections()
}

// keepSecret notes what must never be logged.
func (s *server) keepSecret(text string) {
	if len(text) < 8 {
		return // would be found by chance
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.secrets[text] = true
}

// leaked looks for secrets in the log of a server that has ended.
func (s *server) leaked() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []error
	for line := range strings.Lines(s.log.String()) {
		for secret := range s.secrets {
			if strings.Contains(line, secret) {
				found = append(found, fmt.Errorf("the log holds the secret %q: %s", secret, line))
			}
		}
	}
	return errors.Join(found...)
}

// start runs a server for one test, which ends with it.
func start(t *testing.T, settings map[string]string) *server {
	t.Helper()
	place, err := newInstallation(filepath.Join(t.TempDir(), "registry"), settings)
	if err != nil {
		t.Fatal(err)
	}
	return place.startFor(t)
}

// startFor starts the installation's server for a test.
func (i installation) startFor(t *testing.T) *server {
	t.Helper()
	s, err := i.start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		select {
		case <-s.exited: // the test has ended it
		default:
			s.stop(t)
		}
	})
	return s
}

// stop is end for a test.
func (s *server) stop(t *testing.T) {
	t.Helper()
	if err := s.end(); err != nil {
		t.Error(err)
	}
}
