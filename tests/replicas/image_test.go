package replicas

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"

	godigest "github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// image is one that nobody has had before, in the forms in which tools read it.
type image struct {
	id      string // the digest of its config, whatever a tool makes of the rest
	digest  string // of its manifest, if a tool leaves it as it is
	layout  string // a folder
	archive string // the same, with what Docker needs
	size    int64  // of all of it
}

// layer is one as it is pushed, and what is in it.
type layer struct {
	content []byte
	diffID  godigest.Digest
}

// newLayer makes one of random content. The same seed gives the same one.
func newLayer(seed uint64, size int) layer {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	content := make([]byte, size)
	var plain, packed bytes.Buffer // to which writing never fails
	_, _ = rand.NewChaCha8(key).Read(content)
	w := tar.NewWriter(&plain)
	_ = w.WriteHeader(&tar.Header{Name: fmt.Sprintf("content/%x", seed), Mode: 0o644, Size: int64(size)})
	_, _ = w.Write(content)
	_ = w.Close()
	z, _ := gzip.NewWriterLevel(&packed, gzip.NoCompression) // of which nothing would come
	_, _ = z.Write(plain.Bytes())
	_ = z.Close()
	return layer{packed.Bytes(), godigest.FromBytes(plain.Bytes())}
}

// makeImage makes an image of layers, in a folder that is not there yet.
func makeImage(dir string, layers ...layer) (*image, error) {
	i := &image{layout: filepath.Join(dir, "layout"), archive: filepath.Join(dir, "archive.tar")}
	if err := os.MkdirAll(filepath.Join(i.layout, "blobs/sha256"), 0o755); err != nil {
		return nil, err
	}
	config := ocispec.Image{Platform: ocispec.Platform{Architecture: runtime.GOARCH, OS: "linux"}, RootFS: ocispec.RootFS{Type: "layers"}}
	manifest := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest}
	for _, l := range layers {
		blob, err := i.put(ocispec.MediaTypeImageLayerGzip, l.content)
		if err != nil {
			return nil, err
		}
		manifest.Layers = append(manifest.Layers, blob)
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, l.diffID)
		config.History = append(config.History, ocispec.History{CreatedBy: "chance"})
	}
	var err error
	if manifest.Config, err = i.putJSON(ocispec.MediaTypeImageConfig, config); err != nil {
		return nil, err
	}
	top, err := i.putJSON(ocispec.MediaTypeImageManifest, manifest)
	if err != nil {
		return nil, err
	}
	i.id, i.digest = manifest.Config.Digest.String(), top.Digest.String()
	return i, errors.Join(i.index(top, manifest), i.pack())
}

func (i *image) put(mediaType string, content []byte) (ocispec.Descriptor, error) {
	digest := godigest.FromBytes(content)
	i.size += int64(len(content))
	return ocispec.Descriptor{MediaType: mediaType, Digest: digest, Size: int64(len(content))},
		os.WriteFile(filepath.Join(i.layout, blobPath(digest)), content, 0o644)
}

func blobPath(digest godigest.Digest) string { return "blobs/sha256/" + digest.Encoded() }

func (i *image) putJSON(mediaType string, value any) (ocispec.Descriptor, error) {
	text, err := json.Marshal(value)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	return i.put(mediaType, text)
}

// index writes what the layout's tag latest is, and the same for Docker, which
// names it by nothing.
func (i *image) index(top ocispec.Descriptor, manifest ocispec.Manifest) error {
	top.Annotations = map[string]string{ocispec.AnnotationRefName: "latest"}
	var layers []string
	for _, l := range manifest.Layers {
		layers = append(layers, blobPath(l.Digest))
	}
	docker := map[string]any{"Config": blobPath(manifest.Config.Digest), "Layers": layers, "RepoTags": nil}
	var faults []error
	for name, value := range map[string]any{
		ocispec.ImageIndexFile:  ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, Manifests: []ocispec.Descriptor{top}},
		ocispec.ImageLayoutFile: ocispec.ImageLayout{Version: ocispec.ImageLayoutVersion},
		"manifest.json":         []any{docker},
	} {
		text, err := json.Marshal(value)
		faults = append(faults, err, os.WriteFile(filepath.Join(i.layout, name), text, 0o644))
	}
	return errors.Join(faults...)
}

// pack makes the archive.
func (i *image) pack() error {
	file, err := os.Create(i.archive)
	if err != nil {
		return err
	}
	defer file.Close()
	w := tar.NewWriter(file)
	return errors.Join(w.AddFS(os.DirFS(i.layout)), w.Close())
}
