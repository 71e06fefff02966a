package oci

import (
	"regexp"
	"strings"
)

// Tag is a mutable name for a manifest of a repository. Make it with ParseTag.
type Tag struct{ text string }

var tagPattern = regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$`)

// ParseTag accepts the specification's grammar of a tag; anything else is
// TAG_INVALID.
func ParseTag(s string) (Tag, error) {
	if !tagPattern.MatchString(s) {
		return Tag{}, Errorf(TagInvalid, "malformed tag %q: up to 128 of a-z, A-Z, 0-9, '_', '.' and '-', "+
			"not beginning with '.' or '-'", clip(s))
	}
	return Tag{s}, nil
}

// String is the form that ParseTag accepts.
func (t Tag) String() string { return t.text }

// Reference is a tag or a digest: one of the two fields is set.
type Reference struct {
	Tag    Tag
	Digest Digest
}

// ParseReference accepts what ParseTag or ParseDigest does: a colon tells them
// apart.
func ParseReference(s string) (Reference, error) {
	if strings.Contains(s, ":") {
		d, err := ParseDigest(s)
		return Reference{Digest: d}, err
	}
	t, err := ParseTag(s)
	return Reference{Tag: t}, err
}

// IsDigest says whether the reference is a digest, and not a tag.
func (r Reference) IsDigest() bool { return !r.Digest.IsZero() }

// String is the form that ParseReference accepts.
func (r Reference) String() string {
	if r.IsDigest() {
		return r.Digest.String()
	}
	return r.Tag.String()
}
