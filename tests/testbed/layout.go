package testbed

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	godigest "github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"
)

// Format is what an image is made of in a registry: of Docker's media types or
// OCI's, and of layers that are compressed with gzip or zstd, which is OCI's only.
type Format struct{ Docker, Zstd bool }

func (f Format) types() (manifest, list, config, layer string) {
	if f.Docker {
		return "application/vnd.docker.distribution.manifest.v2+json",
			"application/vnd.docker.distribution.manifest.list.v2+json",
			"application/vnd.docker.container.image.v1+json",
			"application/vnd.docker.image.rootfs.diff.tar.gzip"
	}
	layer = ocispec.MediaTypeImageLayerGzip
	if f.Zstd {
		layer = ocispec.MediaTypeImageLayerZstd
	}
	return ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageIndex, ocispec.MediaTypeImageConfig, layer
}

// Layout is an OCI image layout, a folder, with one image or list of images,
// tagged latest: what is in it goes into a registry bit for bit.
type Layout struct {
	Dir       string
	Digest    string // of the image's manifest, or of the list
	MediaType string
}

const latest = "latest" // the tag in a layout

// Layout is an image in a format.
func (b *Bed) Layout(image Image, format Format) (Layout, error) {
	return b.layout(func(to *filling) (ocispec.Descriptor, error) { return to.pushImage(image, format) })
}

// List is a list of images, one for each platform, in a format.
func (b *Bed) List(format Format, images ...Image) (Layout, error) {
	_, list, _, _ := format.types()
	return b.layout(func(to *filling) (d ocispec.Descriptor, err error) {
		index := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: list}
		for _, image := range images {
			manifest, err := to.pushImage(image, format)
			if err != nil {
				return d, err
			}
			manifest.Platform = &ocispec.Platform{OS: "linux", Architecture: image.architecture}
			index.Manifests = append(index.Manifests, manifest)
		}
		return to.pushJSON(list, index)
	})
}

// layout makes a layout of what fill puts into it, and tags what it returns.
func (b *Bed) layout(fill func(to *filling) (ocispec.Descriptor, error)) (l Layout, err error) {
	dir, err := os.MkdirTemp(b.path(imagesDir), "layout-")
	if err != nil {
		return l, err
	}
	if err := errors.Join(os.Chmod(dir, 0o755), os.MkdirAll(filepath.Join(dir, ocispec.ImageBlobsDir, "sha256"), 0o755)); err != nil {
		return l, err
	}
	to := &filling{b, dir}
	image, err := fill(to)
	if err != nil {
		return l, err
	}
	l = Layout{dir, string(image.Digest), image.MediaType}
	image.Annotations = map[string]string{ocispec.AnnotationRefName: latest}
	index := ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{image},
	}
	return l, errors.Join(
		writeJSON(filepath.Join(dir, ocispec.ImageIndexFile), index),
		writeJSON(filepath.Join(dir, ocispec.ImageLayoutFile), ocispec.ImageLayout{Version: ocispec.ImageLayoutVersion}),
	)
}

// filling is a layout while it is made.
type filling struct {
	bed *Bed
	dir string
}

// blob is the file of one.
func (to *filling) blob(digest godigest.Digest) string {
	return filepath.Join(to.dir, ocispec.ImageBlobsDir, "sha256", digest.Encoded())
}

func (to *filling) pushImage(image Image, format Format) (d ocispec.Descriptor, err error) {
	manifestType, _, configType, layerType := format.types()
	manifest := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: manifestType}
	for _, layer := range image.layers {
		packed, err := to.bed.pack(layer, format)
		if err != nil {
			return d, err
		}
		packed.MediaType = layerType
		if err := os.Link(to.bed.packed(packed.Digest), to.blob(packed.Digest)); err != nil && !errors.Is(err, fs.ErrExist) {
			return d, err
		}
		manifest.Layers = append(manifest.Layers, packed)
	}
	if manifest.Config, err = to.pushBytes(configType, image.config); err != nil {
		return d, err
	}
	return to.pushJSON(manifestType, manifest)
}

func (to *filling) pushJSON(mediaType string, value any) (ocispec.Descriptor, error) {
	encoded, err := json.Marshal(value)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	return to.pushBytes(mediaType, encoded)
}

func (to *filling) pushBytes(mediaType string, value []byte) (ocispec.Descriptor, error) {
	descriptor := content.NewDescriptorFromBytes(mediaType, value)
	return descriptor, os.WriteFile(to.blob(descriptor.Digest), value, 0o644)
}

// Archive packs the layout into a file.
func (l Layout) Archive(ctx context.Context, file string) error {
	_, err := Run(exec.CommandContext(ctx, "tar", "--create", "--file="+file, "--directory="+l.Dir, "."))
	return err
}

// pack compresses a layer, once for the run.
func (b *Bed) pack(layer string, format Format) (d ocispec.Descriptor, err error) {
	b.assembling.Lock()
	defer b.assembling.Unlock()
	kind := fmt.Sprint(layer, format.Zstd)
	if packed, ok := b.layers[kind]; ok {
		return packed, nil
	}
	from, err := os.Open(layer)
	if err != nil {
		return d, err
	}
	defer from.Close()
	file, err := os.Create(layer + ".packed")
	if err != nil {
		return d, err
	}
	defer file.Close()
	sum := sha256.New()
	w, err := format.compress(io.MultiWriter(file, sum))
	if err != nil {
		return d, err
	}
	if _, err := io.Copy(w, from); err != nil {
		return d, err
	}
	if err := w.Close(); err != nil {
		return d, err
	}
	if d.Size, err = file.Seek(0, io.SeekCurrent); err != nil {
		return d, err
	}
	d.Digest = godigest.NewDigest(godigest.SHA256, sum)
	if err := os.Rename(file.Name(), b.packed(d.Digest)); err != nil {
		return d, err
	}
	b.layers[kind] = d
	return d, nil
}

// compress is fast with what cannot be compressed.
func (f Format) compress(w io.Writer) (io.WriteCloser, error) {
	if f.Zstd {
		return zstd.NewWriter(w)
	}
	return gzip.NewWriterLevel(w, gzip.BestSpeed)
}

func (b *Bed) packed(d godigest.Digest) string {
	return filepath.Join(b.path(imagesDir), d.Encoded()+".packed")
}
