// Package upstream is a read-only client of somebody else's registry.
//
// Tokens, manifests and listings are oras-go's work; blobs, which have to stream
// and to be resumed, are ours. Whatever is wrong with an answer is UNAVAILABLE,
// with the reason as its Cause; what a registry does not have, or does not give to
// us, is one of the UNKNOWN codes.
package upstream

import (
	"crypto/x509"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"oras.land/oras-go/v2/registry"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"

	"opendev.org/zuul/zuul-registry/server/oci"
)

// Options are for Open.
type Options struct {
	URLs        map[string]string // by namespace: "docker.io" is "https://registry-1.docker.io"
	Credentials *Credentials      // nil: none
	Authorities *x509.CertPool    // who is trusted to sign certificates; nil: the system's
	Timeout     time.Duration     // until the first byte of what was asked for, tokens and all, and between two pieces of it
	UserAgent   string
	Log         *slog.Logger
}

// Registries are registries by their namespace.
type Registries map[string]*Registry

// Registry is one registry. Make it with Open.
type Registry struct {
	namespace string
	url       *url.URL
	client    *auth.Client
	timeout   time.Duration
	log       *slog.Logger
}

// Open makes the clients, which share connections. It fails for a malformed URL.
func Open(o Options) (Registries, error) {
	transport, all := newTransport(o), Registries{}
	for namespace, text := range o.URLs {
		u, err := url.Parse(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", namespace, err)
		}
		all[namespace] = &Registry{
			namespace: namespace, url: u, timeout: o.Timeout, log: o.Log,
			client: &auth.Client{
				Client:     &http.Client{Transport: transport, CheckRedirect: checkRedirect},
				Header:     http.Header{"User-Agent": {o.UserAgent}},
				Credential: o.Credentials.of(u.Host),
				Cache:      &tokens{cache: auth.NewCache()},
				ClientID:   "zuul-registry",
			},
		}
	}
	return all, nil
}

// open is oras-go's client of the repository that is asked for.
func (q *query) open() (*remote.Repository, error) {
	r := q.registry
	reference := registry.Reference{Registry: r.url.Host, Repository: q.repository}
	if err := reference.ValidateRepository(); err != nil {
		return nil, q.notThere()
	}
	return &remote.Repository{
		Client: r.client, Reference: reference, PlainHTTP: r.url.Scheme == "http",
		MaxMetadataBytes: oci.MaxManifestSize,
		TagListPageSize:  pageSize, ReferrerListPageSize: pageSize,
		TagListMaxPages: mostPages, ReferrerListMaxPages: mostPages,
	}, nil
}
