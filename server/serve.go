package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"

	"opendev.org/zuul/zuul-registry/server/config"
	"opendev.org/zuul/zuul-registry/server/metrics"
)

func (p *program) serve(ctx context.Context) (err error) {
	c, log, err := p.load()
	if err != nil {
		return err
	}
	generated := generate(&c)
	if c.Storage == config.Swift && generated != (secrets{}) {
		log.Warn("replicas have to share ZUUL_REGISTRY_PASSWORD and ZUUL_REGISTRY_SECRET: what is not set is made anew by each")
	}
	listeners, err := listen(c)
	defer func() { err = errors.Join(err, closeAll(listeners)) }()
	if err != nil {
		return err
	}
	store, err := openStore(ctx, c, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.close()) }()
	assembled, err := assemble(c, log, store)
	if err != nil {
		return err
	}
	defer assembled.close()
	measured := metrics.New()
	defer timer{c, log, assembled.kept, measured}.start()()
	s, err := newServer(c, log)
	if err != nil {
		return err
	}
	if err := p.welcome(c, listeners, generated.password); err != nil {
		return err
	}
	handlers := []http.Handler{assembled.handler, assembled.pushes}
	for i, l := range listeners {
		s.open(l, handlers[i], s.tls)
		log.Info("serving", "address", l.Addr().String(), "pushes", i == len(listeners)-1,
			"tls", c.TLS, "storage", c.Storage, "place", store.place, "namespacing", c.Namespacing, "upstreams", c.Upstreams, "version", version)
	}
	if c.MetricsAddress != "" {
		l, err := net.Listen("tcp", c.MetricsAddress)
		if err != nil {
			return wrong("METRICS_ADDRESS", c.MetricsAddress, err)
		}
		s.open(l, measured.Handler(), nil)
		log.Info("serving metrics", "url", "http://"+l.Addr().String()+metrics.Path)
	}
	return s.run(ctx)
}

// listen opens ADDRESS and then, if it is set, PUSH_ADDRESS. What is open when
// it fails comes with the error.
func listen(c config.Config) ([]net.Listener, error) {
	var all []net.Listener
	for _, at := range []struct{ variable, address string }{{"ADDRESS", c.Address}, {"PUSH_ADDRESS", c.PushAddress}} {
		if at.address == "" {
			continue
		}
		l, err := net.Listen("tcp", at.address)
		if err != nil {
			return all, wrong(at.variable, at.address, err)
		}
		all = append(all, l)
	}
	return all, nil
}

// closeAll closes those that the server has not.
func closeAll(listeners []net.Listener) error {
	var errs error
	for _, l := range listeners {
		if err := l.Close(); !errors.Is(err, net.ErrClosed) {
			errs = errors.Join(errs, err)
		}
	}
	return errs
}

// secrets says which of them were made.
type secrets struct{ password, token bool }

// generate makes the secrets that were not given.
func generate(c *config.Config) (made secrets) {
	if made.token = c.Secret == ""; made.token {
		c.Secret = config.Secret(rand.Text() + rand.Text())
	}
	if made.password = c.Password == ""; made.password {
		c.Password = config.Secret(rand.Text())
	}
	return made
}

// welcome tells a person how to begin. It does not pass through the log, which
// must not hold a password.
func (p *program) welcome(c config.Config, listeners []net.Listener, generated bool) error {
	urls, err := reachable(c, listeners)
	if err != nil {
		return err
	}
	pushes := urls[len(urls)-1]
	scheme, host, _ := strings.Cut(pushes, "://")
	text, password := fmt.Sprintf("zuul-registry serves %s\n", urls[0]), "<password>"
	if pushes != urls[0] {
		text += fmt.Sprintf("  for pushes   %s\n", pushes)
	}
	text += fmt.Sprintf("  user         %s\n", c.Username)
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

// reachable is a URL for each listener.
func reachable(c config.Config, listeners []net.Listener) ([]string, error) {
	scheme := "http://"
	if c.TLS {
		scheme = "https://"
	}
	var urls []string
	for _, l := range listeners {
		host, port, err := net.SplitHostPort(l.Addr().String())
		if err != nil {
			return nil, err
		}
		if ip := net.ParseIP(host); ip != nil && (ip.IsUnspecified() || ip.IsLoopback()) {
			host = "localhost"
		}
		urls = append(urls, scheme+net.JoinHostPort(host, port))
	}
	if c.PublicURL != "" {
		urls[0] = c.PublicURL // proxies know no other
	}
	return urls, nil
}
