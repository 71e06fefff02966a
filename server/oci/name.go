package oci

import "regexp"

// LocalArea is where registries of one area keep everything.
const LocalArea = "_local"

// Name is a repository of this registry. Package namespace makes it of what a
// request says; the zero Name names nothing.
type Name struct {
	// Area is a part of the registry that shares nothing with other areas: no
	// blobs, no uploads, no repositories.
	Area string
	// Repository is the path of the repository in its area ("org/app").
	Repository string
	// Shadows is whose place the repository takes; zero for nobody's.
	Shadows PublicName
	// Meant is the repository that the client means, by the rules of a mirror's clients,
	// whether it is in this registry's place or not; zero if that is not known.
	Meant PublicName
	// Asked is the name as the request's path has it, which is what tokens name.
	Asked string
}

// PublicName is a repository as the rest of the world names it.
type PublicName struct {
	Namespace  string // the registry that the name stands for: "docker.io"
	Repository string // its path there: "library/alpine"
}

// MaxNameLength is the most characters of a name, as in distribution; clients
// refuse longer ones.
const MaxNameLength = 255

// The grammar of <name> in the distribution specification ("Pulling manifests").
var namePattern = regexp.MustCompile(`^` + nameComponent + `(/` + nameComponent + `)*$`)

const nameComponent = `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`

// ParseName makes the Name of a path in LocalArea that shadows nothing; a path
// that is not in the specification's grammar is NAME_INVALID.
func ParseName(path string) (Name, error) {
	if len(path) > MaxNameLength {
		return Name{}, Errorf(NameInvalid, "repository name of %d characters: at most %d are allowed",
			len(path), MaxNameLength)
	}
	if !namePattern.MatchString(path) {
		return Name{}, Errorf(NameInvalid, "malformed repository name %q: components of a-z and 0-9, "+
			"separated inside by '.', '_', '__' or '-', are joined by '/'", clip(path))
	}
	return Name{Area: LocalArea, Repository: path, Asked: path}, nil
}

// IsZero says whether n names nothing.
func (n Name) IsZero() bool { return n.Repository == "" }

// String is the path by which the registry lists the repository, and by which it
// can be asked for. It is the same however a request named it.
func (n Name) String() string {
	if n.Area == LocalArea || n.IsZero() {
		return n.Repository
	}
	return n.Area + "/" + n.Repository
}

// Public is what the client means by the name, and String where that is not known.
func (n Name) Public() string {
	if n.Meant.IsZero() {
		return n.String()
	}
	return n.Meant.String()
}

// IsZero says whether p names nothing.
func (p PublicName) IsZero() bool { return p == PublicName{} }

// String is the name in full: "docker.io/library/alpine".
func (p PublicName) String() string { return p.Namespace + "/" + p.Repository }
