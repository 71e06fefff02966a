package peer

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"
)

// Credentials are those of one file in the format of Docker's config.json, or of
// the helper programs that it names. Make them with OpenCredentials.
type Credentials struct {
	path    string
	store   *credentials.DynamicStore
	entries map[string]bool // the keys of its auths
	helpers bool            // are named
}

// OpenCredentials reads the file. The error says what is wrong with it, and no
// password.
func OpenCredentials(path string) (*Credentials, error) {
	c := &Credentials{path: path}
	if err := c.check(); err != nil {
		return nil, err
	}
	store, err := credentials.NewStore(path, credentials.StoreOptions{})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	c.store = store
	return c, nil
}

// check finds what oras would find only when it is needed, and would then repeat in
// its error, password and all.
func (c *Credentials) check() error {
	text, err := os.ReadFile(c.path)
	if err != nil {
		return err
	}
	var config struct {
		Auths       map[string]struct{ Auth string }
		CredsStore  string
		CredHelpers map[string]string
	}
	if err := json.Unmarshal(text, &config); err != nil {
		return fmt.Errorf("%s: %w", c.path, err)
	}
	c.entries, c.helpers = map[string]bool{}, config.CredsStore != "" || len(config.CredHelpers) > 0
	for key, entry := range config.Auths {
		c.entries[key] = true
		user, err := base64.StdEncoding.DecodeString(entry.Auth)
		if err != nil || entry.Auth != "" && !strings.Contains(string(user), ":") {
			return fmt.Errorf("%s: the auth of %q is not the Base64 of a user, a colon and a password", c.path, key)
		}
	}
	return nil
}

// Path is that of the file.
func (c *Credentials) Path() string { return c.path }

// Find is what to log in to a registry with; auth.EmptyCredential if there is
// nothing. An entry of the repository, or of a path above it, goes before the
// registry's own (containers-auth.json, "Credential format"); without a repository
// there is only that.
func (c *Credentials) Find(ctx context.Context, host, repository string) (auth.Credential, error) {
	for _, key := range c.keys(host, repository) {
		found, err := c.store.Get(ctx, key)
		if err != nil {
			return auth.EmptyCredential, fmt.Errorf("credentials for %q: %w", key, err)
		}
		if found != auth.EmptyCredential {
			return found, nil
		}
	}
	return auth.EmptyCredential, nil
}

func (c *Credentials) keys(host, repository string) []string {
	var keys []string
	hosts := Keys(host)
	for path := repository; path != ""; path = path[:max(0, strings.LastIndex(path, "/"))] {
		for _, host := range hosts {
			if key := host + "/" + path; c.entries[key] {
				keys = append(keys, key)
			}
		}
	}
	for _, host := range hosts {
		if !c.hasOnlyPaths(host) {
			keys = append(keys, host)
		}
	}
	return keys
}

// hasOnlyPaths says whether all that the file has of a host is for repositories
// there. oras would take "quay.io/org" for an old spelling of quay.io, such as
// "https://quay.io/v1/" is one.
func (c *Credentials) hasOnlyPaths(host string) bool {
	if c.helpers || c.entries[host] {
		return false
	}
	paths := false
	for key := range c.entries {
		switch path, ok := strings.CutPrefix(key, host+"/"); {
		case strings.HasPrefix(key, "http://"+host+"/"), strings.HasPrefix(key, "https://"+host+"/"):
			return false
		case ok && strings.Trim(path, "/") != "v1" && strings.Trim(path, "/") != "v2":
			paths = true
		case ok:
			return false
		}
	}
	return paths
}

// Keys are the names of a registry in a Docker config file, first the one that
// docker login writes. Podman writes what it was told.
func Keys(host string) []string {
	key := credentials.ServerAddressFromHostname(host)
	if key == host {
		return []string{host}
	}
	return []string{key, "docker.io", host, "index.docker.io"}
}
