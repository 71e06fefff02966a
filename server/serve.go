package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"strings"

	"opendev.org/zuul/zuul-registry/server/config"
	"opendev.org/zuul/zuul-registry/server/storage/filesystem"
)

func (p *program) serve(ctx context.Context) (err error) {
	c, log, err := p.load()
	if err != nil {
		return err
	}
	generated := generate(&c)
	listener, err := net.Listen("tcp", c.Address)
	if err != nil {
		return wrong("ADDRESS", c.Address, err)
	}
	defer func() {
		if gone := listener.Close(); !errors.Is(gone, net.ErrClosed) {
			err = errors.Join(err, gone)
		}
	}()
	store, err := filesystem.New(filesystem.Options{Root: c.StorageRoot, Sync: c.StorageSync})
	if err != nil {
		return wrong("STORAGE_ROOT", c.StorageRoot, err)
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
	if err := p.welcome(c, listener.Addr(), generated); err != nil {
		return err
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

// welcome tells a person how to begin. It does not pass through the log, which
// must not hold a password.
func (p *program) welcome(c config.Config, address net.Addr, generated bool) error {
	url, err := reachable(c, address)
	if err != nil {
		return err
	}
	scheme, host, _ := strings.Cut(url, "://")
	text, password := fmt.Sprintf("zuul-registry serves %s\n  user         %s\n", url, c.Username), "<password>"
	if generated {
		password = string(c.Password)
		text += fmt.Sprintf("  password     %s (for this run: ZUUL_REGISTRY_PASSWORD sets a lasting one)\n", password)
	}
	trust, option := "", ""
	switch {
	case c.TLS:
		text += fmt.Sprintf("  certificate  %s\n", c.TLSCert)
		trust = "SSL_CERT_FILE=" + c.TLSCert + " "
	case scheme == "http":
		option = " --dest-tls-verify=false"
	}
	_, err = fmt.Fprintf(p.stdout, "%sPush an image:\n  %sskopeo copy%s --dest-creds %s:%s docker://docker.io/library/busybox docker://%s/library/busybox\n",
		text, trust, option, c.Username, password, host)
	return err
}

// reachable is a URL of the registry.
func reachable(c config.Config, address net.Addr) (string, error) {
	if c.PublicURL != "" {
		return c.PublicURL, nil
	}
	host, port, err := net.SplitHostPort(address.String())
	if ip := net.ParseIP(host); ip != nil && (ip.IsUnspecified() || ip.IsLoopback()) {
		host = "localhost"
	}
	scheme := "http://"
	if c.TLS {
		scheme = "https://"
	}
	return scheme + net.JoinHostPort(host, port), err
}
