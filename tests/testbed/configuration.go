package testbed

import (
	"fmt"
	"os"
	"path/filepath"
)

// The registry's certificate is good for both names, but the tools are told
// to trust it for the first one only.
const (
	trustedName   = "registry.test"
	untrustedName = "untrusted.test"
)

// configuration is what an administrator would write on a machine for the
// container tools. The limits and the cgroup manager are what they can have
// without systemd and without every capability; a registry that is not named
// in full is none.
var configuration = map[string]string{
	"/etc/hosts": `127.0.0.1 localhost
` + address + ` ` + trustedName + ` ` + untrustedName + `
` + hubAddress + ` ` + hubName + `
` + quayAddress + ` ` + quayName + `
`,
	"/etc/containers/containers.conf": `[containers]
default_ulimits = ["nofile=1024:4096", "nproc=4096:4096"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
`,
	"/etc/containers/policy.json": `{"default": [{"type": "insecureAcceptAnything"}]}
`,
	"/etc/containers/registries.conf": `unqualified-search-registries = []
`,
	"/etc/containers/storage.conf": `[storage]
driver = "overlay"
graphroot = "/var/lib/containers/storage"
runroot = "/run/containers/storage"
`,
}

// configure writes the configuration to the private /etc.
func configure() error {
	for file, content := range configuration {
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// trust has Docker, the containers tools and containerd trust a certificate
// for a host.
func trust(host, certificate string) error {
	pem, err := os.ReadFile(certificate)
	if err != nil {
		return err
	}
	for _, tools := range []string{"/etc/docker/certs.d", "/etc/containers/certs.d", HostsDir} {
		dir := filepath.Join(tools, host)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, "ca.crt"), pem, 0o644); err != nil {
			return fmt.Errorf("trust %s: %w", host, err)
		}
	}
	return nil
}
