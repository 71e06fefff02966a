package testbed

import (
	"crypto/rand"
	"embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"testing"
)

// Job is what a test decides of a build of Zuul's; everything may be left out.
type Job struct {
	Name      string         // of the job
	Variables map[string]any // of the job, as in zuul.d
	Artifacts []any          // of builds that this one depends on: zuul.artifacts
	Zuul      map[string]any // further variables below zuul, or others than usual
	IPv6      bool           // the hosts are known by their IPv6 addresses
}

// Build is a build of Zuul's: playbooks that are played one after the other,
// and share the facts that they learn and the data that they return.
type Build struct {
	ID      string // zuul.build
	WorkDir string // zuul.executor.work_root, with Zuul's folders in it

	dir string
	env []string
}

// Build starts a build. Ansible runs on the test machine, which is localhost
// to the playbooks, and has the three hosts in its inventory by their names.
func (h *Hosts) Build(t *testing.T, job Job) *Build {
	t.Helper()
	return newBuild(t, h, job)
}

// Build starts a build that has no hosts but localhost.
func (b *Bed) Build(t *testing.T, job Job) *Build {
	t.Helper()
	Need(t, playbookPlayer)
	return newBuild(t, &Hosts{bed: b}, job)
}

func newBuild(t *testing.T, h *Hosts, job Job) *Build {
	t.Helper()
	dir := h.bed.Folder(t, "build")
	b := &Build{ID: uuid(), WorkDir: filepath.Join(dir, "work"), dir: dir}
	for _, folder := range []string{"home", "temporary", "facts", "work/logs", "work/src/opendev.org/zuul/app"} {
		if err := os.MkdirAll(filepath.Join(dir, folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.CopyFS(dir, parts); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(b.parts(), "docker"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(
		writeJSON(b.inventory(), h.inventory(job)),
		writeJSON(b.variables(), map[string]any{"zuul": b.zuul(job)}),
	); err != nil {
		t.Fatal(err)
	}
	b.env = b.environment(t, h)
	return b
}

// parts are what Ansible is given that neither it nor the project has.
//
//go:embed ansible
var parts embed.FS

func (b *Build) parts() string { return filepath.Join(b.dir, "ansible") }

func (b *Build) inventory() string { return filepath.Join(b.dir, "inventory.json") }
func (b *Build) variables() string { return filepath.Join(b.dir, "zuul.json") }
func (b *Build) results() string   { return filepath.Join(b.WorkDir, "results.json") }

// inventory is what Ansible knows of the hosts, and of the job.
func (h *Hosts) inventory(job Job) map[string]any {
	hosts := map[string]any{}
	for _, host := range h.all {
		address := host.IPv4
		if job.IPv6 {
			address = host.IPv6
		}
		hosts[host.Name] = map[string]any{
			"ansible_connection":         "community.docker.docker",
			"ansible_docker_host":        host.Name,
			"ansible_host":               address,
			"ansible_user":               nodeUser,
			"ansible_python_interpreter": "/usr/bin/python3",
		}
	}
	variables := job.Variables
	if variables == nil {
		variables = map[string]any{}
	}
	return map[string]any{"all": map[string]any{"hosts": hosts, "vars": variables}}
}

// zuul are the variables that Zuul gives every build.
func (b *Build) zuul(job Job) map[string]any {
	type object = map[string]any
	name := job.Name
	if name == "" {
		name = "test"
	}
	project := object{
		"name":               "zuul/app",
		"short_name":         "app",
		"canonical_hostname": "opendev.org",
		"canonical_name":     "opendev.org/zuul/app",
		"src_dir":            "src/opendev.org/zuul/app",
	}
	zuul := object{
		"build":    b.ID,
		"buildset": uuid(),
		"job":      name,
		"branch":   "main",
		"pipeline": "check",
		"tenant":   "test",
		"change":   "4",
		"patchset": "1",
		"ref":      "refs/changes/04/4/1",
		"voting":   true,
		"project":  project,
		"projects": object{"opendev.org/zuul/app": project},
		"executor": object{
			"hostname":         "executor",
			"inventory_file":   b.inventory(),
			"log_root":         filepath.Join(b.WorkDir, "logs"),
			"result_data_file": b.results(),
			"src_root":         filepath.Join(b.WorkDir, "src"),
			"work_root":        b.WorkDir,
		},
	}
	if len(job.Artifacts) > 0 { // otherwise Zuul leaves them out
		zuul["artifacts"] = job.Artifacts
	}
	maps.Copy(zuul, job.Zuul)
	return zuul
}

// environment is Ansible's: what it is to find of the project's, what Zuul
// sets, and nothing of the user's.
func (b *Build) environment(t *testing.T, h *Hosts) []string {
	t.Helper()
	project := Root(t)
	plugins := filepath.Join(project, "tests/roles/plugins")
	return append(os.Environ(),
		"PATH="+b.parts()+":"+os.Getenv("PATH"),
		"HOSTS="+h.socket,
		"HOME="+filepath.Join(b.dir, "home"),
		"TMPDIR="+filepath.Join(b.dir, "temporary"),
		"LC_ALL=C.UTF-8",
		"PYTHONDONTWRITEBYTECODE=1", // beside the plugins
		"ANSIBLE_CONFIG="+filepath.Join(b.parts(), "ansible.cfg"),
		"ANSIBLE_HOME="+filepath.Join(b.dir, "home/.ansible"),
		"ANSIBLE_LOCAL_TEMP="+filepath.Join(b.dir, "temporary"),
		"ANSIBLE_ROLES_PATH="+filepath.Join(project, "roles")+":"+filepath.Join(project, "tests/roles/zuul-jobs"),
		"ANSIBLE_ACTION_PLUGINS="+filepath.Join(plugins, "action"),
		"ANSIBLE_LIBRARY="+filepath.Join(plugins, "modules"),
		"ANSIBLE_CALLBACK_PLUGINS="+b.parts(),
		"ANSIBLE_CALLBACKS_ENABLED=record",
		"ANSIBLE_GATHERING=smart",
		"ANSIBLE_GATHER_SUBSET=!all", // which leaves the least
		"ANSIBLE_CACHE_PLUGIN=jsonfile",
		"ANSIBLE_CACHE_PLUGIN_CONNECTION="+filepath.Join(b.dir, "facts"),
		"ANSIBLE_PIPELINING=true",
		"ANSIBLE_RETRY_FILES_ENABLED=false",
		"ANSIBLE_NOCOLOR=true",
	)
}

// Root is the project's folder: tests run in one that is below it.
func Root(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		above := filepath.Dir(dir)
		if above == dir {
			t.Fatal("the tests do not run in the project's folder")
		}
		dir = above
	}
}

// Returned is what playbooks gave to zuul_return.
type Returned struct {
	Data       map[string]any `json:"data"`
	SecretData map[string]any `json:"secret_data"`
}

// Returned is what the build has returned until now.
func (b *Build) Returned(t *testing.T) Returned {
	t.Helper()
	var returned Returned
	content, err := os.ReadFile(b.results())
	if errors.Is(err, fs.ErrNotExist) {
		return returned
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(content, &returned); err != nil {
		t.Fatalf("%s: %v", b.results(), err)
	}
	return returned
}

func writeJSON(file string, value any) error {
	content, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, content, 0o644)
}

// uuid is a name as Zuul gives it to a build.
func uuid() string {
	random := make([]byte, 16)
	_, _ = rand.Read(random) // never fails
	return hex.EncodeToString(random)
}
