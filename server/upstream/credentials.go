package upstream

import (
	"context"
	"log/slog"

	"oras.land/oras-go/v2/registry/remote/auth"

	"opendev.org/zuul/zuul-registry/server/peer"
	"opendev.org/zuul/zuul-registry/server/reload"
)

// Credentials are those of a Docker config file, or of the helper programs that it
// names. It is read again when it changes. Make them with OpenCredentials.
type Credentials struct {
	log    *slog.Logger
	stores *reload.Value[*peer.Credentials]
}

// OpenCredentials reads the file. The error says what is wrong with it, and no
// password.
func OpenCredentials(path string, log *slog.Logger) (*Credentials, error) {
	stores, err := reload.Open(func() (*peer.Credentials, error) {
		store, err := peer.OpenCredentials(path)
		if err == nil {
			log.Info("credentials for upstreams read", "path", path)
		}
		return store, err
	}, path)
	return &Credentials{log, stores}, err
}

// store is what the file has now; nil for no file.
func (c *Credentials) store() *peer.Credentials {
	if c == nil {
		return nil
	}
	store, err := c.stores.Get()
	if err != nil {
		c.log.Error("credentials for upstreams cannot be read, those of before go on", "error", err)
	}
	return store
}

// authorized is the client that knows the credentials. It begins without tokens
// when they have changed: what those were got with may not be good any more.
func (r *Registry) authorized() *auth.Client {
	store := r.credentials.store()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.client != nil && r.store == store {
		return r.client
	}
	r.store = store
	r.client = &auth.Client{
		Client: r.http, Cache: newTokens(), ClientID: "zuul-registry",
		Credential: func(ctx context.Context, host string) (auth.Credential, error) { return r.credential(ctx, store, host) },
	}
	if r.agent != "" {
		r.client.SetUserAgent(r.agent)
	}
	return r.client
}

// credential is what to log in to the upstream with, and to no other host.
func (r *Registry) credential(ctx context.Context, store *peer.Credentials, host string) (auth.Credential, error) {
	if store == nil || host != r.address.Host() {
		return auth.EmptyCredential, nil
	}
	return store.Find(ctx, host, "")
}
