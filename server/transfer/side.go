package transfer

import (
	"context"
	"crypto/x509"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"oras.land/oras-go/v2/registry/remote/auth"

	"opendev.org/zuul/zuul-registry/server/peer"
)

// Side is how the registries are spoken to that images come from, or go to.
type Side struct {
	// Credentials are looked into in this order.
	Credentials []*peer.Credentials
	// AuthorityFiles hold CA certificates, PEM, that are trusted beside the system's.
	AuthorityFiles []string
	// CertificateDirectories are those where <host>[:<port>]/*.crt are such for that
	// registry (containers-certs.d).
	CertificateDirectories []string

	// For what to do, in errors: where credentials were looked for, those files
	// that are not there as well, and what names a file of them, or of authorities.
	AuthFiles                         []string
	AuthVariable, AuthoritiesVariable string
}

// find is what to log in to a registry with, and the path of the file that has it;
// nothing, if none has.
func (s *Side) find(ctx context.Context, r Reference) (auth.Credential, string, error) {
	for _, file := range s.Credentials {
		found, err := file.Find(ctx, r.host(), r.Repository)
		if err != nil || found != auth.EmptyCredential {
			return found, file.Path(), err
		}
	}
	return auth.EmptyCredential, "", nil
}

// authorities are trusted for a registry.
func (s *Side) authorities(r Reference) (*x509.CertPool, error) {
	files := slices.Clone(s.AuthorityFiles)
	for _, directory := range s.CertificateDirectories {
		for _, name := range slices.Compact([]string{r.Registry, r.host()}) {
			found, err := filepath.Glob(filepath.Join(literal(directory), literal(name), "*.crt"))
			if err != nil {
				return nil, err
			}
			files = append(files, found...)
		}
	}
	if files == nil {
		return nil, nil // the system's
	}
	return peer.OpenAuthorities(files...)
}

// Reach is the way to a registry, <host>[:<port>], and what to log in with there; for those
// who ask it for something else than images.
func (s *Side) Reach(ctx context.Context, registry string, timeout time.Duration) (*http.Transport, auth.Credential, error) {
	r := Reference{Registry: registry}
	authorities, err := s.authorities(r)
	if err != nil {
		return nil, auth.EmptyCredential, err
	}
	found, _, err := s.find(ctx, r)
	return peer.NewTransport(authorities, timeout), found, err
}

// literal is a path as a pattern that matches it alone: IPv6 addresses have
// brackets.
func literal(path string) string {
	var pattern []byte
	for _, c := range []byte(path) {
		switch c {
		case '*', '?', '[', '\\':
			pattern = append(pattern, '\\')
		}
		pattern = append(pattern, c)
	}
	return string(pattern)
}

// hosts are the connections to all registries, of one run.
type hosts struct {
	timeout time.Duration

	mu  sync.Mutex
	all map[hostOfSide]*http.Transport
}

type hostOfSide struct {
	side     *Side
	registry string
}

func newHosts(o Options) *hosts {
	return &hosts{timeout: o.Timeout, all: map[hostOfSide]*http.Transport{}}
}

// transport is the HTTP to a registry. The same one on two sides is two: each has
// its own authorities.
func (h *hosts) transport(s *Side, r Reference) (*http.Transport, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	key := hostOfSide{s, r.registryName()}
	if h.all[key] == nil {
		authorities, err := s.authorities(r)
		if err != nil {
			return nil, err
		}
		h.all[key] = peer.NewTransport(authorities, h.timeout)
	}
	return h.all[key], nil
}
