package upstream

import (
	"context"
	"log/slog"
	"os"
	"sync"

	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"

	"opendev.org/zuul/zuul-registry/server/reload"
)

// Credentials are those of a Docker configuration file, which is read again when
// it changes. Make them with OpenCredentials.
type Credentials struct {
	log  *slog.Logger
	file *reload.Value[credentials.Store]
}

// OpenCredentials reads such a file.
func OpenCredentials(path string, log *slog.Logger) (*Credentials, error) {
	file, err := reload.Open(func() (credentials.Store, error) {
		if _, err := os.Stat(path); err != nil { // which is fine for oras-go
			return nil, err
		}
		store, err := credentials.NewStore(path, credentials.StoreOptions{})
		if err == nil {
			log.Info("credentials for upstreams read", "path", path)
		}
		return store, err
	}, path)
	return &Credentials{log, file}, err
}

// Keys of Docker Hub in such files: Docker's, and those that Podman writes.
var dockerHubKeys = []string{"https://index.docker.io/v1/", "docker.io", "registry-1.docker.io"}

// keys are what the credentials of a host may be under.
func keys(host string) []string {
	if host == "registry-1.docker.io" {
		return dockerHubKeys
	}
	return []string{host}
}

// of finds the credentials of one host, and gives them to no other.
func (c *Credentials) of(own string) auth.CredentialFunc {
	return func(ctx context.Context, host string) (auth.Credential, error) {
		if c == nil || host != own {
			return auth.EmptyCredential, nil
		}
		store, err := c.file.Get()
		if err != nil {
			c.log.Error("credentials for upstreams cannot be read, those of before go on", "error", err)
		}
		for _, key := range keys(own) {
			if found, err := store.Get(ctx, key); err != nil || found != auth.EmptyCredential {
				return found, err
			}
		}
		return auth.EmptyCredential, nil
	}
}

// tokens is a cache of tokens that begins anew when it has many: anybody may ask
// for any repository, and each has a token of its own.
type tokens struct {
	mu    sync.Mutex
	cache auth.Cache
	n     int
}

const mostTokens = 1000

func (t *tokens) current() auth.Cache {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.cache
}

func (t *tokens) GetScheme(ctx context.Context, registry string) (auth.Scheme, error) {
	return t.current().GetScheme(ctx, registry)
}

func (t *tokens) GetToken(ctx context.Context, registry string, scheme auth.Scheme, key string) (string, error) {
	return t.current().GetToken(ctx, registry, scheme, key)
}

func (t *tokens) Set(ctx context.Context, registry string, scheme auth.Scheme, key string, fetch func(context.Context) (string, error)) (string, error) {
	t.mu.Lock()
	if t.n++; t.n > mostTokens {
		t.cache, t.n = auth.NewCache(), 1
	}
	cache := t.cache
	t.mu.Unlock()
	return cache.Set(ctx, registry, scheme, key, fetch)
}
