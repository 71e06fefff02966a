package roles

import (
	"encoding/base64"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"opendev.org/zuul/zuul-registry/tests/testbed"
)

// theirs is what somebody has configured on a node before.
var theirs = map[string]string{
	"/etc/docker/daemon.json":                `{"debug": true, "registry-mirrors": ["https://theirs.test"]}`,
	"/etc/containers/registries.conf":        "[[registry]]\nlocation = \"docker.io\"\n[[registry.mirror]]\nlocation = \"theirs.test/hub\"\n",
	"/etc/buildkit/buildkitd.toml":           "debug = true\n[registry.\"docker.io\"]\n  mirrors = [\"theirs.test\"] # ours\n",
	"/etc/containerd/config.toml":            "version = 2\n",
	"/etc/rancher/k3s/registries.yaml":       `{"mirrors": {"docker.io": {"endpoint": ["https://theirs.test"]}}}`,
	"/etc/docker/certs.d/quay.io/hosts.toml": "server = \"https://quay.io\"\n[host.\"https://theirs.test\"]\n  capabilities = [\"pull\"]\n",
	"/home/zuul/.docker/config.json":         `{"auths": {"theirs.test": {"auth": "eDp5"}}, "psFormat": "x"}`,
}

// footprint is every file and directory that a role might touch, with its
// mode, owner and content.
func footprint(t *testing.T, host *testbed.Host) string {
	t.Helper()
	return host.Run(t, "sh", "-c", `
find /etc /home /root /usr/local /var/lib/use-buildset-registry /var/snap /run/user -xdev \
    -not -path '*/.ansible*' -not -path '/etc/.pwd.lock' -printf '%p %y %m %u %l ' \( -type f -exec sha256sum {} \; -o -printf '\n' \) 2>/dev/null | sort`)
}

func TestUseIsUndoneToTheByte(t *testing.T) {
	hosts := testbed.Open(t).StartEngine(t).OpenSite(t).StartHosts(t)
	for path, content := range theirs {
		hosts.Builder.Write(t, path, 0o644, []byte(content))
	}
	hosts.Builder.Run(t, "mkdir", "-p", "/var/snap/microk8s/current/args/certs.d", "/var/lib/kubelet")
	build := hosts.Build(t, testbed.Job{Variables: map[string]any{
		"buildset_registry": registry,
	}})
	const playbook = "playbooks/use-buildset-registry.yaml"
	before := footprint(t, hosts.Builder)
	if checked := build.Check(t, playbook); len(checked.Changed()) == 0 {
		t.Error("check mode does not say that anything would change")
	}
	if now := footprint(t, hosts.Builder); now != before {
		t.Errorf("check mode changed the node:\n%s", difference(before, now))
	}
	first := build.PlayTwice(t, playbook)
	untold(t, "the console", first.Console, secret, base64.StdEncoding.EncodeToString([]byte("zuul:"+secret)))
	inForce(t, hosts.Builder)
	written(t, hosts.Builder)
	said := strings.Join(strings.Fields(build.Play(t, "playbooks/doctor.yaml").Console), " ")
	for _, line := range []string{
		endpoint + " DOES NOT ANSWER: [X509]",
		" docker.io https://" + endpoint + " > https://theirs.test > registry-1.docker.io",
		" quay.io quay.io PAST THE BUILDSET REGISTRY",
		"podman, buildah, skopeo docker.io " + endpoint + "/docker.io > theirs.test/hub > docker.io",
		"containerd quay.io https://" + endpoint + " > https://quay.io",
		"buildkitd, buildx --config docker.io " + endpoint + " > theirs.test > registry-1.docker.io",
	} {
		if !strings.Contains(said, line) {
			t.Errorf("the doctor does not say %q:\n%s", line, said)
		}
	}
	build.PlayTwice(t, playbook, "--extra-vars", "buildset_registry_state=absent")
	if now := footprint(t, hosts.Builder); now != before {
		t.Errorf("what was changed is not undone:\n%s", difference(before, now))
	}
}

// TestUseOnOtherDistributions has each family's own place of certificates, and
// the command that reads it, which notes here what it was called with.
func TestUseOnOtherDistributions(t *testing.T) {
	hosts := testbed.Open(t).StartEngine(t).OpenSite(t).StartHosts(t)
	build := hosts.Build(t, testbed.Job{Variables: map[string]any{"buildset_registry": registry}})
	for _, family := range []struct{ name, command, anchors, forget string }{
		{"RedHat", "/usr/bin/update-ca-trust", "/etc/pki/ca-trust/source/anchors", ""},
		{"Suse", "/usr/sbin/update-ca-certificates", "/etc/pki/trust/anchors", "--fresh"},
	} {
		hosts.Builder.Write(t, family.command, 0o755, []byte("#!/bin/sh\necho \"called $*\" >>/var/tmp/"+family.name+"\n"))
		const playbook = "playbooks/use-buildset-registry.yaml"
		build.Play(t, playbook, "--extra-vars", "ansible_os_family="+family.name)
		if said := hosts.Builder.Read(t, family.anchors+"/zuul-jobs.buildset-registry.crt"); said != certificate {
			t.Errorf("on %s the certificate is %q", family.name, said)
		}
		build.Play(t, playbook, "--extra-vars", "ansible_os_family="+family.name+" buildset_registry_state=absent")
		if _, err := hosts.Builder.Try(t, "test", "-e", family.anchors); err == nil {
			t.Errorf("on %s the place of the certificate is still there", family.name)
		}
		if said := hosts.Builder.Read(t, "/var/tmp/"+family.name); said != "called \ncalled "+family.forget+"\n" {
			t.Errorf("on %s the command was %q", family.name, said)
		}
	}
}

// difference are the lines that only one of two texts has.
func difference(before, now string) string {
	was := map[string]bool{}
	for line := range strings.Lines(before) {
		was[line] = true
	}
	var lines []string
	for line := range strings.Lines(now) {
		if !was[line] {
			lines = append(lines, "+ "+line)
		}
		delete(was, line)
	}
	for line := range was {
		lines = append(lines, "- "+line)
	}
	return strings.Join(lines, "")
}

// registry is one that does not run: what is configured must not depend on it.
var registry = map[string]any{
	"host": "192.0.2.7", "port": 5000, "username": "zuul", "password": secret, "cert": certificate,
}

const endpoint = "zuul-jobs.buildset-registry:5000"

const secret = `correct "horse" battery $taple \ and more`

// inForce asks the tools themselves whom they ask.
func inForce(t *testing.T, host *testbed.Host) {
	t.Helper()
	for _, each := range []struct {
		command []string
		want    string
	}{
		{
			[]string{"docker", "info", "--format", "{{json .RegistryConfig.Mirrors}} {{.Debug}}"},
			`["https://zuul-jobs.buildset-registry:5000/","https://theirs.test/"] true`,
		},
		{
			[]string{"podman", "info", "--format", `{{range $k, $v := .Registries}}{{if eq $k "docker.io"}}{{range $v.Mirrors}}{{.Location}} {{end}}{{end}}{{end}}`},
			"zuul-jobs.buildset-registry:5000/docker.io theirs.test/hub ",
		},
		{
			[]string{"sh", "-c", "containerd config dump | grep config_path"},
			`      config_path = "/etc/containerd/certs.d"`,
		},
		{[]string{"getent", "hosts", "zuul-jobs.buildset-registry"}, "192.0.2.7       zuul-jobs.buildset-registry"},
	} {
		if said := host.Run(t, each.command...); strings.TrimSpace(said) != strings.TrimSpace(each.want) {
			t.Errorf("%q says %q, want %q", each.command, said, each.want)
		}
	}
}

// written are the files of tools that do not run here, as these document them.
func written(t *testing.T, host *testbed.Host) {
	t.Helper()
	type object = map[string]any
	for path, want := range map[string]any{
		// docs/buildkitd.toml.md of BuildKit
		"/etc/buildkit/buildkitd.toml": object{
			"debug": true,
			"registry": object{
				"docker.io":       object{"mirrors": []any{endpoint, "theirs.test"}},
				"quay.io":         object{"mirrors": []any{endpoint}},
				"gcr.io":          object{"mirrors": []any{endpoint}},
				"ghcr.io":         object{"mirrors": []any{endpoint}},
				"registry.k8s.io": object{"mirrors": []any{endpoint}},
				endpoint:          object{"ca": []any{"/etc/buildkit/zuul-jobs.buildset-registry.crt"}},
			},
		},
		// docs/hosts.md of containerd, which Docker 29 and microk8s have, too
		"/etc/docker/certs.d/docker.io/hosts.toml": object{
			"server": "https://registry-1.docker.io",
			"host": object{"https://" + endpoint: object{
				"capabilities": []any{"pull", "resolve"}, "ca": "/etc/docker/certs.d/" + endpoint + "/ca.crt",
			}},
		},
		"/etc/containerd/certs.d/_default/hosts.toml": object{
			"host": object{"https://" + endpoint: object{
				"capabilities": []any{"pull", "resolve"}, "ca": "/etc/containerd/certs.d/" + endpoint + "/ca.crt",
			}},
		},
		"/var/snap/microk8s/current/args/certs.d/quay.io/hosts.toml": object{
			"server": "https://quay.io",
			"host": object{"https://" + endpoint: object{
				"capabilities": []any{"pull", "resolve"}, "ca": "/var/snap/microk8s/current/args/certs.d/quay.io/ca.crt",
			}},
		},
		// installation/private-registry of k3s
		"/etc/rancher/k3s/registries.yaml": object{
			"mirrors": object{
				"docker.io":       object{"endpoint": []any{"https://" + endpoint, "https://theirs.test"}},
				"quay.io":         object{"endpoint": []any{"https://" + endpoint}},
				"gcr.io":          object{"endpoint": []any{"https://" + endpoint}},
				"ghcr.io":         object{"endpoint": []any{"https://" + endpoint}},
				"registry.k8s.io": object{"endpoint": []any{"https://" + endpoint}},
			},
			"configs": object{endpoint: object{
				"auth": object{"username": "zuul", "password": secret},
				"tls":  object{"ca_file": "/etc/containers/certs.d/" + endpoint + "/ca.crt"},
			}},
		},
	} {
		const read = "import json, sys, tomllib; print(json.dumps((tomllib if sys.argv[1].endswith('toml') else json).load(open(sys.argv[1], 'rb'))))"
		var has any
		if err := json.Unmarshal([]byte(host.Run(t, "python3", "-c", read, path)), &has); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(has, want) {
			t.Errorf("%s has\n%v\nwant\n%v", path, has, want)
		}
	}
}

const certificate = `-----BEGIN CERTIFICATE-----
MIIBszCCAVmgAwIBAgIUQ0Jm0Zq4kQq3w0gQG0oYv5qz8CQwCgYIKoZIzj0EAwIw
-----END CERTIFICATE-----
`
