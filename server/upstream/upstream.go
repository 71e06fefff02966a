// Package upstream reads somebody else's registry over HTTP. What it gives is as
// good as the upstream's word and the digests: manifests are what their digest
// says, blobs are for the caller to verify.
//
// Errors are of type oci.Error. What the upstream does not have, or refuses, is
// one of the UNKNOWN codes; whatever else goes wrong is UNAVAILABLE. Only when the
// caller's own context is done is it that context's error.
package upstream

import (
	"context"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"time"

	"oras.land/oras-go/v2/registry"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"

	"opendev.org/zuul/zuul-registry/server/peer"
)

// Options are the settings of all upstreams.
type Options struct {
	// URLs are the registries by namespace: "https://registry-1.docker.io" for
	// "docker.io". They have the scheme http or https, a host, maybe a port, and
	// no path.
	URLs map[string]string
	// Credentials are to log in to upstreams with; nil for none.
	Credentials *Credentials
	// Authorities are trusted to sign certificates; nil for the system's.
	Authorities *x509.CertPool
	// Timeout, more than 0, is how long an upstream may take to the first byte of
	// an answer, with all that comes before it: connecting, getting a token,
	// trying again. It is also how long the next piece of a body may take.
	Timeout time.Duration
	// UserAgent is what upstreams are told about us. Empty: Go's own.
	UserAgent string
	// Log gets a warning for each refusal, with the credentials that are missing.
	Log *slog.Logger
}

// Registries are the upstreams by namespace ("docker.io").
type Registries map[string]*Registry

// Open prepares upstreams; none is asked yet. The error says which URL cannot be
// used.
func Open(o Options) (Registries, error) {
	g := &gate{base: peer.NewTransport(o.Authorities, o.Timeout), limits: map[string]*lastLimit{}, closed: map[string]time.Time{}}
	client := &http.Client{Transport: retrying(g), CheckRedirect: peer.CheckRedirect}
	all := Registries{}
	for namespace, text := range o.URLs {
		u, err := url.Parse(text)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return nil, fmt.Errorf("upstream %s: %q is not http:// or https:// and a host", namespace, text)
		}
		address := registry.Reference{Registry: u.Host}
		g.limits[address.Host()] = &lastLimit{}
		all[namespace] = &Registry{
			namespace:   namespace,
			url:         u.Scheme + "://" + u.Host,
			address:     address,
			plain:       u.Scheme == "http",
			timeout:     o.Timeout,
			agent:       o.UserAgent,
			log:         o.Log,
			http:        client,
			gate:        g,
			credentials: o.Credentials,
		}
	}
	return all, nil
}

// Registry is one upstream. Open makes it. Its methods may be called at the same
// time.
type Registry struct {
	namespace   string
	url         string             // as it was given
	address     registry.Reference // without a repository
	plain       bool               // HTTP, not HTTPS
	timeout     time.Duration
	agent       string
	log         *slog.Logger
	http        *http.Client // knows no credentials
	gate        *gate        // within http
	credentials *Credentials // nil for none
	outcomes    outcomes

	mu     sync.Mutex
	client *auth.Client      // with the tokens that store got
	store  *peer.Credentials // nil for none
}

// maxListing is how many bytes of a listing are read, over all of its pages. The
// greatest repositories of Docker Hub have some ten thousand tags.
const maxListing = 32 << 20

// The most pages of a listing, and how much is asked for in one.
const (
	maxPages = 1000
	pageSize = 1000
)

// through is an operation: it does something with oras' view of a repository, and the
// client through which that asks.
func through[V any](ctx context.Context, r *Registry, a about, do func(*remote.Repository, *document) (V, error)) (V, error) {
	var none V
	ref, err := r.reference(a)
	if err != nil {
		return none, r.settle(ctx, err, a)
	}
	d := &document{client: r.authorized(), timeout: r.timeout, left: maxListing}
	v, err := do(&remote.Repository{
		Client: d, Reference: ref, PlainHTTP: r.plain,
		TagListPageSize: pageSize, TagListMaxPages: maxPages, ReferrerListMaxPages: maxPages,
	}, d)
	if err = r.settle(ctx, d.explain(err), a); err != nil {
		return none, err
	}
	return v, nil
}

// reference is a repository's address. A name that no registry can have is not
// there.
func (r *Registry) reference(a about) (registry.Reference, error) {
	ref := r.address
	ref.Repository = a.repository
	if err := ref.ValidateRepository(); err != nil {
		return ref, &absentError{err}
	}
	return ref, nil
}
