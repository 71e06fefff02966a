package testbed

import (
	"archive/tar"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// imagesDir is the folder of the layers, archives and layouts of images.
const imagesDir = "images"

// Image is an image as its maker has it, before any registry saw it.
type Image struct {
	Name    string
	Archive string   // a file as "docker save" writes it, which every tool reads
	Loaded  string   // the name that it has after it was loaded from there
	ID      string   // the digest of the config
	Layers  []string // the digests of the uncompressed layers, the lowest first
	Env     []string // of what runs in it
	Program []string // runs in it, whatever the command
	Command []string // runs in it by default
	Says    string   // what the command prints

	architecture string
	layers       []string // their files
	config       []byte
}

// Scratch is an image of one static program.
func (b *Bed) Scratch(t *testing.T) Image {
	t.Helper()
	return b.assemble(t, Image{
		Name:    "scratch",
		Command: []string{"/" + greeter},
		Says:    "Hello from scratch!",
	}, b.greeterLayer(t))
}

// From is an image of that program and what it says to be from: images that
// can be told apart, though each has a layer that the others have.
func (b *Bed) From(t *testing.T, where string) Image {
	t.Helper()
	return b.from(t, where, runtime.GOARCH)
}

// Platforms are images of the same origin for several platforms, this machine's
// first.
func (b *Bed) Platforms(t *testing.T, where string) (images []Image) {
	t.Helper()
	for _, architecture := range []string{runtime.GOARCH, "arm", "ppc64le", "s390x"} {
		images = append(images, b.from(t, where+" for "+architecture, architecture))
	}
	return images
}

func (b *Bed) from(t *testing.T, where, architecture string) Image {
	t.Helper()
	content := []byte(where)
	name := "from-" + Digest(content)[len("sha256:"):][:12] // fit for a file's
	return b.assemble(t, Image{
		Name:         name,
		Command:      []string{"/" + greeter},
		Says:         "Hello from " + where + "!",
		architecture: architecture,
	}, b.greeterLayer(t), b.fileLayer(t, "from", name, 0o644, content))
}

// Apart is such an image, too, but has no layer that another one has.
func (b *Bed) Apart(t *testing.T, where string) Image {
	t.Helper()
	program, err := os.ReadFile(b.path(greeter))
	if err != nil {
		t.Fatal(err)
	}
	name := "apart-" + Digest([]byte(where))[len("sha256:"):][:12]
	return b.assemble(t, Image{
		Name:    name,
		Command: []string{"/" + greeter},
		Says:    "Hello from " + where + "!",
	}, b.layer(t, name, func(w *tar.Writer) error {
		return errors.Join(add(w, greeter, 0o755, program), add(w, "from", 0o644, []byte(where)))
	}))
}

// Layered is an image of so many layers, with a file of the given size in each
// that cannot be compressed. Its program reads them all.
func (b *Bed) Layered(t *testing.T, layers int, size int64) Image {
	t.Helper()
	all, sum := []string{b.greeterLayer(t)}, sha256.New()
	for n := range layers {
		file := fmt.Sprintf("content/%03d", n)
		path := b.layer(t, fmt.Sprintf("layered-%d-%d", size, n), func(w *tar.Writer) error {
			if err := w.WriteHeader(&tar.Header{Name: file, Mode: 0o644, Size: size}); err != nil {
				return err
			}
			noise := rand.NewChaCha8([32]byte{byte(n), byte(n >> 8)})
			_, err := io.CopyN(w, noise, size)
			return err
		})
		noise := rand.NewChaCha8([32]byte{byte(n), byte(n >> 8)})
		if _, err := io.CopyN(sum, noise, size); err != nil {
			t.Fatal(err)
		}
		all = append(all, path)
	}
	return b.assemble(t, Image{
		Name:    fmt.Sprintf("layered-%d-%d", size, layers),
		Command: []string{"/" + greeter},
		Says:    fmt.Sprintf("Hello from scratch! In %d files: %x", layers, sum.Sum(nil)),
	}, all...)
}

// Server is an image of the server, which for its users is what the Dockerfile
// makes.
func (b *Bed) Server(t *testing.T) Image {
	t.Helper()
	program, err := os.ReadFile(b.Binary())
	if err != nil {
		t.Fatal(err)
	}
	return b.assemble(t, Image{
		Name:    "server",
		Program: []string{"/usr/bin/" + server},
		Command: []string{"serve"},
	}, b.fileLayer(t, "usr/bin/"+server, "server-layer", 0o755, program))
}

func (b *Bed) greeterLayer(t *testing.T) string {
	t.Helper()
	program, err := os.ReadFile(b.path(greeter))
	if err != nil {
		t.Fatal(err)
	}
	return b.fileLayer(t, greeter, greeter, 0o755, program)
}

// fileLayer makes a layer, of the given name, of a single file.
func (b *Bed) fileLayer(t *testing.T, name, layer string, mode int64, content []byte) string {
	t.Helper()
	return b.layer(t, layer, func(w *tar.Writer) error { return add(w, name, mode, content) })
}

// layer makes a layer, which is a file of the given name, once for the run.
func (b *Bed) layer(t *testing.T, name string, fill func(w *tar.Writer) error) string {
	t.Helper()
	b.assembling.Lock()
	defer b.assembling.Unlock()
	path := filepath.Join(b.path(imagesDir), name+".tar")
	if _, err := os.Stat(path); err == nil {
		return path
	}
	file, err := os.Create(path + ".half")
	if err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(file)
	if err := errors.Join(fill(w), w.Close(), file.Close(), os.Rename(file.Name(), path)); err != nil {
		t.Fatalf("the layer %s: %v", name, err)
	}
	return path
}

func add(w *tar.Writer, name string, mode int64, content []byte) error {
	if err := w.WriteHeader(&tar.Header{Name: name, Mode: mode, Size: int64(len(content))}); err != nil {
		return err
	}
	_, err := w.Write(content)
	return err
}

// assemble makes an image of layers, which are files, once for the run.
func (b *Bed) assemble(t *testing.T, image Image, layers ...string) Image {
	t.Helper()
	b.assembling.Lock()
	defer b.assembling.Unlock()
	if made, ok := b.images[image.Name]; ok {
		return made
	}
	image.layers = layers
	image.Loaded = "localhost/" + image.Name + ":latest"
	image.architecture = cmp.Or(image.architecture, runtime.GOARCH)
	image.Archive = filepath.Join(b.path(imagesDir), image.Name+"-image.tar")
	if err := image.write(); err != nil {
		t.Fatalf("assemble the image %s: %v", image.Name, err)
	}
	b.images[image.Name] = image
	return image
}

// write writes the archive, and learns the digests on the way.
func (i *Image) write() error {
	file, err := os.Create(i.Archive)
	if err != nil {
		return err
	}
	defer file.Close()
	w := tar.NewWriter(file)
	var names []string
	for n, layer := range i.layers {
		name := fmt.Sprintf("%d/layer.tar", n)
		digest, err := addFile(w, name, layer)
		if err != nil {
			return err
		}
		names, i.Layers = append(names, name), append(i.Layers, digest)
	}
	if i.config, err = i.encode(); err != nil {
		return err
	}
	i.ID = Digest(i.config)
	name := strings.TrimPrefix(i.ID, "sha256:") + ".json"
	if err := add(w, name, 0o644, i.config); err != nil {
		return err
	}
	manifest, err := json.Marshal([]map[string]any{{"Config": name, "Layers": names, "RepoTags": []string{i.Loaded}}})
	if err != nil {
		return err
	}
	if err := add(w, "manifest.json", 0o644, manifest); err != nil {
		return err
	}
	return w.Close()
}

// encode makes the image's config; the same image has the same one at every run.
func (i *Image) encode() ([]byte, error) {
	type object = map[string]any
	created := time.Date(2024, 2, 29, 0, 0, 0, 0, time.UTC)
	var history []object
	for range i.Layers {
		history = append(history, object{"created": created, "created_by": "testbed"})
	}
	return json.Marshal(object{
		"architecture": i.architecture,
		"os":           "linux",
		"created":      created,
		"config":       object{"Entrypoint": i.Program, "Cmd": i.Command, "Env": i.Env},
		"rootfs":       object{"type": "layers", "diff_ids": i.Layers},
		"history":      history,
	})
}

// addFile adds a file and returns its digest.
func addFile(w *tar.Writer, name, path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return "", err
	}
	if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: info.Size()}); err != nil {
		return "", err
	}
	hash := sha256.New()
	if _, err := io.Copy(w, io.TeeReader(file, hash)); err != nil {
		return "", err
	}
	return "sha256:" + hex.EncodeToString(hash.Sum(nil)), nil
}

// Digest is the digest of some content.
func Digest(content []byte) string {
	sum := sha256.Sum256(content)
	return "sha256:" + hex.EncodeToString(sum[:])
}
