package testbed

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const (
	golangLayer  = "golang.tar"
	modulesLayer = "modules.tar"
	certificates = "etc/ssl/certs/ca-certificates.crt"
)

// Golang prepares what makes a Debian an image to build the project in, where
// there is no network: this machine's Go, the modules in go.sum and, as in
// the image that it stands for, CA certificates.
func Golang(ctx context.Context, dir string) error {
	root, err := goEnv(ctx, "GOROOT")
	if err != nil {
		return err
	}
	if err := pack(ctx, filepath.Join(dir, golangLayer), "/", []string{
		"--exclude=" + root[1:] + "/test", "--exclude=" + root[1:] + "/api", // what a build does not read
		"--transform=s,^" + root[1:] + ",usr/local/go,",
		root[1:], certificates,
	}); err != nil {
		return err
	}

	if _, err := Run(exec.CommandContext(ctx, "go", "mod", "download")); err != nil {
		return err
	}
	cache, err := goEnv(ctx, "GOMODCACHE")
	if err != nil {
		return err
	}
	mod, err := goEnv(ctx, "GOMOD")
	if err != nil {
		return err
	}
	proxy := filepath.Join(cache, "cache/download")
	files, err := moduleFiles(filepath.Join(filepath.Dir(mod), "go.sum"), proxy)
	if err != nil {
		return err
	}
	return pack(ctx, filepath.Join(dir, modulesLayer), proxy, append([]string{"--transform=s,^,modules/,"}, files...))
}

func goEnv(ctx context.Context, name string) (string, error) {
	return Run(exec.CommandContext(ctx, "go", "env", name))
}

// pack makes a layer of files in a folder.
func pack(ctx context.Context, layer, folder string, arguments []string) error {
	tar := []string{"--create", "--file=" + layer, "--owner=0", "--group=0", "--directory=" + folder}
	_, err := Run(exec.CommandContext(ctx, "tar", append(tar, arguments...)...))
	return err
}

// moduleFiles are the files of the modules that a go.sum names, in the layout
// that the module cache and a module proxy share. A go.sum also names modules
// of which nothing is needed, so that not all are there.
func moduleFiles(sums, proxy string) ([]string, error) {
	file, err := os.Open(sums)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var files []string
	for lines := bufio.NewScanner(file); lines.Scan(); {
		var module, version, sum string
		if _, err := fmt.Sscan(lines.Text(), &module, &version, &sum); err != nil {
			return nil, fmt.Errorf("%s: %q: %w", sums, lines.Text(), err)
		}
		endings := []string{".zip"}
		if plain, ok := strings.CutSuffix(version, "/go.mod"); ok {
			version, endings = plain, []string{".mod", ".info"}
		}
		for _, ending := range endings {
			name := filepath.Join(escape(module), "@v", escape(version)+ending)
			if _, err := os.Stat(filepath.Join(proxy, name)); err == nil {
				files = append(files, name)
			}
		}
	}
	return files, nil
}

// escape is how capital letters are written in the module cache.
func escape(path string) string {
	var b strings.Builder
	for _, r := range path {
		if 'A' <= r && r <= 'Z' {
			b.WriteByte('!')
			r += 'a' - 'A'
		}
		b.WriteRune(r)
	}
	return b.String()
}

// Golang is an image with Go in which the project can be built without a
// network. It stands for the one of this name that nobody can pull there.
func (b *Bed) Golang(t *testing.T) Image {
	t.Helper()
	debian := b.debianLayer(t)
	return b.assemble(t, Image{
		Name: "golang",
		Env: []string{
			"PATH=/usr/local/go/bin:/usr/sbin:/usr/bin:/sbin:/bin",
			"GOPROXY=file:///modules", "GOSUMDB=off", "GOTOOLCHAIN=local",
		},
		Command: []string{"go", "version"},
	}, debian, b.path(golangLayer), b.path(modulesLayer))
}
