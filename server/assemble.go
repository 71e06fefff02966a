package main

import (
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"opendev.org/zuul/zuul-registry/server/access"
	"opendev.org/zuul/zuul-registry/server/api"
	"opendev.org/zuul/zuul-registry/server/config"
	"opendev.org/zuul/zuul-registry/server/local"
	"opendev.org/zuul/zuul-registry/server/metrics"
	"opendev.org/zuul/zuul-registry/server/namespace"
	"opendev.org/zuul/zuul-registry/server/oci"
	"opendev.org/zuul/zuul-registry/server/peer"
	"opendev.org/zuul/zuul-registry/server/provenance"
	"opendev.org/zuul/zuul-registry/server/report"
	"opendev.org/zuul/zuul-registry/server/shadow"
	"opendev.org/zuul/zuul-registry/server/storage"
	"opendev.org/zuul/zuul-registry/server/token"
	"opendev.org/zuul/zuul-registry/server/upstream"
	"opendev.org/zuul/zuul-registry/server/web"
)

// idle is how long a client may neither send nor take a byte.
const idle = 2 * time.Minute

// assembly is what there is to serve.
type assembly struct {
	handler http.Handler // of ADDRESS
	pushes  http.Handler // of PUSH_ADDRESS; nil: it is not set
	kept    *local.Registry
	close   func() // to be called when the last handler has returned, before the store is closed
}

// assemble wires the server: one layer a line.
func assemble(c config.Config, log *slog.Logger, store storage.Driver, measured *metrics.Metrics) (assembly, error) {
	tokens, err := openTokens(c, log)
	if err != nil {
		return assembly{}, err
	}
	upstreams, err := openUpstreams(c, log)
	if err != nil {
		return assembly{}, err
	}
	measured.Upstreams(upstreams.States)

	store = measured.Storage(store, c.Storage)
	journal := provenance.Open(store, log)
	kept := openLocal(c, store)
	shadowed := shadow.New(kept, shadow.Options{Upstreams: upstreams, TagTTL: c.UpstreamTagTTL, Log: log})
	guarded, guardedPushes := access.Guard(shadowed), access.Guard(shadowed.Pushes())
	read := measured.Count(provenance.Record(guarded, journal.Note))
	written := provenance.Record(guardedPushes, provenance.Writes(journal.Note))

	sources := report.Sources{
		Journal: journal, Kept: kept, Store: store, Driver: c.Storage, Upstreams: upstreams,
		Name: c.Namespacing.Name, Version: version, Log: log,
	}
	reports := report.NewHandler(sources.Collect, access.MayList)

	speak := func(r oci.Registry, readOnly bool) http.Handler {
		faults := api.ErrorWriter{Log: log}
		images := api.New(r, api.Options{
			Name: c.Namespacing.Name, Pushes: guardedPushes, IsPusher: access.IsPusher, ReadOnly: readOnly,
			Login: access.Authenticated, MayPush: access.MayPush, Challenges: tokens.Challenges, Errors: faults,
		})
		return web.Chain(web.Routes{Rest: images, Paths: map[string]web.Route{
			web.HealthyPath: {Name: "healthz", Handler: http.HandlerFunc(web.Healthy)},
			web.ReadyPath:   {Name: "readyz", Handler: web.Ready(log, kept.Ready)},
			token.Path:      {Name: "token", Handler: faults.Handler(tokens.Endpoint, token.BasicChallenge())},
			report.PagePath: {Name: "page", Handler: faults.Handler(reports.Page, token.BasicChallenge())},
			report.Path:     {Name: "report", Handler: faults.Handler(reports.JSON, token.BasicChallenge())},
		}}, web.Options{
			Log: log, Identify: tokens.Identify, Describe: images.Describe, Begin: measured.Begin,
			BehindProxy: !c.TLS, Idle: idle,
		})
	}
	a := assembly{kept: kept, close: func() { shadowed.Close(); journal.Close() }}
	a.handler = speak(read, c.PushAddress != "")
	if c.PushAddress != "" {
		a.pushes = speak(written, false)
	}
	return a, nil
}

// openLocal makes the registry of what the store keeps.
func openLocal(c config.Config, store storage.Driver) *local.Registry {
	return local.New(store, local.Options{
		PerNamespace: c.Namespacing == namespace.Path, Older: c.Namespacing.Older, Grace: c.PruneUploadAge,
	})
}

func openUpstreams(c config.Config, log *slog.Logger) (upstream.Registries, error) {
	o := upstream.Options{URLs: c.Upstreams, Timeout: c.UpstreamTimeout, UserAgent: "zuul-registry/" + version, Log: log}
	for registry := range c.Upstreams {
		if !c.Namespacing.Names(registry) {
			return nil, wrong("UPSTREAMS", c.Upstreams.String(),
				fmt.Errorf("no name is of %s, which has neither a dot nor a port and is not localhost, unless NAMESPACING is path", registry))
		}
	}
	var err error
	if c.UpstreamAuthFile != "" {
		if o.Credentials, err = upstream.OpenCredentials(c.UpstreamAuthFile, log); err != nil {
			return nil, wrong("UPSTREAM_AUTH_FILE", c.UpstreamAuthFile, err)
		}
		if c.AnonymousRead {
			log.Warn("everybody may read what the credentials of ZUUL_REGISTRY_UPSTREAM_AUTH_FILE open: ZUUL_REGISTRY_ANONYMOUS_READ is true")
		}
	}
	if c.UpstreamCAFile != "" {
		if o.Authorities, err = peer.OpenAuthorities(c.UpstreamCAFile); err != nil {
			return nil, wrong("UPSTREAM_CA_FILE", c.UpstreamCAFile, err)
		}
	}
	return upstream.Open(o)
}

func openTokens(c config.Config, log *slog.Logger) (*token.Service, error) {
	var files []*access.Htpasswd
	for _, f := range []struct {
		variable, path string
		role           access.Role
	}{{"WRITERS_HTPASSWD", c.WritersHtpasswd, access.Writer}, {"READERS_HTPASSWD", c.ReadersHtpasswd, access.Reader}} {
		if f.path == "" {
			continue
		}
		file, err := access.OpenHtpasswd(f.path, f.role, log)
		if err != nil {
			return nil, wrong(f.variable, f.path, err)
		}
		files = append(files, file)
	}
	if c.ReadersHtpasswd != "" && c.AnonymousRead {
		log.Warn("everybody may read, not only the users of ZUUL_REGISTRY_READERS_HTPASSWD: ZUUL_REGISTRY_ANONYMOUS_READ is true")
	}
	return &token.Service{
		Secret: []byte(c.Secret), Lifetime: c.TokenLifetime,
		Users: access.NewUsers(c.Username, string(c.Password), files...), AnonymousRead: c.AnonymousRead, PublicURL: c.PublicURL,
	}, nil
}
