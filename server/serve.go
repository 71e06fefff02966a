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
	listening, err := listen(c)
	defer func() { err = errors.Join(err, listening.close()) }()
	if err != nil {
		return err
	}
	store, err := openStore(ctx, c, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.close()) }()
	measured := metrics.New(version)
	assembled, err := assemble(c, log, store, measured)
	if err != nil {
		return err
	}
	defer assembled.close()
	stopPruning := timer{c, log, assembled.kept, measured}.start()
	defer stopPruning()
	s, err := newServer(c, log)
	if err != nil {
		return err
	}
	if err := p.welcome(c, listening.public(), generated.password); err != nil {
		return err
	}
	handlers := []http.Handler{assembled.handler, assembled.pushes}
	for i, l := range listening.public() {
		s.open(l, handlers[i], s.tls)
		log.Info("serving", "address", l.Addr().String(), "pushes", i == 1 || listening.pushes == nil,
			"tls", c.TLS, "storage", c.Storage, "place", store.place, "namespacing", c.Namespacing, "upstreams", c.Upstreams, "version", version)
	}
	if l := listening.metrics; l != nil {
		s.open(l, measured.Handler(), nil)
		log.Info("serving metrics", "url", "http://"+l.Addr().String()+metrics.Path)
	}
	return s.run(ctx)
}

// listeners are those of a server; nil where no address is set.
type listeners struct{ images, pushes, metrics net.Listener }

// listen opens all of them. What is open when it fails comes with the error.
func listen(c config.Config) (l listeners, err error) {
	for _, at := range []struct {
		variable, address string
		into              *net.Listener
	}{{"ADDRESS", c.Address, &l.images}, {"PUSH_ADDRESS", c.PushAddress, &l.pushes}, {"METRICS_ADDRESS", c.MetricsAddress, &l.metrics}} {
		if at.address == "" {
			continue
		}
		if *at.into, err = net.Listen("tcp", at.address); err != nil {
			return l, wrong(at.variable, at.address, err)
		}
	}
	return l, nil
}

// public are those that images are pulled from and pushed to, in this order.
func (l listeners) public() []net.Listener {
	if l.pushes == nil {
		return []net.Listener{l.images}
	}
	return []net.Listener{l.images, l.pushes}
}

// close closes those that the server has not.
func (l listeners) close() error {
	var errs error
	for _, one := range []net.Listener{l.images, l.pushes, l.metrics} {
		if one == nil {
			continue
		}
		if err := one.Close(); !errors.Is(err, net.ErrClosed) {
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
