package conformance

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"maps"
	"math/rand/v2"
)

// The media types that the tests speak of.
const (
	ociImage    = "application/vnd.oci.image.manifest.v1+json"
	ociIndex    = "application/vnd.oci.image.index.v1+json"
	ociConfig   = "application/vnd.oci.image.config.v1+json"
	ociLayer    = "application/vnd.oci.image.layer.v1.tar+gzip"
	ociForeign  = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
	ociEmpty    = "application/vnd.oci.empty.v1+json"
	dockerImage = "application/vnd.docker.distribution.manifest.v2+json"
	dockerList  = "application/vnd.docker.distribution.manifest.list.v2+json"

	dockerSchema1 = "application/vnd.docker.distribution.manifest.v1+prettyjws"
	dockerConfig  = "application/vnd.docker.container.image.v1+json"
	dockerLayer   = "application/vnd.docker.image.rootfs.diff.tar.gzip"
	dockerForeign = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
	sbom          = "application/vnd.example.sbom.v1"
	signature     = "application/vnd.example.signature.v1"
)

// blob is content and its address.
type blob struct {
	content []byte
	digest  string
}

func sha256Of(content []byte) string {
	sum := sha256.Sum256(content)
	return "sha256:" + hex.EncodeToString(sum[:])
}

func sha512Of(content []byte) string {
	sum := sha512.Sum512(content)
	return "sha512:" + hex.EncodeToString(sum[:])
}

func blobOf(content []byte) blob { return blob{content, sha256Of(content)} }

// by512 is the same content, addressed by its sha512 digest.
func (b blob) by512() blob { return blob{b.content, sha512Of(b.content)} }

// text is a small blob of the repository's own: no other test has it, so that
// it is nowhere in the registry before it is pushed.
func (r *repository) text(label string) blob {
	return blobOf([]byte(r.name + ": " + label))
}

// bulk is a blob of that size, of the repository's own, which compresses badly
// and repeats nowhere.
func (r *repository) bulk(label string, size int) blob { return bulkOf(r.name+": "+label, size) }

func bulkOf(label string, size int) blob {
	content := make([]byte, size)
	_, _ = rand.NewChaCha8(sha256.Sum256([]byte(label))).Read(content)
	return blobOf(content)
}

// as describes the blob as something of a media type.
func (b blob) as(mediaType string) descriptor {
	return descriptor{MediaType: mediaType, Digest: b.digest, Size: len(b.content)}
}

// descriptor is how manifests name content.
type descriptor struct {
	MediaType    string            `json:"mediaType"`
	Digest       string            `json:"digest"`
	Size         int               `json:"size"`
	ArtifactType string            `json:"artifactType,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`
	Data         []byte            `json:"data,omitempty"`
	URLs         []string          `json:"urls,omitempty"`
}

// document is the JSON of a manifest in the making.
type document map[string]any

// with is the document with one more field, or another value of it.
func (d document) with(field string, value any) document {
	changed := maps.Clone(d)
	changed[field] = value
	return changed
}

// without is the document with one field less.
func (d document) without(field string) document {
	changed := maps.Clone(d)
	delete(changed, field)
	return changed
}

// about is the document with a subject: what it is attached to.
func (d document) about(subject manifest) document {
	return d.with("subject", subject.descriptor())
}

// manifest is the document as bytes, under the media type that it names.
func (d document) manifest() manifest {
	content, err := json.MarshalIndent(d, "", "   ") // as Docker: bytes matter
	if err != nil {
		panic(err) // only of a fault in the test
	}
	mediaType, _ := d["mediaType"].(string)
	return manifest{mediaType, blobOf(content)}
}

// manifest is a pushed document.
type manifest struct {
	mediaType string
	blob
}

func (m manifest) descriptor() descriptor { return m.as(m.mediaType) }

// by512 is the same manifest, addressed by its sha512 digest.
func (m manifest) by512() manifest { return manifest{m.mediaType, m.blob.by512()} }

// imageOf is an OCI image.
func imageOf(config blob, layers ...blob) document {
	return document{
		"schemaVersion": 2, "mediaType": ociImage,
		"config": config.as(ociConfig), "layers": described(ociLayer, layers),
	}
}

// dockerImageOf is an image as Docker pushes it.
func dockerImageOf(config blob, layers ...blob) document {
	return document{
		"schemaVersion": 2, "mediaType": dockerImage,
		"config": config.as(dockerConfig), "layers": described(dockerLayer, layers),
	}
}

// artifactOf is anything but an image, in the form of one.
func artifactOf(artifactType string, config blob, content ...blob) document {
	return document{
		"schemaVersion": 2, "mediaType": ociImage, "artifactType": artifactType,
		"config": config.as(ociEmpty), "layers": described(artifactType, content),
	}
}

// indexOf is an OCI index of manifests.
func indexOf(children ...manifest) document { return listOf(ociIndex, children) }

// dockerListOf is a list of manifests for several platforms, as Docker has it.
func dockerListOf(children ...manifest) document { return listOf(dockerList, children) }

func listOf(mediaType string, children []manifest) document {
	named := []descriptor{}
	for _, child := range children {
		named = append(named, child.descriptor())
	}
	return document{"schemaVersion": 2, "mediaType": mediaType, "manifests": named}
}

func described(mediaType string, blobs []blob) []descriptor {
	named := []descriptor{}
	for _, b := range blobs {
		named = append(named, b.as(mediaType))
	}
	return named
}
