package testbed

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// Image is an image as its maker has it, before any registry saw it.
type Image struct {
	Name    string
	Archive string   // a file as "docker save" writes it, which every tool reads
	ID      string   // the digest of the config
	Layers  []string // the digests of the uncompressed layers, the lowest first
	Env     []string // of what runs in it
	Program []string // runs in it, whatever the command
	Command []string // runs in it by default
	Says    string   // what the command prints
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
	content := []byte(where)
	name := "from-" + digest(content)[len("sha256:"):][:12] // fit for a file's
	return b.assemble(t, Image{
		Name:    name,
		Command: []string{"/" + greeter},
		Says:    "Hello from " + where + "!",
	}, b.greeterLayer(t), b.fileLayer(t, "from", name, 0o644, content))
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
	var packed bytes.Buffer
	w := tar.NewWriter(&packed)
	if err := add(w, name, mode, content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	path := b.path(layer + ".tar")
	if err := os.WriteFile(path, packed.Bytes(), 0o644); err != nil {
		t.Fatal(err)
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

// assemble makes an image of layers, which are files, once for the test.
func (b *Bed) assemble(t *testing.T, image Image, layers ...string) Image {
	t.Helper()
	if made, ok := b.images[image.Name]; ok {
		return made
	}
	image.Archive = b.path(image.Name + "-image.tar")
	if err := image.write(layers); err != nil {
		t.Fatalf("assemble the image %s: %v", image.Name, err)
	}
	b.images[image.Name] = image
	return image
}

// write writes the archive from layers, which are files, and learns the
// digests on the way.
func (i *Image) write(layers []string) error {
	file, err := os.Create(i.Archive)
	if err != nil {
		return err
	}
	defer file.Close()
	w := tar.NewWriter(file)
	var names []string
	for n, layer := range layers {
		name := fmt.Sprintf("%d/layer.tar", n)
		digest, err := addFile(w, name, layer)
		if err != nil {
			return err
		}
		names, i.Layers = append(names, name), append(i.Layers, digest)
	}
	config, err := i.config()
	if err != nil {
		return err
	}
	i.ID = digest(config)
	name := strings.TrimPrefix(i.ID, "sha256:") + ".json"
	if err := add(w, name, 0o644, config); err != nil {
		return err
	}
	manifest, err := json.Marshal([]map[string]any{{"Config": name, "Layers": names, "RepoTags": nil}})
	if err != nil {
		return err
	}
	if err := add(w, "manifest.json", 0o644, manifest); err != nil {
		return err
	}
	return w.Close()
}

// config is the image's config; the same image has the same one at every run.
func (i *Image) config() ([]byte, error) {
	type object = map[string]any
	created := time.Date(2024, 2, 29, 0, 0, 0, 0, time.UTC)
	var history []object
	for range i.Layers {
		history = append(history, object{"created": created, "created_by": "testbed"})
	}
	return json.Marshal(object{
		"architecture": runtime.GOARCH,
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

func digest(content []byte) string {
	sum := sha256.Sum256(content)
	return "sha256:" + hex.EncodeToString(sum[:])
}
