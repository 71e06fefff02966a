package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "opendev.org/zuul/zuul-registry/server"

// floors are the house: imports go down only, and packages of one floor do not
// know each other. Test suites stand beside what they test.
var floors = map[string]int{
	"oci": 0, "registrytest": 0, "reload": 0, "peer": 0,
	"namespace": 1,
	"storage":   1, "storage/filesystem": 1, "storage/swift": 1, "storage/memory": 1, "storage/storagetest": 1, "storage/swift/pretend": 1, "certificate": 1,
	"local": 2, "upstream": 2, "transfer": 2,
	"access": 3, "shadow": 3, "metrics": 3, "provenance": 3,
	"api": 4, "token": 4, "web": 4, "report": 4,
	"config": 5, ".": 5,
}

// allowed are imports within a floor.
var allowed = map[string][]string{
	"registrytest":          {"oci"},
	"storage/filesystem":    {"storage"},
	"storage/swift":         {"storage"},
	"storage/memory":        {"storage"},
	"storage/storagetest":   {"storage"},
	"storage/swift/pretend": {"storage/swift"},
	".":                     {"config"},
}

// strangers are imports that go down, and are not wanted.
var strangers = map[string][]string{
	"storage":            {"oci"},
	"storage/filesystem": {"oci"},
	"storage/swift":      {"oci"},
	"transfer":           {"storage", "storage/filesystem", "storage/swift", "storage/memory"},
	"shadow":             {"storage", "storage/filesystem", "storage/swift", "storage/memory"},
}

// suites are for tests alone.
var suites = []string{"registrytest", "storage/storagetest", "storage/swift/pretend"}

// api speaks for any registry, and knows nothing else.
const speaker, spoken = "api", "oci"

func TestImportsGoDown(t *testing.T) {
	seen := map[string]bool{}
	err := filepath.WalkDir(".", func(file string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
			return err
		}
		from := path.Dir(filepath.ToSlash(file))
		seen[from] = true
		for _, to := range imports(t, file) {
			checkImport(t, file, from, to)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for name := range floors {
		if !seen[name] {
			t.Errorf("%s has a floor, but no code", name)
		}
	}
}

func imports(t *testing.T, file string) []string {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	var ours []string
	for _, spec := range parsed.Imports {
		name, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		if rest, ok := strings.CutPrefix(name, module+"/"); ok {
			ours = append(ours, rest)
		}
	}
	return ours
}

func checkImport(t *testing.T, file, from, to string) {
	t.Helper()
	if _, ok := floors[from]; !ok {
		t.Errorf("%s: package %s has no floor", file, from)
	}
	for _, ok := range allowed[from] {
		if ok == to {
			return
		}
	}
	if floors[to] >= floors[from] {
		t.Errorf("%s: floor %d imports %s of floor %d", file, floors[from], to, floors[to])
	}
	if slices.Contains(suites, to) {
		t.Errorf("%s: %s is for tests", file, to)
	}
	if from == speaker && to != spoken {
		t.Errorf("%s: %s must not know %s, but %s alone", file, from, to, spoken)
	}
	for _, stranger := range strangers[from] {
		if stranger == to {
			t.Errorf("%s: %s must not know %s", file, from, to)
		}
	}
}
