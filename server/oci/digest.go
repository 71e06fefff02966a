package oci

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"hash"
	"strings"
)

// Algorithm is a digest algorithm registered in the OCI image specification
// (descriptor.md, "Registered Algorithms").
type Algorithm string

// The algorithms that content can be pushed and addressed with.
const (
	SHA256 Algorithm = "sha256"
	SHA512 Algorithm = "sha512"
)

// ParseAlgorithm accepts the names of the supported algorithms.
func ParseAlgorithm(s string) (Algorithm, error) {
	switch a := Algorithm(s); a {
	case SHA256, SHA512:
		return a, nil
	}
	return "", Errorf(DigestInvalid, "unsupported digest algorithm %q: sha256 and sha512 are allowed", clip(s))
}

// New starts a hash of the algorithm.
func (a Algorithm) New() hash.Hash {
	if a == SHA512 {
		return sha512.New()
	}
	return sha256.New()
}

// Sum is the digest of content.
func (a Algorithm) Sum(content []byte) Digest {
	h := a.New()
	h.Write(content)
	return a.Digest(h)
}

// Digest is the digest of what was written to h, a hash that New made.
func (a Algorithm) Digest(h hash.Hash) Digest {
	return Digest{string(a) + ":" + hex.EncodeToString(h.Sum(nil))}
}

// Digest addresses content, as "sha256:<64 hex digits>" or "sha512:<128>".
// The zero Digest addresses nothing.
type Digest struct{ text string }

// ParseDigest accepts lower-case hexadecimal digests of the supported
// algorithms; anything else is DIGEST_INVALID.
func ParseDigest(s string) (Digest, error) {
	name, digits, _ := strings.Cut(s, ":")
	a, err := ParseAlgorithm(name)
	if err != nil {
		return Digest{}, err
	}
	if len(digits) != 2*a.New().Size() || strings.Trim(digits, "0123456789abcdef") != "" {
		return Digest{}, Errorf(DigestInvalid, "malformed digest %q: %s takes %d lower-case hexadecimal digits",
			clip(s), a, 2*a.New().Size())
	}
	return Digest{s}, nil
}

// UnmarshalText is ParseAlgorithm.
func (a *Algorithm) UnmarshalText(text []byte) error {
	parsed, err := ParseAlgorithm(string(text))
	*a = parsed
	return err
}

// Algorithm is the part before the colon.
func (d Digest) Algorithm() Algorithm {
	name, _, _ := strings.Cut(d.text, ":")
	return Algorithm(name)
}

// Clone is the same without the text that it is a part of, as a request's is.
func (d Digest) Clone() Digest { return Digest{strings.Clone(d.text)} }

// IsZero says whether d addresses nothing.
func (d Digest) IsZero() bool { return d.text == "" }

// String is the form that ParseDigest accepts.
func (d Digest) String() string { return d.text }

// MarshalText lets a Digest stand in JSON as a string.
func (d Digest) MarshalText() ([]byte, error) { return []byte(d.text), nil }

// UnmarshalText is ParseDigest.
func (d *Digest) UnmarshalText(text []byte) error {
	parsed, err := ParseDigest(string(text))
	*d = parsed
	return err
}

// clip shortens what a client sent to what an error message may repeat.
func clip(s string) string {
	const longest = 100
	if len(s) <= longest {
		return s
	}
	return s[:longest] + "…"
}
