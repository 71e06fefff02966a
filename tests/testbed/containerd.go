package testbed

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// ContainerdTools are what StartContainerd and a user of its daemon need.
var ContainerdTools = []string{"containerd", "containerd-shim-runc-v2", "ctr", "runc"}

// HostsDir says how containerd's clients reach each registry, and whom they
// trust there. They are to be told of it.
const HostsDir = "/etc/containerd/certs.d"

// StartContainerd starts a containerd for the test, without its part for
// Kubernetes, and returns its socket.
func (b *Bed) StartContainerd(t *testing.T) string {
	t.Helper()
	Need(t, ContainerdTools...)
	dir := b.Folder(t, "containerd")
	socket, file := filepath.Join(dir, "socket"), filepath.Join(dir, "config.toml")
	if err := os.WriteFile(file, fmt.Appendf(nil, `version = 2
root = %q
state = %q
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = %q
`, filepath.Join(dir, "root"), filepath.Join(dir, "state"), socket), 0o644); err != nil {
		t.Fatal(err)
	}
	daemon := exec.Command("containerd", "--config", file, "--log-level", "warn")
	start(t, dir, 10*time.Second, daemon).await(t, 20*time.Second, func() error {
		_, err := Run(exec.CommandContext(t.Context(), "ctr", "--address", socket, "version"))
		return err
	})
	return socket
}
