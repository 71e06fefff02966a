package roles

import (
	"encoding/base64"
	"fmt"
	"maps"
	"os"
	"reflect"
	"strings"
	"testing"

	"opendev.org/zuul/zuul-registry/tests/testbed"
)

// story is a site with an intermediate registry, and two changes: the second
// one builds on what the first one has built.
type story struct {
	bed          *testbed.Bed
	hosts        *testbed.Hosts
	upstreams    *testbed.Upstreams
	intermediate map[string]any // the secret
}

const (
	password = `sp'eci"al $PATH \ ümlaut #`
	// buildahead is the build of the change ahead.
	buildAhead = "48a84fe22a744cb5b0310f396358d912"
)

// TestStory goes once around: images of a change ahead come in, are what the
// tools of a node get by their public names, and are built upon; what was built
// goes out, and into the buildset of the next change.
func TestStory(t *testing.T) {
	s := tell(t)
	ahead := s.bed.From(t, "the change ahead")
	artifacts := s.ahead(t, ahead, "docker.io/org/base", "quay.io/org/base")

	build := s.build(t, artifacts, false, map[string]any{
		"container_images": []any{
			map[string]any{"context": ".", "repository": "docker.io/org/app", "tags": []string{"latest", "1.0"}},
			map[string]any{"repository": "quay.io/org/tool"},
		},
	})
	build.PlayTwice(t, "../../playbooks/buildset-registry/pre.yaml", "--limit=builder")
	pulled := build.PlayTwice(t, "playbooks/story/pull.yaml")
	build.PlayTwice(t, "../../playbooks/buildset-registry/run.yaml")
	if zuul, _ := build.Returned(t).Data["zuul"].(map[string]any); zuul["pause"] != true {
		t.Errorf("the job that runs the registry does not pause: %v", zuul)
	}
	s.consume(t, ahead)
	s.create(t)
	pushed := build.Play(t, "playbooks/story/push.yaml")
	untold(t, "the console", pulled.Console+pushed.Console, password, base64.StdEncoding.EncodeToString([]byte("zuul:"+password)))
	returned := s.artifacts(t, build, "docker.io/org/app:latest", "docker.io/org/app:1.0", "quay.io/org/tool:latest")
	again := build.Play(t, "playbooks/story/push.yaml")
	if changed := again.Changed(); len(changed) > 0 {
		t.Errorf("pushed again, something changes: %q", changed)
	}
	s.promote(t, returned[0])
	s.report(t, build)

	next := s.build(t, returned, true, nil)
	next.Play(t, "playbooks/story/zuul-jobs.yaml")
	s.hosts.Builder.Run(t, "podman", "rmi", "--all", "--force")
	if said := s.hosts.Builder.Run(t, "podman", "run", "--rm", "--network=none", "org/app:1.0"); said != ahead.Says {
		t.Errorf("the next change gets %q, want %q", said, ahead.Says)
	}
}

// tell begins the story: upstreams have releases, an intermediate registry is
// deployed, and the executor has the program.
func tell(t *testing.T) story {
	t.Helper()
	bed := testbed.Open(t)
	site := bed.StartEngine(t).OpenSite(t)
	s := story{bed: bed, upstreams: site.StartUpstreams(t), hosts: site.StartHosts(t)}
	for _, ref := range []string{"docker.io/org/base:latest", "quay.io/org/base:latest", "docker.io/org/released:latest"} {
		s.upstreams.Publish(t, bed.From(t, "the release"), ref)
	}
	deploy := s.hosts.Build(t, testbed.Job{Variables: map[string]any{
		"zuul_registry_binary":            bed.Binary(),
		"intermediate_registry_tls_hosts": []string{"intermediate"},
		"intermediate_registry_users":     []any{map[string]any{"username": "zuul", "password": password, "access": "write"}},
	}})
	deploy.Play(t, "playbooks/story/intermediate.yaml")
	program, err := os.ReadFile(bed.Binary())
	if err != nil {
		t.Fatal(err)
	}
	s.hosts.Executor.Write(t, "/usr/local/bin/zuul-registry", 0o755, program)
	s.intermediate = map[string]any{
		"host": "intermediate", "port": 5000, "username": "zuul", "password": password,
		"cert": s.hosts.Intermediate.Read(t, "/var/lib/zuul-registry/tls/cert.pem"),
	}
	return s
}

// ahead has the build of a change ahead leave an image in the intermediate
// registry by each name, and returns the artifacts that Zuul hands on.
func (s story) ahead(t *testing.T, image testbed.Image, repositories ...string) (artifacts []any) {
	t.Helper()
	archive, err := os.ReadFile(image.Archive)
	if err != nil {
		t.Fatal(err)
	}
	executor := s.hosts.Executor
	executor.Write(t, "/var/tmp/ahead.tar", 0o644, archive)
	executor.Write(t, "/var/tmp/trust/ca.crt", 0o644, []byte(s.intermediate["cert"].(string)))
	for _, repository := range repositories {
		name := "docker://intermediate:5000/" + repository + ":" + buildAhead + "_latest"
		executor.Run(t, "skopeo", "copy", "--dest-cert-dir=/var/tmp/trust", "--dest-creds=zuul:"+password,
			"docker-archive:/var/tmp/ahead.tar", name)
		artifacts = append(artifacts, map[string]any{
			"name": repository + ":latest",
			"url":  name,
			"metadata": map[string]any{
				"type": "container_image", "repository": repository, "tag": "latest",
			},
		})
	}
	return append(artifacts, map[string]any{"name": "docs", "url": "https://logs.test/docs", "metadata": map[string]any{"type": "docs"}},
		map[string]any{"name": "bare", "url": "https://logs.test/bare"})
}

// build is a build on the builder, which is known by its IPv4 or IPv6 address, and
// whose registry finds the upstreams, with a directory for it on the executor.
func (s story) build(t *testing.T, artifacts []any, ipv6 bool, variables map[string]any) *testbed.Build {
	t.Helper()
	environment := map[string]any{}
	for _, setting := range s.upstreams.Settings() {
		name, value, _ := strings.Cut(setting, "=")
		if name == "ZUUL_REGISTRY_UPSTREAM_CA_FILE" {
			pem, err := os.ReadFile(value)
			if err != nil {
				t.Fatal(err)
			}
			value = "/etc/upstreams.pem"
			s.hosts.Builder.Write(t, value, 0o644, pem)
		}
		environment[name] = value
	}
	all := map[string]any{
		"zuul_registry_binary":          s.bed.Binary(),
		"intermediate_registry":         s.intermediate,
		"buildset_registry_environment": environment,
		"buildset_registry_docker_user": "root",
	}
	maps.Copy(all, variables)
	build := s.hosts.Build(t, testbed.Job{Artifacts: artifacts, Variables: all, IPv6: ipv6})
	s.hosts.Executor.Run(t, "install", "--directory", "--owner=zuul", build.WorkDir)
	return build
}

// consume gets images by their public names, and nothing else, with each tool
// of the node: the speculative ones where there are such, else the released.
func (s story) consume(t *testing.T, ahead testbed.Image) {
	t.Helper()
	node, release := s.hosts.Builder, s.bed.From(t, "the release")
	for _, each := range []struct {
		image testbed.Image
		pull  []string
		run   []string
	}{
		{ahead, []string{"docker", "pull", "org/base"}, []string{"docker", "run", "--rm", "--network=none", "org/base"}},
		{release, []string{"docker", "pull", "org/released"}, []string{"docker", "run", "--rm", "--network=none", "org/released"}},
		{ahead, []string{"podman", "pull", "docker.io/org/base"}, []string{"podman", "run", "--rm", "--network=none", "docker.io/org/base"}},
		{ahead, []string{"podman", "pull", "quay.io/org/base"}, []string{"podman", "run", "--rm", "--network=none", "quay.io/org/base"}},
		{release, []string{"podman", "pull", "org/released"}, []string{"podman", "run", "--rm", "--network=none", "docker.io/org/released"}},
		{
			ahead, []string{"ctr", "images", "pull", "--hosts-dir=/etc/containerd/certs.d", "quay.io/org/base:latest"},
			[]string{"ctr", "run", "--rm", "--null-io=false", "quay.io/org/base:latest", "base"},
		},
	} {
		node.Run(t, each.pull...)
		if said := node.Run(t, each.run...); said != each.image.Says {
			t.Errorf("after %q it says %q, want %q", each.pull, said, each.image.Says)
		}
	}
}

// create builds images from a speculative one, and pushes them as the roles of
// zuul-jobs do.
func (s story) create(t *testing.T) {
	t.Helper()
	node := s.hosts.Builder
	const here = "zuul-jobs.buildset-registry:5000/"
	for n, steps := range []string{
		"DOCKER_BUILDKIT=0 docker build -t " + here + "docker.io/org/app:latest . && docker push " + here + "docker.io/org/app:latest",
		"docker rmi org/base && docker builder prune --force && DOCKER_BUILDKIT=1 docker build -t " + here + "docker.io/org/app:1.0 . && docker push " + here + "docker.io/org/app:1.0",
		"podman rmi docker.io/org/base && podman build -t " + here + "quay.io/org/tool:latest . && podman push " + here + "quay.io/org/tool:latest",
	} {
		dir := fmt.Sprint("/root/context", n)
		node.Write(t, dir+"/Dockerfile", 0o644, []byte("FROM docker.io/org/base\nCOPY mark /mark\n"))
		node.Write(t, dir+"/mark", 0o644, []byte(dir))
		node.Run(t, "sh", "-c", "cd "+dir+" && "+steps)
	}
}

// artifacts are what a build has returned to Zuul, in the order of the images
// that must be there, and each in the shape that others understand.
func (s story) artifacts(t *testing.T, build *testbed.Build, names ...string) []any {
	t.Helper()
	zuul, _ := build.Returned(t).Data["zuul"].(map[string]any)
	artifacts, _ := zuul["artifacts"].([]any)
	var want []any
	for _, name := range names {
		repository, tag, _ := strings.Cut(name, ":")
		want = append(want, map[string]any{
			"name":     name,
			"url":      "docker://intermediate:5000/" + repository + ":" + build.ID + "_" + tag,
			"metadata": map[string]any{"type": "container_image", "repository": repository, "tag": tag},
		})
	}
	if !reflect.DeepEqual(artifacts, want) {
		t.Fatalf("the build has returned\n%v\nwant\n%v", artifacts, want)
	}
	return artifacts
}

// promote reads an artifact as a promotion job does, without credentials.
func (s story) promote(t *testing.T, artifact any) {
	t.Helper()
	url := artifact.(map[string]any)["url"].(string)
	s.hosts.Executor.Run(t, "skopeo", "copy", "--src-cert-dir=/var/tmp/trust", "--src-no-creds", url, "dir:/var/tmp/promoted")
}
