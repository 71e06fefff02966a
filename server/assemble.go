package main

import (
	"log/slog"
	"net/http"
	"time"

	"opendev.org/zuul/zuul-registry/server/access"
	"opendev.org/zuul/zuul-registry/server/api"
	"opendev.org/zuul/zuul-registry/server/config"
	"opendev.org/zuul/zuul-registry/server/local"
	"opendev.org/zuul/zuul-registry/server/namespace"
	"opendev.org/zuul/zuul-registry/server/oci"
	"opendev.org/zuul/zuul-registry/server/storage"
	"opendev.org/zuul/zuul-registry/server/token"
	"opendev.org/zuul/zuul-registry/server/web"
)

// idle is how long a client may neither send nor take a byte.
const idle = 2 * time.Minute

// assemble wires the server: one layer a line.
func assemble(c config.Config, log *slog.Logger, store storage.Driver) (http.Handler, error) {
	tokens, err := openTokens(c, log)
	if err != nil {
		return nil, err
	}

	kept := local.New(store)
	var registry oci.Registry = kept
	registry = access.Guard(registry, registry)

	faults := api.ErrorWriter{Log: log}
	routes := web.Routes{
		web.HealthyPath: http.HandlerFunc(web.Healthy),
		web.ReadyPath:   web.Ready(log, kept.Ready),
		token.Path:      faults.Handler(tokens.Endpoint, token.BasicChallenge()),
	}
	images := api.New(registry, api.Options{
		Name:  namespace.Auto.Name,
		Login: access.Authenticated, MayPush: access.MayPush, Challenges: tokens.Challenges, Errors: faults,
	})
	routes["/"] = images
	return web.Chain(routes, web.Options{
		Log: log, Identify: tokens.Identify, Describe: images.Describe, BehindProxy: !c.TLS, Idle: idle,
	}), nil
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
