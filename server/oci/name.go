package oci

import "regexp"

// LocalArea is where one-area registries keep everything.
const LocalArea = "_local"

// Name is a repository of this registry. Make it with ParseName; the zero Name
// names nothing.
type Name struct {
	// Area is a part of the registry that shares nothing with other areas: no
	// blobs, no uploads, no repositories.
	Area string
	// Repository is the path of the repository in its area, as in the
	// distribution specification ("org/app").
	Repository string
}

const maxNameLength = 255 // as in distribution; clients refuse longer ones

// The grammar of <name> in the distribution specification ("Pulling manifests").
var namePattern = regexp.MustCompile(`^` + nameComponent + `(/` + nameComponent + `)*$`)

const nameComponent = `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`

// ParseName makes a Name of a repository's path; one that is not in the
// specification's grammar is NAME_INVALID.
func ParseName(repository string) (Name, error) {
	if len(repository) > maxNameLength {
		return Name{}, Errorf(NameInvalid, "repository name of %d characters: at most %d are allowed",
			len(repository), maxNameLength)
	}
	if !namePattern.MatchString(repository) {
		return Name{}, Errorf(NameInvalid, "malformed repository name %q: components of a-z and 0-9, "+
			"separated inside by '.', '_', '__' or '-', are joined by '/'", clip(repository))
	}
	return Name{Area: LocalArea, Repository: repository}, nil
}

// IsZero says whether n names nothing.
func (n Name) IsZero() bool { return n == Name{} }

// String is the repository's path.
func (n Name) String() string { return n.Repository }
