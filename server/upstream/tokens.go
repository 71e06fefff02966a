package upstream

import (
	"context"
	"sync"

	"oras.land/oras-go/v2/registry/remote/auth"
)

// maxTokens is how many tokens are got before those of before are forgotten. There
// is one for each repository, and anybody may ask for any.
const maxTokens = 1000

// tokens is an auth.Cache that does not grow without end. Make it with newTokens.
type tokens struct {
	mu      sync.Mutex
	cache   auth.Cache
	fetched int // for cache
}

func newTokens() *tokens { return &tokens{cache: auth.NewCache()} }

// GetScheme is as auth.Cache has it.
func (t *tokens) GetScheme(ctx context.Context, host string) (auth.Scheme, error) {
	return t.current(0).GetScheme(ctx, host)
}

// GetToken is as auth.Cache has it.
func (t *tokens) GetToken(ctx context.Context, host string, scheme auth.Scheme, key string) (string, error) {
	return t.current(0).GetToken(ctx, host, scheme, key)
}

// Set gets a token. Others who want the same one wait for it. Errors are a
// tokenError, but for that of ctx: then one of the others gets it.
func (t *tokens) Set(ctx context.Context, host string, scheme auth.Scheme, key string, fetch func(context.Context) (string, error)) (string, error) {
	return t.current(1).Set(ctx, host, scheme, key, func(ctx context.Context) (string, error) {
		token, err := fetch(ctx)
		switch {
		case err != nil && ctx.Err() != nil:
			return "", ctx.Err() // the cache compares, and does not look into it
		case err != nil:
			return "", &tokenError{err}
		}
		return token, nil
	})
}

// current is the cache, for as many further tokens.
func (t *tokens) current(further int) auth.Cache {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.fetched += further; t.fetched > maxTokens {
		t.cache, t.fetched = auth.NewCache(), further
	}
	return t.cache
}

// tokenError is a failure to get a token, and not of what it is for.
type tokenError struct{ error }

// Unwrap is the failure.
func (e *tokenError) Unwrap() error { return e.error }
