package transfer

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"oras.land/oras-go/v2/registry"

	"opendev.org/zuul/zuul-registry/server/namespace"
	"opendev.org/zuul/zuul-registry/server/oci"
	"opendev.org/zuul/zuul-registry/server/peer"
)

// Reference is an image as people name it: in which registry, which repository, and
// by which tag or digest. Make it with ParseReference.
type Reference struct {
	// Plain says that the registry speaks HTTP, and not HTTPS.
	Plain bool
	// Registry is <host>[:<port>] in lower case, "docker.io" for Docker Hub.
	Registry string
	// Repository is in full: "library/alpine".
	Repository string
	// Reference is a tag or a digest.
	oci.Reference
}

// defaultTag is what Docker takes for granted.
const defaultTag = "latest"

const (
	dockerHub = "docker.io"
	grammar   = "[docker://|https://|http://]<host>[:<port>]/<repository>[:<tag>|@<digest>]"
)

// A digest at the end is what an "@" is for.
var digestAtEnd = regexp.MustCompile(`@sha(256|512):[^@]*$`)

// ParseReference reads
//
//	[docker://|https://|http://]<host>[:<port>]/<repository>[:<tag>|@<digest>]
//
// Without a scheme, and with docker://, the registry speaks HTTPS; without tag and
// digest, the tag is "latest". A host is told from the beginning of a repository as
// Docker does it: it has a dot or a port, or is localhost, or comes after https:// or
// http://. IPv6 addresses have brackets. What is not of docker.io has to say so.
//
// The error says what is allowed, and nothing that may be a password.
func ParseReference(text string) (Reference, error) {
	if strings.Contains(digestAtEnd.ReplaceAllString(text, ""), "@") {
		return Reference{}, errors.New("it has an \"@\" that does not begin a digest: users and passwords belong into a file of credentials")
	}
	r, err := parse(text)
	if err != nil {
		return Reference{}, fmt.Errorf("%.300q %w", text, err)
	}
	return r, nil
}

func parse(text string) (Reference, error) {
	scheme, rest, found := strings.Cut(text, "://")
	if !found {
		scheme, rest = "docker", text
	}
	host, path, slash := strings.Cut(rest, "/")
	r := Reference{Plain: strings.EqualFold(scheme, "http"), Registry: namespace.Canonical(strings.ToLower(host))}
	said := r.Plain || strings.EqualFold(scheme, "https")
	switch {
	case !said && !strings.EqualFold(scheme, "docker"):
		return r, errors.New("has a scheme that is not known: allowed is " + grammar)
	case !said && (!namespace.Auto.Names(host) || !slash && !namespace.Auto.Names(beforeColon(host))):
		return r, fmt.Errorf("names no registry: did you mean %s/%s? (if it begins with the name of a host, write https:// before it)", dockerHub, rest)
	case path == "" || !peer.IsHostPort(host):
		return r, errors.New("is not understood: allowed is " + grammar)
	}
	return r, r.parsePath(path)
}

// beforeColon is "alpine" of "alpine:3.22", which is no host with a port.
func beforeColon(text string) string {
	name, _, _ := strings.Cut(text, ":")
	return name
}

// parsePath reads what follows the registry.
func (r *Reference) parsePath(path string) error {
	repository, text, found := strings.Cut(path, "@")
	if name, tag, tagged := strings.Cut(repository, ":"); tagged {
		if found {
			return errors.New("has a tag and a digest: write one of them")
		}
		repository, text, found = name, tag, true
	}
	if !found {
		text = defaultTag
	}
	name, err := oci.ParseName(repository)
	if err == nil {
		r.Reference, err = oci.ParseReference(text)
	}
	if err != nil {
		var malformed *oci.Error
		if errors.As(err, &malformed) {
			return fmt.Errorf("is not understood: %s", malformed.Message)
		}
		return err
	}
	r.Repository = name.Repository
	if r.Registry == dockerHub {
		hub, err := namespace.Auto.Name(repository, dockerHub)
		r.Repository = hub.Shadows.Repository
		return err
	}
	return nil
}

// String is the shortest form that ParseReference accepts for the same image, with
// its tag.
func (r Reference) String() string {
	text := r.name()
	if r.IsDigest() {
		return text + "@" + r.Digest.String()
	}
	return text + ":" + r.Tag.String()
}

// name is the form without tag and digest.
func (r Reference) name() string {
	text := r.Registry + "/" + r.Repository
	switch {
	case r.Plain:
		return "http://" + text
	case !namespace.Auto.Names(r.Registry):
		return "https://" + text
	}
	return text
}

// repository is how oras knows it.
func (r Reference) repository() registry.Reference {
	return registry.Reference{Registry: r.Registry, Repository: r.Repository}
}

// host is what is dialled, and what credentials are for.
func (r Reference) host() string { return r.repository().Host() }

// registryName is the registry, and how it is spoken to.
func (r Reference) registryName() string {
	if r.Plain {
		return "http://" + r.Registry
	}
	return r.Registry
}
