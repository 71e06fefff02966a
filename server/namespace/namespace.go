// Package namespace turns what a request says about a repository into its
// canonical name. Nothing else knows how requests address images.
//
// A request names a repository by its path, by the parameter ns, which says the
// registry that the path is of (containerd, BuildKit, Docker 29), or by both
// (BuildKit puts the registry before the path as well).
package namespace

import (
	"math"
	"regexp"
	"strconv"
	"strings"

	"opendev.org/zuul/zuul-registry/server/oci"
)

// Mode is how paths are understood.
type Mode string

// The modes. README has a table of what they make of a path.
const (
	// Auto: a path that begins with a host is of that registry, and any other
	// of docker.io. Everything is in one area.
	Auto Mode = "auto"
	// Path: a path begins with the registry, whatever it looks like. Each has an
	// area of its own.
	Path Mode = "path"
	// None: a path is a repository of the store and nothing else, though it may
	// shadow what it would be in Auto.
	None Mode = "none"
)

// What Docker takes for granted in names: the registry, and there the
// organisation.
const (
	dockerHub      = "docker.io"
	officialImages = "library/"
)

// Name is the repository that a request means by a path and a parameter ns, which
// may be empty. NAME_INVALID if they are malformed, NAME_UNKNOWN if the mode
// wants a namespace and there is none.
func (m Mode) Name(path, ns string) (oci.Name, error) {
	name, err := oci.ParseName(path)
	if err == nil && ns != "" {
		ns, err = parseHost(ns)
	}
	if err != nil {
		return oci.Name{}, err
	}
	meant := m.meant(path, ns)
	name.Meant = meant
	switch {
	case meant.IsZero():
		return oci.Name{}, oci.Errorf(oci.NameUnknown,
			"%s has no namespace: here a name begins with its registry, as docker.io/library/alpine does", path)
	case m == None && ns != "":
		return name, nil
	case m == None:
	case m == Path:
		name.Area, name.Repository = meant.Namespace, meant.Repository
	default:
		name.Repository = withoutDockerHub(meant)
	}
	name.Shadows = meant
	if len(name.String()) > oci.MaxNameLength {
		return oci.Name{}, oci.Errorf(oci.NameInvalid, "the name in full has %d characters: at most %d are allowed", len(name.String()), oci.MaxNameLength)
	}
	return name, nil
}

// Names says whether names can be of a registry.
func (m Mode) Names(registry string) bool { return m == Path || looksLikeHost(registry) }

// meant is the repository that the rest of the world would understand; zero if
// the mode wants a namespace and there is none.
func (m Mode) meant(path, ns string) oci.PublicName {
	u := oci.PublicName{Namespace: dockerHub, Repository: path}
	first, rest, deeper := strings.Cut(path, "/")
	first = Canonical(first)
	switch {
	case ns != "" && deeper && first == ns, ns == "" && deeper && (m == Path || looksLikeHost(first)):
		u = oci.PublicName{Namespace: first, Repository: rest}
	case ns != "":
		u.Namespace = ns
	case m == Path:
		return oci.PublicName{}
	}
	if u.Namespace == dockerHub && !strings.Contains(u.Repository, "/") {
		u.Repository = officialImages + u.Repository
	}
	return u
}

// withoutDockerHub is the one path in Auto that stands for u: names of docker.io
// do without it, unless they would look like another registry's.
func withoutDockerHub(u oci.PublicName) string {
	first, _, _ := strings.Cut(u.Repository, "/")
	if u.Namespace == dockerHub && !looksLikeHost(first) {
		return u.Repository
	}
	return u.String()
}

// Older are the names under which Python zuul-registry, which kept the path that the
// client used, may have stored a repository of Auto: busybox and docker.io/busybox are
// library/busybox now. Other names of docker.io are left out: clients put none into paths.
func (m Mode) Older(name oci.Name) []oci.Name {
	meant := m.meant(name.Repository, "")
	if m != Auto || meant.Namespace != dockerHub || withoutDockerHub(meant) != name.Repository {
		return nil
	}
	paths := []string{meant.String()}
	if image, ok := strings.CutPrefix(meant.Repository, officialImages); ok && !strings.Contains(image, "/") {
		paths = []string{image, meant.String(), dockerHub + "/" + image}
	}
	var older []oci.Name
	for _, path := range paths {
		if path != name.Repository {
			n := name
			n.Repository = path
			older = append(older, n)
		}
	}
	return older
}

// looksLikeHost tells registries from organisations, as Docker does.
func looksLikeHost(component string) bool {
	return strings.ContainsAny(component, ".:") || strings.EqualFold(component, "localhost")
}

// Canonical is the name of a registry that has several.
func Canonical(host string) string {
	switch host {
	case "index.docker.io", "registry-1.docker.io":
		return dockerHub
	}
	return host
}

// A registry as ns has it: a DNS name or an IPv4 address, maybe with a port.
var hostPattern = regexp.MustCompile(`^[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?(\.[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?)*(:[0-9]{1,5})?$`)

func parseHost(ns string) (string, error) {
	_, port, _ := strings.Cut(ns, ":")
	number, _ := strconv.Atoi(port)
	if len(ns) > oci.MaxNameLength || !hostPattern.MatchString(ns) || !looksLikeHost(ns) || number > math.MaxUint16 {
		return "", oci.Errorf(oci.NameInvalid,
			"malformed namespace %.100q: the parameter ns takes a host name with a dot or a port, or localhost", ns)
	}
	return Canonical(strings.ToLower(ns)), nil
}
