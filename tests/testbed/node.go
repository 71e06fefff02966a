package testbed

import (
	"context"
	"strings"
	"testing"
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

// Node prepares what hosts are: a Debian with the packages of a node that Zuul
// would run a job on. It is made once, in some minutes, and kept in the user's
// cache until the list of packages changes.
func Node(ctx context.Context, dir string) error {
	list := Digest([]byte(strings.Join(nodePackages, ",")))
	return keep(ctx, dir, nodeLayer, "node", "-"+list[len("sha256:"):][:12], nodePackages...)
}

func (b *Bed) nodeLayer(t *testing.T) string {
	t.Helper()
	return b.madeBy(t, nodeLayer, debootstrap)
}
