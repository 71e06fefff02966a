package roles

import (
	"io/fs"
	"path"
	"slices"
	"strings"
)

// foreign are the jobs of other projects that ours may name, and whether they
// have the roles of zuul-jobs.
var foreign = map[string]bool{
	"base":                            false,
	"noop":                            false,
	"unittests":                       true,
	"opendev-build-container-image":   true,
	"opendev-upload-container-image":  true,
	"opendev-promote-container-image": true,
}

// A job that runs a role of zuul-jobs must declare it, itself or through its
// parents. The roles that ours may run have stand-ins.
const (
	zuulJobs = "zuul/zuul-jobs"
	standIns = "tests/roles/zuul-jobs"
)

// checkConfiguration finds zuul.d to be the only place with configuration of
// the four that Zuul looks in, and the empty .zuul.yaml beside it.
func checkConfiguration(project fs.FS) (found faults, err error) {
	names, err := files(project, "zuul.d", ".yaml")
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		found.add("there is no configuration in zuul.d/")
	}
	for _, other := range []string{"zuul.yaml", ".zuul.d"} {
		if exists(project, other) {
			found.add("there is %s beside zuul.d/: Zuul reads only the first", other)
		}
	}
	empty, err := fs.Stat(project, ".zuul.yaml")
	if err != nil || empty.Size() > 0 {
		found.add(".zuul.yaml is not an empty file")
	}
	return found, nil
}

// configuration is what zuul.d holds, by kind and by name.
type configuration struct {
	jobs     map[string]object
	secrets  map[string]object
	projects []object // and templates of projects
}

// checkJobs follows each job to its parent, its playbooks and their roles, and
// each project's pipelines to the jobs.
func checkJobs(project fs.FS) (found faults, err error) {
	c := configuration{jobs: map[string]object{}, secrets: map[string]object{}}
	names, err := files(project, "zuul.d", ".yaml")
	if err != nil {
		return nil, err
	}
	for _, file := range names {
		items, err := parse[[]object](project, file)
		if err != nil {
			return nil, err
		}
		for _, item := range items {
			found = append(found, c.add(file, item)...)
		}
	}
	if len(c.jobs) == 0 {
		found.add("there is no job in zuul.d/")
	}
	for name, job := range c.jobs {
		faults, err := c.faultsOf(project, name, job)
		if err != nil {
			return nil, err
		}
		found = append(found, faults...)
	}
	for _, project := range c.projects {
		found = append(found, c.faultsOfPipelines(project)...)
	}
	slices.Sort(found)
	return found, nil
}

// add adds an item of a file.
func (c *configuration) add(file string, item object) (found faults) {
	for kind, value := range item {
		value, _ := value.(object)
		name, _ := value["name"].(string)
		switch kind {
		case "job":
			if _, ok := c.jobs[name]; ok || name == "" {
				found.add("%s: there is a job %q twice, or it has no name", file, name)
			}
			c.jobs[name] = value
		case "secret":
			c.secrets[name] = value
		case "project", "project-template":
			c.projects = append(c.projects, value)
		}
	}
	return found
}

// runs are the places in which a job names its playbooks.
var runs = []string{"pre-run", "run", "post-run", "cleanup-run"}

func (c *configuration) faultsOf(project fs.FS, name string, job object) (found faults, err error) {
	if parent, ok := job["parent"]; ok && !c.knows(parent) {
		found.add("job %s: there is no parent %v", name, parent)
	}
	for _, use := range list(job["secrets"]) {
		if secret := named(use, "secret", "name"); c.secrets[secret] == nil {
			found.add("job %s: there is no secret %v", name, use)
		}
	}
	for _, run := range runs {
		for _, value := range list(job[run]) {
			playbook := named(value, "name")
			roles, faults, err := rolesOf(project, playbook)
			if err != nil {
				return nil, err
			}
			for _, fault := range faults {
				found.add("job %s: %s", name, fault)
			}
			for _, role := range roles {
				switch {
				case exists(project, path.Join("roles", role)):
				case !exists(project, path.Join(standIns, role)):
					found.add("job %s: %s has a role %s, which is neither in roles/ nor known of zuul-jobs", name, playbook, role)
				case !c.declares(name):
					found.add("job %s: %s has the role %s of zuul-jobs, which the job does not declare", name, playbook, role)
				}
			}
		}
	}
	return found, nil
}

// knows is whether a job is defined, here or elsewhere.
func (c *configuration) knows(job any) bool {
	name, _ := job.(string)
	_, known := foreign[name]
	return known || c.jobs[name] != nil
}

// declares is whether a job, or a parent of it, has the roles of zuul-jobs.
func (c *configuration) declares(name string) bool {
	for range len(c.jobs) { // they might go round
		job, ours := c.jobs[name]
		if !ours {
			break
		}
		for _, roles := range list(job["roles"]) {
			if named(roles, "zuul") == zuulJobs {
				return true
			}
		}
		name, _ = job["parent"].(string)
	}
	return foreign[name]
}

// faultsOfPipelines are those of the pipelines of a project: each job is one
// that is there, and so are those that it waits for.
func (c *configuration) faultsOfPipelines(project object) (found faults) {
	for pipeline, value := range project {
		value, _ := value.(object)
		var jobs []string
		for _, job := range list(value["jobs"]) {
			jobs = append(jobs, named(job))
		}
		for n, job := range list(value["jobs"]) {
			if !c.knows(jobs[n]) {
				found.add("pipeline %s: there is no job %v", pipeline, job)
			}
			variant, _ := job.(object)
			options, _ := variant[jobs[n]].(object)
			for _, other := range list(options["dependencies"]) {
				if !slices.Contains(jobs, named(other, "name")) {
					found.add("pipeline %s: %s waits for %v, which is not there", pipeline, jobs[n], other)
				}
			}
		}
	}
	return found
}

// rolesOf are the roles that a playbook runs, also through others that it
// imports, and through the roles themselves.
func rolesOf(project fs.FS, playbook string) (roles []string, found faults, err error) {
	if playbook == "" || !exists(project, playbook) {
		found.add("there is no playbook %q", playbook)
		return nil, found, nil
	}
	plays, err := parse[[]any](project, playbook)
	if err != nil {
		return nil, nil, err
	}
	if len(plays) == 0 {
		found.add("%s is empty", playbook)
	}
	for _, play := range plays {
		play, _ := play.(object)
		if other, ok := play["import_playbook"].(string); ok {
			more, faults, err := rolesOf(project, path.Join(path.Dir(playbook), other))
			if err != nil {
				return nil, nil, err
			}
			roles, found = append(roles, more...), append(found, faults...)
		}
		for _, role := range list(play["roles"]) {
			roles = append(roles, named(role, "role", "name"))
		}
	}
	more, faults, err := included(project, playbook, tasksIn(plays))
	if err != nil {
		return nil, nil, err
	}
	roles, found = append(roles, more...), append(found, faults...)
	for n := 0; n < len(roles); n++ { // to which it adds
		more, faults, err := rolesOfRole(project, roles[n])
		if err != nil {
			return nil, nil, err
		}
		found = append(found, faults...)
		for _, role := range more {
			if !slices.Contains(roles, role) {
				roles = append(roles, role)
			}
		}
	}
	return roles, found, nil
}

// rolesOfRole are the roles that a role of this project includes.
func rolesOfRole(project fs.FS, role string) (roles []string, found faults, err error) {
	for _, part := range []string{"tasks", "handlers"} {
		names, err := files(project, path.Join("roles", role, part), ".yaml")
		if err != nil {
			return nil, nil, err
		}
		for _, file := range names {
			tasks, err := parse[[]any](project, file)
			if err != nil {
				return nil, nil, err
			}
			more, faults, err := included(project, file, tasks)
			if err != nil {
				return nil, nil, err
			}
			roles, found = append(roles, more...), append(found, faults...)
		}
	}
	meta, err := parse[object](project, path.Join("roles", role, "meta/main.yaml"))
	if err != nil {
		return nil, nil, err
	}
	for _, other := range list(meta["dependencies"]) {
		roles = append(roles, named(other, "role", "name"))
	}
	return roles, found, nil
}

// included are the roles that tasks include, also through files of tasks beside
// theirs, if one can tell which.
func included(project fs.FS, file string, tasks []any) (roles []string, found faults, err error) {
	for task := range each(tasks) {
		for _, how := range []string{"include_role", "import_role"} {
			arguments, ok := task[how]
			if !ok {
				continue
			}
			name := named(arguments, "name")
			if name == "" || strings.ContainsAny(name, "{=/") {
				found.add("%s: “%v” includes a role that nobody can tell: %v", file, task["name"], arguments)
				continue
			}
			roles = append(roles, name)
		}
		for _, how := range []string{"include_tasks", "import_tasks"} {
			other := named(task[how], "file")
			if other == "" || strings.Contains(other, "{") {
				continue
			}
			other = path.Join(path.Dir(file), other)
			if !exists(project, other) {
				found.add("%s: “%v” includes %s, which is not there", file, task["name"], other)
				continue
			}
			more, err := parse[[]any](project, other)
			if err != nil {
				return nil, nil, err
			}
			others, faults, err := included(project, other, more)
			if err != nil {
				return nil, nil, err
			}
			roles, found = append(roles, others...), append(found, faults...)
		}
	}
	return roles, found, nil
}
