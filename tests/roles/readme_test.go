package roles

import (
	"fmt"
	"io/fs"
	"maps"
	"path"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// checkReadmes compares each role's README.rst with its defaults: the defaults
// are all there, with their values, and no others. A variable without a
// default says nothing of one.
func checkReadmes(project fs.FS) (found faults, err error) {
	roles, err := folders(project, "roles")
	if err != nil {
		return nil, err
	}
	if len(roles) == 0 {
		found.add("there is no role in roles/")
	}
	for _, role := range roles {
		dir := path.Join("roles", role)
		readme, err := fs.ReadFile(project, path.Join(dir, "README.rst"))
		if err != nil {
			found.add("%s has no README.rst", dir)
			continue
		}
		if !strings.Contains(string(readme), "\n**Return Values**\n") {
			found.add("%s/README.rst has no **Return Values**", dir)
		}
		documented, twice := roleVariables(string(readme))
		for _, name := range twice {
			found.add("%s/README.rst has %s twice", dir, name)
		}
		defaults, err := parse[object](project, path.Join(dir, "defaults/main.yaml"))
		if err != nil {
			return nil, err
		}
		for _, name := range slices.Sorted(maps.Keys(defaults)) {
			says, ok := documented[name]
			switch {
			case !ok:
				found.add("%s/README.rst has no %s, which is in defaults/main.yaml", dir, name)
			case says == nil:
				found.add("%s/README.rst has no :default: of %s, which is %v", dir, name, defaults[name])
			case !same(*says, defaults[name]):
				found.add("%s/README.rst says that %s is %s by default, but it is %v", dir, name, *says, defaults[name])
			}
		}
		for _, name := range slices.Sorted(maps.Keys(documented)) {
			if _, ok := defaults[name]; !ok && documented[name] != nil {
				found.add("%s/README.rst has a :default: of %s, which is not in defaults/main.yaml", dir, name)
			}
		}
	}
	return found, nil
}

var (
	roleVariable = regexp.MustCompile(`^\.\. zuul:rolevar:: (\S+)$`)
	roleOption   = regexp.MustCompile(`^   :(\w+):\s*(.*)$`)
	continued    = regexp.MustCompile(`^\s{4,}\S`)
)

// roleVariables are the variables that a README has, with what it says to be
// the default of each; those below another one are its fields.
func roleVariables(readme string) (defaults map[string]*string, twice []string) {
	defaults = map[string]*string{}
	var variable, option string // that the line before was of
	for line := range strings.Lines(readme) {
		line = strings.TrimRight(line, " \n")
		if found := roleVariable.FindStringSubmatch(line); found != nil {
			variable, option = found[1], ""
			if _, ok := defaults[variable]; ok {
				twice = append(twice, variable)
			}
			defaults[variable] = nil
			continue
		}
		if variable == "" {
			continue
		}
		if found := roleOption.FindStringSubmatch(line); found != nil {
			option = found[1]
			if option == "default" {
				defaults[variable] = &found[2]
			}
			continue
		}
		if option != "" && continued.MatchString(line) {
			if option == "default" {
				*defaults[variable] += "\n" + line
			}
			continue
		}
		variable = "" // and all that is said of it
	}
	return defaults, twice
}

// same is whether a default is what a README says, which is the text itself, or
// how it is written in YAML.
func same(says string, value any) bool {
	if text, ok := value.(string); ok && text == says {
		return true
	}
	var written any
	if err := yaml.Unmarshal([]byte(says), &written); err != nil {
		return false
	}
	return fmt.Sprintf("%T", written) == fmt.Sprintf("%T", value) && reflect.DeepEqual(written, value)
}
