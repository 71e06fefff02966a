package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"
)

// largest is how many bytes a file may have that holds a value.
const largest = 1 << 20

// value is what a variable was given.
type value struct {
	text string
	file string // path that the text was read from; empty: the variable itself
}

// read finds the values of the known names, given without Prefix, in environ.
// The result has the names with it. Names that are not known are faults, and
// are even when empty: a typo must not silently turn a setting off.
func read(environ, known []string) (map[string]value, []error) {
	given := split(environ)
	values := map[string]value{}
	var faults []error
	for _, name := range known {
		text, path := given[name], ""
		// A known name that ends in _FILE is itself, not another one's file.
		if !slices.Contains(known, name+"_FILE") {
			path = given[name+"_FILE"]
			delete(given, name+"_FILE")
		}
		delete(given, name)
		switch {
		case text != "" && path != "":
			faults = append(faults, faultf(name, "and %s%s_FILE are both set, allowed: one of them", Prefix, name))
		case path != "":
			content, err := readFile(path)
			if err != nil {
				faults = append(faults, faultf(name+"_FILE", "is %q, which %v, allowed: path of a file with the value", path, err))
				continue
			}
			values[Prefix+name] = value{content, path}
		case text != "":
			values[Prefix+name] = value{text, ""}
		}
	}
	return values, append(faults, unknown(given, known)...)
}

// split makes a map, without Prefix, of the variables that have it. Of a name
// given twice the first counts, as for os.Getenv.
func split(environ []string) map[string]string {
	given := map[string]string{}
	for _, entry := range environ {
		name, text, _ := strings.Cut(entry, "=")
		name, ours := strings.CutPrefix(name, Prefix)
		if _, twice := given[name]; ours && !twice {
			given[name] = text
		}
	}
	return given
}

// readFile reads a value. The error goes on after "which".
func readFile(path string) (string, error) {
	content, err := readSome(path)
	if err != nil {
		if pathError := (*fs.PathError)(nil); errors.As(err, &pathError) {
			err = pathError.Err // the path is in the line already
		}
		return "", fmt.Errorf("cannot be read (%w)", err)
	}
	text, unix := strings.CutSuffix(string(content), "\n")
	if unix {
		text = strings.TrimSuffix(text, "\r")
	}
	switch {
	case len(content) > largest:
		return "", fmt.Errorf("is larger than %d bytes", largest)
	case text == "":
		// Unlike an empty variable nobody makes this by the way: taken as not
		// set, an empty password file would give another password.
		return "", errors.New("is empty")
	}
	return text, nil
}

func readSome(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, largest+1))
}

// unknown is a fault for each name left that Kubernetes has not set.
func unknown(left map[string]string, known []string) []error {
	var names []string
	for name, text := range left {
		if !fromKubernetes(name, text) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	var faults []error
	for _, name := range names {
		faults = append(faults, faultf(name, "is not known, did you mean %s%s?", Prefix, nearest(name, known)))
	}
	return faults
}

// What Kubernetes sets in each container of a namespace for a Service named
// zuul-registry, or for zuul-registry-<more>: the addresses in its own names
// and in those of Docker links ("Accessing the Service: environment variables").
var (
	kubernetesName = regexp.MustCompile(`^(?:.+_)?(?:SERVICE_HOST|SERVICE_PORT(?:_.+)?|PORT_[0-9]+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)$`)
	kubernetesPort = regexp.MustCompile(`^(?:tcp|udp|sctp)://`)
)

func fromKubernetes(name, text string) bool {
	return kubernetesName.MatchString(name) ||
		strings.HasSuffix("_"+name, "_PORT") && kubernetesPort.MatchString(text)
}
