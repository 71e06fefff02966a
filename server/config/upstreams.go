package config

import (
	"maps"
	"slices"
	"strings"

	"opendev.org/zuul/zuul-registry/server/namespace"
	"opendev.org/zuul/zuul-registry/server/peer"
)

// Upstreams are the registries that stand behind ours: by namespace, the root of
// each one's URL.
type Upstreams map[string]string

// noUpstreams is what an empty Upstreams is written as, since a variable set to
// nothing has its default.
const noUpstreams = "none"

const upstreamsAllowed = noUpstreams + ", or <namespace>=<url> with commas between them" +
	"; each namespace once, a host in lower case, maybe with a port, and docker.io for Docker Hub" +
	"; each url http:// or https:// and a host, maybe with a port"

// String has them in the order of their namespaces.
func (u Upstreams) String() string {
	if len(u) == 0 {
		return noUpstreams
	}
	var all []string
	for _, name := range slices.Sorted(maps.Keys(u)) {
		all = append(all, name+"="+u[name])
	}
	return strings.Join(all, ",")
}

// UnmarshalText accepts what String gives, in any order.
func (u *Upstreams) UnmarshalText(text []byte) error {
	all := Upstreams{}
	if list := string(text); list != noUpstreams {
		if strings.Contains(list, "@") {
			// Not for parseURL to find: a password may have a comma in it.
			return veiled("a list with a user in a URL")
		}
		for entry := range strings.SplitSeq(list, ",") {
			if err := all.add(strings.TrimSpace(entry)); err != nil {
				return err
			}
		}
	}
	*u = all
	return nil
}

func (u Upstreams) add(entry string) error {
	name, text, _ := strings.Cut(entry, "=")
	url, err := parseURL(text)
	if _, twice := u[name]; twice || err != nil || !isNamespace(name) {
		return badEntry(entry)
	}
	u[name] = url
	return nil
}

// isNamespace accepts what names of images can begin with, where no address of
// IPv6 can, in the one spelling that is looked up.
func isNamespace(text string) bool {
	return peer.IsHostPort(text) && text == strings.ToLower(text) && !strings.HasPrefix(text, "[") && text == namespace.Canonical(text)
}
