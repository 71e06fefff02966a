package upstream

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"

	"opendev.org/zuul/zuul-registry/server/reload"
)

// Credentials are those of a Docker config file, or of the helper programs that it
// names. It is read again when it changes. Make them with OpenCredentials.
type Credentials struct {
	log    *slog.Logger
	stores *reload.Value[*credentials.DynamicStore]
}

// OpenCredentials reads the file. The error says what is wrong with it, and no
// password.
func OpenCredentials(path string, log *slog.Logger) (*Credentials, error) {
	stores, err := reload.Open(func() (*credentials.DynamicStore, error) {
		if err := checkAuths(path); err != nil {
			return nil, err
		}
		store, err := credentials.NewStore(path, credentials.StoreOptions{})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		log.Info("credentials for upstreams read", "path", path)
		return store, nil
	}, path)
	return &Credentials{log, stores}, err
}

// checkAuths finds what oras would find only when it is needed, and would then
// repeat in its error, password and all.
func checkAuths(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var config struct {
		Auths map[string]struct{ Auth string }
	}
	if err := json.Unmarshal(text, &config); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	for key, entry := range config.Auths {
		user, err := base64.StdEncoding.DecodeString(entry.Auth)
		if err != nil || entry.Auth != "" && !strings.Contains(string(user), ":") {
			return fmt.Errorf("%s: the auth of %q is not the Base64 of a user, a colon and a password", path, key)
		}
	}
	return nil
}

// store is what the file has now; nil for no file.
func (c *Credentials) store() *credentials.DynamicStore {
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
func (r *Registry) credential(ctx context.Context, store *credentials.DynamicStore, host string) (auth.Credential, error) {
	if store == nil || host != r.address.Host() {
		return auth.EmptyCredential, nil
	}
	for _, key := range r.keys() {
		c, err := store.Get(ctx, key)
		if err != nil {
			return auth.EmptyCredential, fmt.Errorf("credentials for %q: %w", key, err)
		}
		if c != auth.EmptyCredential {
			return c, nil
		}
	}
	return auth.EmptyCredential, nil
}

// keys are the names of the upstream in a Docker config file, first the one that
// docker login writes. Podman writes what it was told.
func (r *Registry) keys() []string {
	host := r.address.Host()
	key := credentials.ServerAddressFromHostname(host)
	if key == host {
		return []string{host}
	}
	return []string{key, "docker.io", host, "index.docker.io"}
}
