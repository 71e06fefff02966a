package replicas

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	godigest "github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// whole reads all that a manifest names, and finds each to be what it is called,
// and each layer to hold what the config says.
func whole(manifest ocispec.Manifest, read func(ocispec.Descriptor) ([]byte, error)) error {
	config, err := readBlob(manifest.Config, read)
	if err != nil {
		return err
	}
	var image ocispec.Image
	if err := json.Unmarshal(config, &image); err != nil {
		return err
	}
	if len(image.RootFS.DiffIDs) != len(manifest.Layers) {
		return fmt.Errorf("it has %d layers, and the config %d", len(manifest.Layers), len(image.RootFS.DiffIDs))
	}
	for n, layer := range manifest.Layers {
		packed, err := readBlob(layer, read)
		if err != nil {
			return err
		}
		if err := holds(packed, image.RootFS.DiffIDs[n]); err != nil {
			return fmt.Errorf("the layer %s: %w", layer.Digest, err)
		}
	}
	return nil
}

func readBlob(d ocispec.Descriptor, read func(ocispec.Descriptor) ([]byte, error)) ([]byte, error) {
	content, err := read(d)
	if err == nil && (int64(len(content)) != d.Size || godigest.FromBytes(content) != d.Digest) {
		err = fmt.Errorf("%s has %d bytes of %d, and the digest %s", d.Digest, len(content), d.Size, godigest.FromBytes(content))
	}
	return content, err
}

// holds finds in a layer what it should.
func holds(packed []byte, want godigest.Digest) error {
	unpacked, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return err
	}
	got, err := want.Algorithm().FromReader(unpacked)
	if err == nil && got != want {
		err = fmt.Errorf("there is %s in it, and not %s", got, want)
	}
	return err
}

// readPulled finds out which image a tool has pulled into a folder, an OCI layout or
// what Skopeo calls a dir, and that it is whole.
func readPulled(dir string) (id string, err error) {
	blobs, top := dir, filepath.Join(dir, "manifest.json")
	index, err := os.ReadFile(filepath.Join(dir, ocispec.ImageIndexFile))
	if err == nil {
		var layout ocispec.Index
		if err := json.Unmarshal(index, &layout); err != nil {
			return "", err
		}
		if len(layout.Manifests) != 1 {
			return "", fmt.Errorf("there is not one image: %s", index)
		}
		blobs = filepath.Join(dir, "blobs/sha256")
		top = filepath.Join(blobs, layout.Manifests[0].Digest.Encoded())
	} else if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	text, err := os.ReadFile(top)
	if err != nil {
		return "", err
	}
	var manifest ocispec.Manifest
	if err := json.Unmarshal(text, &manifest); err != nil {
		return "", err
	}
	return manifest.Config.Digest.String(), whole(manifest, func(d ocispec.Descriptor) ([]byte, error) {
		return os.ReadFile(filepath.Join(blobs, d.Digest.Encoded()))
	})
}
