package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"opendev.org/zuul/zuul-registry/server/certificate"
	"opendev.org/zuul/zuul-registry/server/config"
	"opendev.org/zuul/zuul-registry/server/storage/filesystem"
)

// A server that is told to end finishes what it can in drain, and then cuts off
// what is left, which has the grace to keep what arrived.
const (
	drain = 4 * time.Second
	grace = 500 * time.Millisecond
)

func (p *program) serve(ctx context.Context) (err error) {
	c, log, err := p.load()
	if err != nil {
		return err
	}
	generated := generate(&c)
	store, err := filesystem.New(filesystem.Options{Root: c.StorageRoot, Sync: c.StorageSync})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	handler, err := assemble(c, log, store)
	if err != nil {
		return err
	}
	s, err := newServer(c, log, handler)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", c.Address)
	if err != nil {
		return err
	}
	if err := p.welcome(c, listener.Addr(), generated); err != nil {
		return errors.Join(err, listener.Close())
	}
	log.Info("serving", "address", listener.Addr().String(), "tls", c.TLS, "storage", c.Storage, "root", c.StorageRoot, "version", version)
	return s.run(ctx, listener)
}

// generate makes the secrets that were not given, and says whether the password
// is one of them.
func generate(c *config.Config) bool {
	if c.Secret == "" {
		c.Secret = config.Secret(rand.Text() + rand.Text())
	}
	if c.Password != "" {
		return false
	}
	c.Password = config.Secret(rand.Text())
	return true
}

// server is an http.Server that knows when its last handler has returned.
type server struct {
	http   http.Server
	tls    bool
	log    *slog.Logger
	active sync.WaitGroup // requests
}

func newServer(c config.Config, log *slog.Logger, handler http.Handler) (*server, error) {
	s := &server{tls: c.TLS, log: log}
	s.http = http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s.active.Add(1)
			defer s.active.Done()
			handler.ServeHTTP(w, r)
		}),
		ReadHeaderTimeout: time.Minute,
		IdleTimeout:       2 * time.Minute,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug), // handshakes of scanners, mostly
		// Go's HTTP/2 costs about twice the processor time of HTTP/1.1 on
		// pulls, and clients open several connections anyway.
		Protocols: new(http.Protocols),
	}
	s.http.Protocols.SetHTTP1(true)
	if !c.TLS {
		return s, nil
	}
	files := certificate.Files{Certificate: c.TLSCert, Key: c.TLSKey}
	if _, err := certificate.Ensure(files, c.TLSHosts); err != nil {
		return nil, err
	}
	current, err := certificate.Load(files, log)
	if err != nil {
		return nil, err
	}
	s.http.TLSConfig = &tls.Config{GetCertificate: current, MinVersion: tls.VersionTLS12}
	return s, nil
}

// run serves until ctx is done, and ends within drain and grace.
func (s *server) run(ctx context.Context, l net.Listener) error {
	ended := make(chan error, 1)
	go func() {
		if s.tls {
			ended <- s.http.ServeTLS(l, "", "")
		} else {
			ended <- s.http.Serve(l)
		}
	}()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	s.log.Info("ending")
	limited, cancel := context.WithTimeout(context.Background(), drain)
	defer cancel()
	if err := s.http.Shutdown(limited); err != nil {
		s.log.Warn("requests are cut off", "error", err)
		err = s.http.Close()
		s.settle()
		return err
	}
	return nil
}

// settle waits, but not for long, for the handlers of requests that were cut off.
func (s *server) settle() {
	settled := make(chan struct{})
	go func() { s.active.Wait(); close(settled) }()
	select {
	case <-settled:
	case <-time.After(grace):
	}
}

// welcome tells a person how to begin. It does not pass through the log, which
// must not hold a password.
func (p *program) welcome(c config.Config, address net.Addr, generated bool) error {
	_, port, err := net.SplitHostPort(address.String())
	if err != nil {
		return err
	}
	host, scheme := net.JoinHostPort("localhost", port), "http"
	url := c.PublicURL
	trust, options := "", " --dest-tls-verify=false"
	if c.TLS {
		scheme, trust, options = "https", "SSL_CERT_FILE="+c.TLSCert+" ", ""
	}
	if url == "" {
		url = scheme + "://" + host
	}
	password := "<password>"
	text := fmt.Sprintf("zuul-registry serves %s\n  user         %s\n", url, c.Username)
	if generated {
		password = string(c.Password)
		text += fmt.Sprintf("  password     %s (generated for this run: ZUUL_REGISTRY_PASSWORD sets a lasting one)\n", password)
	}
	if c.TLS {
		text += fmt.Sprintf("  certificate  %s\n", c.TLSCert)
	}
	text += fmt.Sprintf("Push an image:\n  %sskopeo copy%s --dest-creds %s:%s docker://docker.io/library/busybox docker://%s/library/busybox\n",
		trust, options, c.Username, password, host)
	_, err = fmt.Fprint(p.stdout, text)
	return err
}
