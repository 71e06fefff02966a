package oci

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// MaxManifestSize is the most bytes of a manifest that is accepted, from
// clients and from upstreams: the specification wants at least 4 MiB.
const MaxManifestSize = 4 << 20

// Media types of manifests and of what they need told apart.
const (
	MediaTypeImageManifest  = "application/vnd.oci.image.manifest.v1+json"
	MediaTypeImageIndex     = "application/vnd.oci.image.index.v1+json"
	MediaTypeDockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	MediaTypeDockerList     = "application/vnd.docker.distribution.manifest.list.v2+json"
	MediaTypeBlob           = "application/octet-stream"
)

// The grammar of media types (RFC 6838, section 4.2).
var mediaTypePattern = regexp.MustCompile(`^` + mediaTypePart + `/` + mediaTypePart + `$`)

const mediaTypePart = `[a-zA-Z0-9][a-zA-Z0-9!#$&^_.+-]{0,126}`

// Layers of these types may stay with their vendor.
var nonDistributable = []string{
	"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
	"application/vnd.oci.image.layer.nondistributable.v1.tar",
	"application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
	"application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
}

// Signed manifests of schema 1 are addressed by the digest of only a part of
// their bytes, which no current client asks for.
var schema1 = []string{
	"application/vnd.docker.distribution.manifest.v1+json",
	"application/vnd.docker.distribution.manifest.v1+prettyjws",
}

// Descriptor describes content: its type, digest and size in bytes. ArtifactType and
// Annotations are set only in listings of referrers, and the last two fields in answers
// to who asks for content.
type Descriptor struct {
	MediaType    string            `json:"mediaType"`
	Digest       Digest            `json:"digest"`
	Size         int64             `json:"size"`
	ArtifactType string            `json:"artifactType,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`
	Origin       Origin            `json:"-"`
	Upstream     string            `json:"-"` // the namespace ("docker.io") that it was fetched from; empty for what is only known to be here
}

// IsNonDistributable says whether d describes a layer that a registry need not
// have.
func (d Descriptor) IsNonDistributable() bool { return slices.Contains(nonDistributable, d.MediaType) }

// Manifest is a manifest as it was pushed, byte for byte.
type Manifest struct {
	Descriptor
	Content []byte // not to be changed

	references *References // nil where they have not been read
}

// NewManifest describes content that somebody calls a manifest of mediaType
// (empty: as its own mediaType field says), with a digest of the algorithm.
// What is not JSON, or of another type than it is called, is MANIFEST_INVALID.
func NewManifest(mediaType string, content []byte, a Algorithm) (Manifest, error) {
	fields, err := parseManifest(content)
	if err != nil {
		return Manifest{}, err
	}
	if mediaType == "" {
		mediaType = fields.MediaType
	}
	if err := fields.agree(mediaType); err != nil {
		return Manifest{}, err
	}
	d := Descriptor{MediaType: mediaType, Digest: a.Sum(content), Size: int64(len(content))}
	refs := fields.references()
	if refs.Mentioned, err = mentioned(content); err != nil {
		return Manifest{}, err
	}
	return Manifest{d, content, &refs}, nil
}

// References is what the manifest names.
func (m Manifest) References() (References, error) {
	if m.references != nil {
		return *m.references, nil
	}
	return ParseReferences(m.Content)
}

// References is what a manifest names, and how it is listed among those that
// name it.
type References struct {
	Blobs        []Descriptor // config, layers, and the blobs of other artifacts
	Manifests    []Descriptor // children of an index
	Subject      *Descriptor  // the manifest that this one refers to; may be nil, and may be absent anywhere
	Mentioned    []Digest     // those of Blobs and Manifests, and whatever else it describes, but for Subject: see Mentions
	ArtifactType string       // for an image that names none, its config's media type ("Listing Referrers")
	Annotations  map[string]string
}

// ParseReferences reads what a manifest names. Of types that it does not know it
// takes the fields that the known ones have.
func ParseReferences(content []byte) (References, error) {
	fields, err := parseManifest(content)
	if err != nil {
		return References{}, err
	}
	refs := fields.references()
	refs.Mentioned, err = mentioned(content)
	return refs, err
}

func mentioned(content []byte) ([]Digest, error) {
	m, err := ParseMentions(content)
	return m.Needed, err
}

func (f manifestFields) references() References {
	refs := References{
		Manifests: f.Manifests, Subject: f.Subject,
		ArtifactType: f.ArtifactType, Annotations: f.Annotations,
	}
	if f.Config != nil {
		refs.Blobs = append(refs.Blobs, *f.Config)
		refs.ArtifactType = cmp.Or(refs.ArtifactType, f.Config.MediaType)
	}
	refs.Blobs = append(append(refs.Blobs, f.Layers...), f.Blobs...)
	return refs
}

// manifestFields are the fields of all kinds of manifests that matter here.
type manifestFields struct {
	MediaType    string
	ArtifactType string
	Config       *Descriptor
	Layers       []Descriptor
	Blobs        []Descriptor
	Manifests    []Descriptor
	Subject      *Descriptor
	Annotations  map[string]string
}

func parseManifest(content []byte) (manifestFields, error) {
	var f manifestFields
	err := unmarshalExactly(content, map[string]any{
		"mediaType": &f.MediaType, "artifactType": &f.ArtifactType, "config": &f.Config, "layers": &f.Layers,
		"blobs": &f.Blobs, "manifests": &f.Manifests, "subject": &f.Subject, "annotations": &f.Annotations,
	})
	if err != nil {
		return f, Errorf(ManifestInvalid, "manifest cannot be read: %v", err)
	}
	for _, d := range f.descriptors() {
		if d.Digest.IsZero() || d.Size < 0 {
			return f, Errorf(ManifestInvalid, "manifest has a descriptor without digest, or of negative size")
		}
	}
	return f, nil
}

// unmarshalExactly reads fields of a JSON object. Names that differ from theirs
// in case alone are an error: Go takes them for the field, and other languages do
// not, so that clients would see different images.
func unmarshalExactly(text []byte, fields map[string]any) error {
	var object map[string]json.RawMessage
	if err := json.Unmarshal(text, &object); err != nil {
		return err
	}
	if object == nil {
		return errors.New("null is no object")
	}
	for name, value := range object {
		into, ok := fields[name]
		if !ok {
			if twin := sameButCase(name, fields); twin != "" {
				return fmt.Errorf("the field %q is called %q", clip(name), twin)
			}
			continue
		}
		if err := json.Unmarshal(value, into); err != nil {
			return err
		}
	}
	return nil
}

func sameButCase(name string, fields map[string]any) string {
	for field := range fields {
		if strings.EqualFold(field, name) {
			return field
		}
	}
	return ""
}

func (f manifestFields) descriptors() []Descriptor {
	all := slices.Concat(f.Layers, f.Blobs, f.Manifests)
	for _, d := range []*Descriptor{f.Config, f.Subject} {
		if d != nil {
			all = append(all, *d)
		}
	}
	return all
}

// agree compares the body with the type that it came under: a body that can be
// read as an image and as an index means different things to different clients.
func (f manifestFields) agree(mediaType string) error {
	switch {
	case mediaType == "":
		return Errorf(ManifestInvalid, "manifest has no media type: neither the Content-Type header nor its mediaType field names one")
	case !mediaTypePattern.MatchString(mediaType):
		return Errorf(ManifestInvalid, "malformed media type %q", clip(mediaType))
	case f.MediaType != "" && f.MediaType != mediaType:
		return Errorf(ManifestInvalid, "manifest was sent as %q, but its mediaType is %q", clip(mediaType), clip(f.MediaType))
	case slices.Contains(schema1, mediaType):
		return Errorf(ManifestInvalid, "manifests of Docker's schema 1 are not supported: push schema 2 or OCI")
	}
	switch mediaType {
	case MediaTypeImageManifest, MediaTypeDockerManifest:
		if f.Config == nil || f.Manifests != nil {
			return Errorf(ManifestInvalid, "%s takes a config and no manifests", mediaType)
		}
	case MediaTypeImageIndex, MediaTypeDockerList:
		if f.Config != nil || f.Layers != nil {
			return Errorf(ManifestInvalid, "%s takes neither config nor layers", mediaType)
		}
	}
	return nil
}
