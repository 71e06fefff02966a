package testbed

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

const (
	debootstrap = "debootstrap"
	debianSuite = "bookworm"
	debianLayer = "debian.tar"
)

// Debian prepares the root filesystem of a small Debian, which is a real
// image's layer in size, number of files and kinds of files. It is made once
// and kept in the user's cache. Where debootstrap is missing nothing is made,
// and the tests that ask for it say so.
func Debian(ctx context.Context, dir string) error {
	return keep(ctx, dir, debianLayer, "debian", "")
}

// keep puts the layer of a Debian with further packages into the folder of the
// run.
func keep(ctx context.Context, dir, layer, kind, version string, packages ...string) error {
	if _, err := exec.LookPath(debootstrap); err != nil {
		return nil
	}
	kept, err := cached(kind, debianSuite+"-"+runtime.GOARCH+version+".tar", func(half string) error {
		root := filepath.Join(dir, kind)
		return errors.Join(bootstrap(ctx, root, half, packages), os.RemoveAll(root))
	})
	if err != nil {
		return err
	}
	return os.Symlink(kept, filepath.Join(dir, layer))
}

// bootstrap installs a Debian into the folder root and packs it into a file.
func bootstrap(ctx context.Context, root, file string, packages []string) error {
	arguments := []string{"--variant=minbase", debianSuite, root}
	if len(packages) > 0 {
		arguments = append([]string{"--include=" + strings.Join(packages, ",")}, arguments...)
	}
	install := exec.CommandContext(ctx, debootstrap, arguments...)
	// Its mounts and processes go with it when it is interrupted.
	install.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:   syscall.CLONE_NEWPID,
		Unshareflags: syscall.CLONE_NEWNS,
	}
	if _, err := Run(install); err != nil {
		return err
	}
	_, err := Run(exec.CommandContext(ctx, "tar", "--create", "--file="+file, "--numeric-owner", "--sort=name",
		"--exclude=./var/cache/apt/*", "--exclude=./var/lib/apt/lists/*", "--directory="+root, "."))
	return err
}

// Debian is an image of many files.
func (b *Bed) Debian(t *testing.T) Image {
	t.Helper()
	return b.assemble(t, Image{
		Name:    "debian",
		Command: []string{"/bin/sh", "-c", `. /etc/os-release && echo "$PRETTY_NAME"`},
		Says:    "Debian GNU/Linux 12 (bookworm)",
	}, b.debianLayer(t))
}

func (b *Bed) debianLayer(t *testing.T) string {
	t.Helper()
	return b.madeBy(t, debianLayer, debootstrap)
}

// madeBy is the path of what a preparation made if it found the tool for it.
func (b *Bed) madeBy(t *testing.T, name, tool string) string {
	t.Helper()
	path := b.path(name)
	if _, err := os.Stat(path); err != nil {
		Missing(t, tool)
	}
	return path
}
