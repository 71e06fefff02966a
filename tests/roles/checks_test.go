package roles

import (
	"io/fs"
	"maps"
	"strings"
	"testing"
	"testing/fstest"
)

// faultless is a small project in which no check finds a fault.
var faultless = map[string]string{
	".zuul.yaml": "",
	"zuul.d/jobs.yaml": `
- secret: {name: password, data: {}}
- job: {name: first, parent: base, run: playbooks/run.yaml, secrets: [{name: key, secret: password}]}
- job: {name: second, parent: first, pre-run: [{name: playbooks/pre.yaml}]}
- job: {name: third, parent: base, run: playbooks/foreign.yaml, roles: [{zuul: zuul/zuul-jobs}]}
- job: {name: fourth, parent: unittests, run: playbooks/foreign.yaml}
`,
	"zuul.d/project.yaml": `
- project: {check: {jobs: [first, {second: {dependencies: [first]}}, noop]}, queue: one}
`,
	"playbooks/run.yaml":                                  "- {hosts: all, roles: [run-it]}\n",
	"playbooks/pre.yaml":                                  "- {hosts: all, tasks: [{name: Try, block: [{name: Run it, include_role: {name: run-it}}]}]}\n",
	"playbooks/foreign.yaml":                              "- {hosts: all, roles: [ensure-docker]}\n",
	"tests/roles/zuul-jobs/ensure-docker/tasks/main.yaml": "",
	"roles/run-it/README.rst": `Runs it.

**Role Variables**

.. zuul:rolevar:: it

   What to run.

   .. zuul:rolevar:: name
      :default: nobody looks here

.. zuul:rolevar:: times
   :type: int
   :default: 1

.. zuul:rolevar:: where
   :default: {{ ansible_user_dir }}/it

.. zuul:rolevar:: arguments
   :default:
      [first,
       second]

**Return Values**

.. zuul:rolevar:: result
`,
	"roles/run-it/defaults/main.yaml": "times: 1\nwhere: '{{ ansible_user_dir }}/it'\narguments: [first, second]\n",
	"roles/run-it/tasks/main.yaml": `
- name: Run it
  command: it
  register: _it
  loop: '{{ arguments }}'
  loop_control: {loop_var: zj_argument}
- name: Return the result
  set_fact: {result: 1, _private: 2, cacheable: true}
`,
}

// TestChecks has each check find what somebody may have done wrong.
func TestChecks(t *testing.T) {
	for _, c := range checks {
		if found := apply(t, c.check, nil); len(found) > 0 {
			t.Errorf("%s, but: %v", c.name, found)
		}
		empty, err := c.check(fstest.MapFS{})
		if err != nil || len(empty) == 0 {
			t.Errorf("%s, though there is nothing (%v)", c.name, err)
		}
	}

	const (
		readme   = "roles/run-it/README.rst"
		defaults = "roles/run-it/defaults/main.yaml"
		tasks    = "roles/run-it/tasks/main.yaml"
		jobs     = "zuul.d/jobs.yaml"
	)
	instead := func(file, old, new string) map[string]string {
		if !strings.Contains(faultless[file], old) {
			t.Fatalf("%s has no %q", file, old)
		}
		return map[string]string{file: strings.ReplaceAll(faultless[file], old, new)}
	}
	for _, fault := range []struct {
		what  string
		check func(fs.FS) (faults, error)
		files map[string]string
		want  string
	}{
		{"a role without README", checkReadmes, map[string]string{"roles/other/tasks/main.yaml": ""}, "has no README.rst"},
		{"no return values", checkReadmes, instead(readme, "**Return Values**", "Returns"), "no **Return Values**"},
		{"a default that nobody documented", checkReadmes, instead(defaults, "times", "often: 2\ntimes"), "has no often"},
		{"a variable documented without its default", checkReadmes, instead(readme, "   :default: 1\n", ""), "no :default: of times"},
		{"another default", checkReadmes, instead(readme, ":default: 1", ":default: 2"), "times is 2 by default, but it is 1"},
		{"a default of another type", checkReadmes, instead(defaults, "times: 1", "times: '01'"), "times is 1 by default, but it is 01"},
		{"another list", checkReadmes, instead(readme, "second]", "third]"), "arguments is"},
		{"a default that is none", checkReadmes, instead(defaults, "times: 1\n", ""), ":default: of times, which is not"},
		{"a variable documented twice", checkReadmes, instead(readme, "rolevar:: where", "rolevar:: times"), "has times twice"},

		{"a task without name", checkTasks, instead(tasks, "name: Run it", "tags: []"), "a task has no name"},
		{"a task in a block without name", checkTasks, instead("playbooks/pre.yaml", "name: Run it, ", ""), "a task has no name"},
		{"a task beside a playbook without name", checkTasks, map[string]string{"playbooks/more.yaml": "- debug:\n"}, "a task has no name"},
		{"a long name of a module", checkTasks, instead(tasks, "  command:", "  ansible.builtin.command:"), "in full: ansible.builtin.command"},
		{"a loop over item", checkTasks, instead(tasks, "zj_argument", "argument"), `the variable "argument"`},
		{"an old loop", checkTasks, map[string]string{"roles/run-it/handlers/main.yaml": "- {name: Go, debug: {}, with_items: []}"}, `the variable ""`},
		{"a public result", checkTasks, instead(tasks, "register: _it", "register: it"), "registers it"},
		{"a public fact", checkTasks, instead(tasks, "result: 1", "outcome: 1"), "sets outcome"},
		{"another ending", checkTasks, map[string]string{"roles/run-it/vars/main.yml": ""}, "does not end in .yaml"},

		{"a plugin of a role", checkPlugins, map[string]string{"roles/run-it/filter_plugins/a.py": ""}, "refuses folders of plugins"},
		{"a plugin of a playbook", checkPlugins, map[string]string{"playbooks/test/action_plugins/a.py": ""}, "refuses folders of plugins"},

		{"a file before zuul.d", checkConfiguration, map[string]string{"zuul.yaml": ""}, "there is zuul.yaml"},
		{"a folder behind it", checkConfiguration, map[string]string{".zuul.d/a.yaml": ""}, "there is .zuul.d"},
		{"a live file beside it", checkConfiguration, map[string]string{".zuul.yaml": "- job:\n"}, "not an empty file"},

		{"no parent", checkJobs, instead(jobs, "parent: first", "parent: none"), "there is no parent none"},
		{"no secret", checkJobs, instead(jobs, "secret: {name: password", "secret: {name: key"), "there is no secret"},
		{"a job twice", checkJobs, instead(jobs, "name: second", "name: first"), `job "first" twice`},
		{"no playbook", checkJobs, instead(jobs, "run.yaml", "walk.yaml"), `no playbook "playbooks/walk.yaml"`},
		{"an empty playbook", checkJobs, map[string]string{"playbooks/run.yaml": "---\n"}, "playbooks/run.yaml is empty"},
		{"no role", checkJobs, instead("playbooks/run.yaml", "run-it", "walk-it"), "a role walk-it"},
		{"no role to include", checkJobs, instead("playbooks/pre.yaml", "{name: run-it}", "{name: walk-it}"), "a role walk-it"},
		{"no role that a role includes", checkJobs, instead(tasks, "command: it", "include_role: {name: walk-it}"), "a role walk-it"},
		{"no role that a role needs", checkJobs, map[string]string{"roles/run-it/meta/main.yaml": "dependencies: [walk-it]"}, "a role walk-it"},
		{"no role of another playbook", checkJobs, map[string]string{
			"playbooks/run.yaml":      "- import_playbook: more/run.yaml\n",
			"playbooks/more/run.yaml": "- {hosts: all, roles: [{role: walk-it}]}\n",
		}, "a role walk-it"},
		{"no role of tasks beside a playbook", checkJobs, map[string]string{
			"playbooks/run.yaml":  "- {hosts: all, tasks: [{name: More, include_tasks: more.yaml}]}\n",
			"playbooks/more.yaml": "- {name: Walk, include_role: {name: walk-it}}\n",
		}, "a role walk-it"},
		{"no tasks to include", checkJobs, instead(tasks, "command: it", "include_tasks: walk.yaml"), "tasks/walk.yaml, which is not there"},
		{"a role that depends", checkJobs, instead("playbooks/pre.yaml", "{name: run-it}", "{name: '{{ it }}'}"), "nobody can tell"},
		{"a foreign role that was not declared", checkJobs, instead(jobs, "zuul/zuul-jobs", "zuul/other-jobs"), "role ensure-docker of zuul-jobs"},
		{"a foreign role that nobody knows", checkJobs, instead("playbooks/foreign.yaml", "docker", "dockers"), "neither in roles/ nor known"},
		{"a pipeline with another job", checkJobs, instead("zuul.d/project.yaml", "noop", "nope"), "there is no job nope"},
		{"a pipeline without a job", checkJobs, instead("zuul.d/project.yaml", "[first, {", "[{"), "second waits for first"},
	} {
		t.Run(fault.what, func(t *testing.T) {
			found := apply(t, fault.check, fault.files)
			if !strings.Contains(strings.Join(found, "\n"), fault.want) {
				t.Errorf("found %q, want %q", found, fault.want)
			}
		})
	}
}

// apply applies a check to the faultless project with other files.
func apply(t *testing.T, check func(fs.FS) (faults, error), files map[string]string) faults {
	t.Helper()
	all := maps.Clone(faultless)
	maps.Copy(all, files)
	project := fstest.MapFS{}
	for name, content := range all {
		project[name] = &fstest.MapFile{Data: []byte(content)}
	}
	found, err := check(project)
	if err != nil {
		t.Fatal(err)
	}
	return found
}
