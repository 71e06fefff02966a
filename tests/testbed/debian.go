package testbed

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
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
	cache, err := os.UserCacheDir()
	if err != nil {
		return err
	}
	kept := filepath.Join(cache, "zuul-registry-tests", "debian-"+debianSuite+"-"+runtime.GOARCH+".tar")
	if _, err := os.Stat(kept); err != nil {
		if _, err := exec.LookPath(debootstrap); err != nil {
			return nil
		}
		if err := bootstrap(ctx, filepath.Join(dir, "debian"), kept); err != nil {
			return err
		}
	}
	return os.Symlink(kept, filepath.Join(dir, debianLayer))
}

// bootstrap installs a Debian into the folder root and packs it into a file,
// which is there whole or not at all.
func bootstrap(ctx context.Context, root, file string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	install := exec.CommandContext(ctx, debootstrap, "--variant=minbase", debianSuite, root)
	// Its mounts and processes go with it when it is interrupted.
	install.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:   syscall.CLONE_NEWPID,
		Unshareflags: syscall.CLONE_NEWNS,
	}
	if _, err := Run(install); err != nil {
		return err
	}

	half, err := os.CreateTemp(filepath.Dir(file), "half-*.tar")
	if err != nil {
		return err
	}
	defer os.Remove(half.Name())
	pack := exec.CommandContext(ctx, "tar", "--create", "--numeric-owner", "--sort=name",
		"--exclude=./var/cache/apt/*", "--exclude=./var/lib/apt/lists/*", "--directory="+root, ".")
	pack.Stdout = half
	if err := pack.Run(); err != nil {
		return err
	}
	if err := half.Close(); err != nil {
		return err
	}
	return os.Rename(half.Name(), file)
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
	layer := b.path(debianLayer)
	if _, err := os.Stat(layer); err != nil {
		missing(t, debootstrap)
	}
	return layer
}
