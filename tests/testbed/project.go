package testbed

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/ory/dockertest/v3/docker"
)

const project = "zuul-registry:built"

// Project is what the image is built of: files and folders of the project's.
var Project = []string{"Dockerfile", ".dockerignore", "go.mod", "go.sum", "server"}

// Project is the name of the project's own image in the daemon, as its
// Dockerfile makes it. It is built once and kept in the user's cache, until
// something changes that it is made of. The bed has prepared Debian and Golang.
func (e *Engine) Project(t *testing.T) string {
	t.Helper()
	e.building.Lock()
	defer e.building.Unlock()
	if !e.has(t, project) {
		kept, err := cached("project", sources(t)+".tar", func(half string) error { return e.build(t, half) })
		if err != nil {
			t.Fatal(err)
		}
		e.load(t, kept)
	}
	return project
}

// build builds the image from the project's folder, as a user would, and saves
// it to a file.
func (e *Engine) build(t *testing.T, file string) error {
	e.Load(t, e.bed.Golang(t), GolangName(t))
	var said bytes.Buffer
	if err := e.Pool.Client.BuildImage(docker.BuildImageOptions{
		Name:         project,
		Dockerfile:   "Dockerfile",
		ContextDir:   Root(t),
		OutputStream: &said,
		Context:      t.Context(),
	}); err != nil {
		return fmt.Errorf("build the project: %w\n%s", err, &said)
	}
	to, err := os.Create(file)
	if err != nil {
		return err
	}
	export := docker.ExportImageOptions{Name: project, OutputStream: to, Context: t.Context()}
	return errors.Join(e.Pool.Client.ExportImage(export), to.Close())
}

// sources is the digest of what the image is made of, and with.
func sources(t *testing.T) string {
	t.Helper()
	all := sha256.New()
	parts := []string{"/" + certificates}
	for _, part := range Project {
		parts = append(parts, filepath.Join(Root(t), part))
	}
	for _, part := range parts {
		if err := filepath.WalkDir(part, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			content, err := os.ReadFile(path)
			fmt.Fprintln(all, strings.TrimPrefix(path, Root(t)), Digest(content))
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	fmt.Fprintln(all, debianSuite, runtime.Version(), runtime.GOARCH)
	return hex.EncodeToString(all.Sum(nil))[:12]
}

// GolangName is the name of the image that the Dockerfile builds in, with its
// arguments as they are by default.
func GolangName(t *testing.T) string {
	t.Helper()
	dockerfile, err := os.ReadFile(filepath.Join(Root(t), "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	defaults := map[string]string{}
	for _, arg := range regexp.MustCompile(`(?m)^ARG (\w+)=(\S+)`).FindAllStringSubmatch(string(dockerfile), -1) {
		defaults[arg[1]] = arg[2]
	}
	from := regexp.MustCompile(`(?m)^FROM (\S+) AS `).FindStringSubmatch(string(dockerfile))
	if from == nil {
		t.Fatal("the Dockerfile has no stage to build in")
	}
	return os.Expand(from[1], func(name string) string { return defaults[name] })
}
