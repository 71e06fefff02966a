package testbed

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

const nodeLayer = "node.tar"

// nodePackages are what the hosts have beside a small Debian: what Ansible
// needs there, an init, and the container tools that the roles configure.
var nodePackages = []string{
	"python3", "sudo", "procps", "iproute2", "ca-certificates",
	"systemd", "systemd-sysv", "dbus",
	"docker.io", "iptables", "containerd", "runc",
	"podman", "buildah", "skopeo", "netavark", "aardvark-dns",
	"uidmap", "slirp4netns", // for users other than root
}

// Node prepares what StartHosts starts: a Debian with the packages of a node
// that Zuul would run a job on. It is made once, in some minutes, and kept in
// the user's cache until the list of packages changes.
func Node(ctx context.Context, dir string) error {
	const kind = "node-" + debianSuite + "-" + runtime.GOARCH
	packages := strings.Join(nodePackages, ",")
	name := kind + "-" + digest([]byte(packages))[len("sha256:"):][:12]
	if err := keep(ctx, dir, nodeLayer, name, nodePackages...); err != nil {
		return err
	}
	return forget(filepath.Join(dir, nodeLayer), kind+"-*.tar")
}

// forget removes the files beside the one that a link leads to which were made
// of earlier lists: they are large. Another checkout may still use a young one.
func forget(link, pattern string) error {
	kept, err := os.Readlink(link)
	if os.IsNotExist(err) {
		return nil // there was nothing to make it with
	}
	if err != nil {
		return err
	}
	all, err := filepath.Glob(filepath.Join(filepath.Dir(kept), pattern))
	if err != nil {
		return err
	}
	for _, file := range all {
		info, err := os.Stat(file)
		if err != nil || file == kept || time.Since(info.ModTime()) < 7*24*time.Hour {
			continue
		}
		if err := os.Remove(file); err != nil {
			return err
		}
	}
	return nil
}

func (b *Bed) nodeLayer(t *testing.T) string {
	t.Helper()
	return b.madeBy(t, nodeLayer, debootstrap)
}
