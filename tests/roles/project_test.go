package roles

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"testing"

	"gopkg.in/yaml.v3"
)

// project is this project's folder.
var project = os.DirFS("../..")

// checks are what is checked of the roles, the playbooks and Zuul's
// configuration as they are written. Each returns the faults that it finds; to
// find nothing to look at is one, too.
var checks = []struct {
	name  string
	check func(project fs.FS) (faults, error)
}{
	{"the READMEs name the defaults", checkReadmes},
	{"the tasks are written as zuul-jobs'", checkTasks},
	{"no plugins", checkPlugins},
	{"one live configuration", checkConfiguration},
	{"the jobs have what they name", checkJobs},
}

// TestProject finds no fault. It needs nothing but the files.
func TestProject(t *testing.T) {
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) {
			found, err := c.check(project)
			if err != nil {
				t.Fatal(err)
			}
			for _, fault := range found {
				t.Error(fault)
			}
		})
	}
}

// faults are what a check found, each as a person would say it.
type faults []string

func (f *faults) add(format string, arguments ...any) {
	*f = append(*f, fmt.Sprintf(format, arguments...))
}

// object is a mapping in YAML.
type object = map[string]any

// parse reads a file of YAML. One that is not there is as if it were empty.
func parse[T any](project fs.FS, file string) (value T, err error) {
	content, err := fs.ReadFile(project, file)
	if errors.Is(err, fs.ErrNotExist) {
		return value, nil
	}
	if err != nil {
		return value, err
	}
	if err := yaml.Unmarshal(content, &value); err != nil {
		return value, fmt.Errorf("%s: %w", file, err)
	}
	return value, nil
}

// files are those below a folder, as deep as they may be, that end in one of
// the endings.
func files(project fs.FS, dir string, endings ...string) (found []string, err error) {
	if !exists(project, dir) {
		return nil, nil
	}
	err = fs.WalkDir(project, dir, func(file string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && slices.Contains(endings, path.Ext(file)) {
			found = append(found, file)
		}
		return err
	})
	return found, err
}

// folders are the names of those in a folder.
func folders(project fs.FS, dir string) (names []string, err error) {
	entries, err := fs.ReadDir(project, dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	for _, entry := range entries {
		if entry.IsDir() {
			names = append(names, entry.Name())
		}
	}
	return names, err
}

func exists(project fs.FS, name string) bool {
	_, err := fs.Stat(project, name)
	return err == nil
}

// list is a value that may be written without being one.
func list(value any) []any {
	switch value := value.(type) {
	case nil:
		return nil
	case []any:
		return value
	default:
		return []any{value}
	}
}

// named is the name in what is written as a name alone, or as a mapping that
// has it under one of the keys, or as its only key.
func named(value any, keys ...string) string {
	switch value := value.(type) {
	case string:
		return value
	case object:
		for _, key := range keys {
			if name, ok := value[key].(string); ok {
				return name
			}
		}
		if len(value) == 1 && len(keys) == 0 {
			for name := range value {
				return name
			}
		}
	}
	return ""
}
