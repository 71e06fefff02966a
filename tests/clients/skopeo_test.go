package clients

import (
	"bufio"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"opendev.org/zuul/zuul-registry/tests/testbed"
)

// skopeo is Skopeo. It copies between places, so its store here is a folder
// with an image's files in one folder each.
type skopeo struct {
	account
	store string
}

func startSkopeo(t *testing.T, bed *testbed.Bed) client {
	home := bed.Folder(t, "skopeo")
	return skopeo{account{newCommand(t, home, "skopeo")}, filepath.Join(home, "store")}
}

func (s skopeo) folder(ref string) string { return filepath.Join(s.store, url.PathEscape(ref)) }

func (s skopeo) copy(ctx context.Context, from, to string) error {
	if err := os.MkdirAll(s.store, 0o755); err != nil {
		return err
	}
	return s.do(ctx, "copy", from, to)
}

func (s skopeo) load(ctx context.Context, image testbed.Image, ref string) error {
	return s.copy(ctx, "docker-archive:"+image.Archive, "dir:"+s.folder(ref))
}

func (s skopeo) tag(ctx context.Context, ref, further string) error {
	return s.copy(ctx, "dir:"+s.folder(ref), "dir:"+s.folder(further))
}

func (s skopeo) push(ctx context.Context, ref string) error {
	return s.copy(ctx, "dir:"+s.folder(ref), "docker://"+ref)
}

func (s skopeo) pull(ctx context.Context, ref string) error {
	return s.copy(ctx, "docker://"+ref, "dir:"+s.folder(ref))
}

func (s skopeo) remove(_ context.Context, ref string) error { return os.RemoveAll(s.folder(ref)) }

func (s skopeo) id(_ context.Context, ref string) (string, error) {
	manifest, err := s.manifest(ref)
	return manifest.Config.Digest, err
}

func (s skopeo) digest(ctx context.Context, ref string) (string, error) {
	return s.run(ctx, "manifest-digest", filepath.Join(s.folder(ref), "manifest.json"))
}

// use compares the bytes of every layer with the original's.
func (s skopeo) use(_ context.Context, image testbed.Image, ref string) (string, error) {
	manifest, err := s.manifest(ref)
	if err != nil {
		return "", err
	}
	var layers []string
	for _, layer := range manifest.Layers {
		digest, err := unpackedDigest(filepath.Join(s.folder(ref), strings.TrimPrefix(layer.Digest, "sha256:")))
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

type imageManifest struct {
	Config struct{ Digest string }
	Layers []struct{ Digest string }
}

func (s skopeo) manifest(ref string) (manifest imageManifest, err error) {
	content, err := os.ReadFile(filepath.Join(s.folder(ref), "manifest.json"))
	if err != nil {
		return manifest, err
	}
	return manifest, json.Unmarshal(content, &manifest)
}

// unpackedDigest is the digest of what a gzip file holds, and of any other
// file: containerd pushes layers as they are.
func unpackedDigest(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	packed := bufio.NewReader(file)
	unpacked := io.Reader(packed)
	if magic, err := packed.Peek(2); err != nil {
		return "", err
	} else if string(magic) == "\x1f\x8b" {
		if unpacked, err = gzip.NewReader(packed); err != nil {
			return "", err
		}
	}
	hash := sha256.New()
	if _, err := io.Copy(hash, unpacked); err != nil {
		return "", err
	}
	return "sha256:" + hex.EncodeToString(hash.Sum(nil)), nil
}
