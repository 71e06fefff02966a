package roles

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// checkTasks reads every task of the roles and the playbooks, the tests' own
// among them: each has a name, its modules' names are short, loops name their
// variable zj_…, and what is private to a role begins with _.
func checkTasks(project fs.FS) (found faults, err error) {
	count := 0
	look := func(file string, tasks []any, public string) {
		for task := range each(tasks) {
			count++
			found = append(found, faultsOf(file, task, public)...)
		}
	}

	roles, err := folders(project, "roles")
	if err != nil {
		return nil, err
	}
	for _, role := range roles {
		readme, err := fs.ReadFile(project, path.Join("roles", role, "README.rst"))
		if err != nil {
			readme = nil // checkReadmes says so
		}
		for _, part := range []string{"tasks", "handlers"} {
			names, err := files(project, path.Join("roles", role, part), ".yaml")
			if err != nil {
				return nil, err
			}
			for _, file := range names {
				tasks, err := parse[[]any](project, file)
				if err != nil {
					return nil, err
				}
				look(file, tasks, string(readme))
			}
		}
	}
	for _, dir := range []string{"playbooks", "tests/roles/playbooks"} {
		names, err := files(project, dir, ".yaml")
		if err != nil {
			return nil, err
		}
		for _, file := range names {
			if belongs(file) {
				continue
			}
			items, err := parse[[]any](project, file)
			if err != nil {
				return nil, err
			}
			look(file, tasksIn(items), "")
		}
	}
	if count == 0 {
		found.add("there is no task in roles/ and playbooks/")
	}

	for _, dir := range []string{"roles", "playbooks", "zuul.d"} {
		strays, err := files(project, dir, ".yml")
		if err != nil {
			return nil, err
		}
		for _, file := range strays {
			found.add("%s does not end in .yaml", file)
		}
	}
	return found, nil
}

// belongs is whether a file beside playbooks has no tasks.
func belongs(file string) bool {
	parts := strings.Split(path.Dir(file), "/")
	return slices.ContainsFunc(parts, func(part string) bool {
		return slices.Contains([]string{"files", "templates", "vars", "group_vars", "host_vars"}, part)
	})
}

// tasksIn are the tasks in a file, which has either plays or tasks.
func tasksIn(items []any) (tasks []any) {
	for _, item := range items {
		play, _ := item.(object)
		switch {
		case play["import_playbook"] != nil:
		case play["hosts"] != nil:
			for _, part := range []string{"pre_tasks", "tasks", "post_tasks", "handlers"} {
				tasks = append(tasks, list(play[part])...)
			}
		default:
			tasks = append(tasks, item)
		}
	}
	return tasks
}

// each goes through tasks and those in blocks.
func each(tasks []any) func(yield func(object) bool) {
	return func(yield func(object) bool) {
		for _, value := range tasks {
			task, _ := value.(object)
			if !yield(task) {
				return
			}
			for _, part := range []string{"block", "rescue", "always"} {
				for inner := range each(list(task[part])) {
					if !yield(inner) {
						return
					}
				}
			}
		}
	}
}

// faultsOf are those of a task; public is where a fact must stand if its name
// is not a private one's.
func faultsOf(file string, task object, public string) (found faults) {
	name, ok := task["name"].(string)
	if !ok {
		found.add("%s: a task has no name: %v", file, task)
		return found
	}
	where := fmt.Sprintf("%s: “%s”", file, name)
	loops := false
	for key := range task {
		if strings.HasPrefix(key, "ansible.builtin.") || strings.HasPrefix(key, "ansible.legacy.") {
			found.add("%s names its module in full: %s", where, key)
		}
		loops = loops || key == "loop" || strings.HasPrefix(key, "with_")
	}
	if loops {
		control, _ := task["loop_control"].(object)
		if variable, _ := control["loop_var"].(string); !strings.HasPrefix(variable, "zj_") {
			found.add("%s loops with the variable %q, not with one that begins with zj_", where, variable)
		}
	}
	if register, ok := task["register"].(string); ok && !strings.HasPrefix(register, "_") {
		found.add("%s registers %s, which does not begin with _", where, register)
	}
	facts, _ := task["set_fact"].(object)
	for fact := range facts {
		if fact != "cacheable" && !strings.HasPrefix(fact, "_") && !strings.Contains(public, fact) {
			found.add("%s sets %s, which neither begins with _ nor is in the role's README.rst", where, fact)
		}
	}
	return found
}

// checkPlugins looks for the folders of plugins that Zuul refuses in a project
// that it does not trust.
func checkPlugins(project fs.FS) (found faults, err error) {
	count := 0
	for _, dir := range []string{"roles", "playbooks"} {
		if !exists(project, dir) {
			continue
		}
		if err := fs.WalkDir(project, dir, func(name string, entry fs.DirEntry, err error) error {
			if err == nil && entry.IsDir() {
				count++
				if strings.HasSuffix(name, "_plugins") {
					found.add("%s: Zuul refuses folders of plugins", name)
				}
			}
			return err
		}); err != nil {
			return nil, err
		}
	}
	if count == 0 {
		found.add("there are neither roles nor playbooks")
	}
	return found, nil
}
