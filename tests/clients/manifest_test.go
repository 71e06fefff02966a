package clients

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"opendev.org/zuul/zuul-registry/tests/testbed"
)

// imageManifest is what the tests read in the manifest of an image, or of a
// list of them.
type imageManifest struct {
	MediaType string
	Config    descriptor
	Layers    []descriptor
	Manifests []descriptor
}

type descriptor struct {
	MediaType, Digest string
	Annotations       map[string]string
	Platform          struct{ Architecture string }
}

// configIn is the digest of the config in a manifest, or of what is found in that
// manifest of a list which is for this machine.
func configIn(content string, in func(digest string) (string, error)) (string, error) {
	var manifest imageManifest
	if err := json.Unmarshal([]byte(content), &manifest); err != nil {
		return "", fmt.Errorf("%q: %w", content, err)
	}
	if own, ok := manifest.own(); ok {
		return in(own.Digest)
	}
	return manifest.Config.Digest, nil
}

// own is the manifest of a list which is for this machine.
func (m imageManifest) own() (descriptor, bool) {
	for _, each := range m.Manifests {
		if each.Platform.Architecture == runtime.GOARCH {
			return each, true
		}
	}
	return descriptor{}, false
}

// encoded is a digest as the names of files have it.
func encoded(digest string) string { return strings.TrimPrefix(digest, "sha256:") }

// compare compares the bytes of every layer, which are in files, with the
// original's, and returns what the image would have printed.
func (m imageManifest) compare(image testbed.Image, file func(digest string) string) (string, error) {
	var layers []string
	for _, layer := range m.Layers {
		digest, err := unpackedDigest(file(layer.Digest))
		if err != nil {
			return "", err
		}
		layers = append(layers, digest)
	}
	if !slices.Equal(layers, image.Layers) {
		return "", fmt.Errorf("the layers are %v, want %v", layers, image.Layers)
	}
	return image.Says, nil
}

// unpackedDigest is the digest of what a compressed file holds, and of any
// other file: containerd pushes layers as they are.
func unpackedDigest(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	packed := bufio.NewReader(file)
	unpacked := io.Reader(packed)
	magic, err := packed.Peek(4)
	switch {
	case err != nil:
	case string(magic[:2]) == "\x1f\x8b":
		unpacked, err = gzip.NewReader(packed)
	case string(magic) == "\x28\xb5\x2f\xfd":
		unpacked, err = zstd.NewReader(packed)
	}
	if err != nil {
		return "", err
	}
	hash := sha256.New()
	if _, err := io.Copy(hash, unpacked); err != nil {
		return "", err
	}
	return "sha256:" + hex.EncodeToString(hash.Sum(nil)), nil
}
