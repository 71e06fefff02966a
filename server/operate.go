package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"opendev.org/zuul/zuul-registry/server/certificate"
	"opendev.org/zuul/zuul-registry/server/config"
	"opendev.org/zuul/zuul-registry/server/local"
	"opendev.org/zuul/zuul-registry/server/web"
)

// load reads the configuration and opens the log.
func (p *program) load() (config.Config, *slog.Logger, error) {
	c, err := config.Load(p.environ)
	if err != nil {
		return c, nil, usageError{err}
	}
	options := &slog.HandlerOptions{Level: c.LogLevel}
	var h slog.Handler = slog.NewTextHandler(p.stderr, options)
	if c.LogFormat == config.JSON {
		h = slog.NewJSONHandler(p.stderr, options)
	}
	return c, slog.New(web.LogHandler(h)), nil
}

// config prints the settings as a file of environment variables.
func (p *program) config(context.Context) error {
	c, err := config.Load(p.environ)
	if err != nil {
		return usageError{err}
	}
	for _, v := range c.Describe() {
		value := v.Name + "=" + v.Value
		if v.Value == "" {
			value = "#" + value
		}
		if v.Default != "" {
			v.Meaning += " (default " + v.Default + ")"
		}
		if _, err := fmt.Fprintf(p.stdout, "# %s\n%s\n", v.Meaning, value); err != nil {
			return err
		}
	}
	return nil
}

func (p *program) certificate(context.Context) error {
	c, _, err := p.load()
	if err != nil {
		return err
	}
	created, err := certificate.Ensure(certificate.Files{Certificate: c.TLSCert, Key: c.TLSKey}, c.TLSHosts)
	if err != nil {
		return err
	}
	did := "left alone"
	if created {
		did = "written"
	}
	_, err = fmt.Fprintf(p.stdout, "%s and %s %s\n", c.TLSCert, c.TLSKey, did)
	return err
}

func (p *program) check(ctx context.Context) error {
	c, log, err := p.load()
	if err != nil {
		return err
	}
	store, err := attachStore(ctx, c, log)
	if err != nil {
		return fmt.Errorf("no store to check: %w", err)
	}
	faults, moved, progress := 0, 0, p.progress("checking")
	err = openLocal(c, store).Check(ctx, local.Inspection{
		Quarantine: c.CheckQuarantine,
		Report: func(f local.Fault) {
			faults++
			if f.Moved != "" {
				moved++
				f.Problem += ", moved to " + f.Moved
			}
			progress.clear()
			_, _ = fmt.Fprintf(p.stdout, "%s: %s\n", f.Object, f.Problem)
		},
		Progress: progress.show,
	})
	progress.end()
	if err != nil {
		return err
	}
	summary := fmt.Sprintf("%s: %d objects checked, faults found: %d", store.place, progress.done, faults)
	if c.CheckQuarantine {
		summary += fmt.Sprintf(", moved to quarantine: %d", moved)
	}
	if _, err := fmt.Fprintln(p.stdout, summary); err != nil {
		return err
	}
	if faults > 0 {
		return errFaults
	}
	return nil
}

// health asks the server that the configuration describes.
func (p *program) health(ctx context.Context) error {
	c, err := config.Load(p.environ)
	if err != nil {
		return usageError{err}
	}
	client, url := here(c)
	client.Timeout = 5 * time.Second
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url+web.HealthyPath, nil)
	if err != nil {
		return err
	}
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return errors.New("the registry answers " + answer.Status)
	}
	return nil
}

// here is the way to the registry running here, and its URL. The certificate is for other
// names, and not looked at: nothing secret may be sent.
func here(c config.Config) (client *http.Client, url string) {
	scheme := "http"
	if c.TLS {
		scheme = "https"
	}
	return &http.Client{Transport: &http.Transport{
		// Go dials this machine when the address has no host.
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, c.Address)
		},
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
	}}, scheme + "://localhost"
}
