package namespace_test

import (
	"slices"
	"strings"
	"testing"

	"opendev.org/zuul/zuul-registry/server/namespace"
	"opendev.org/zuul/zuul-registry/server/oci"
)

func TestName(t *testing.T) {
	for _, tt := range []struct {
		mode     namespace.Mode
		path, ns string
		kept     string // area and repository
		upstream string // empty: none
	}{
		{namespace.Auto, "alpine", "", "_local library/alpine", "docker.io/library/alpine"},
		{namespace.Auto, "library/alpine", "", "_local library/alpine", "docker.io/library/alpine"},
		{namespace.Auto, "docker.io/library/alpine", "", "_local library/alpine", "docker.io/library/alpine"},
		{namespace.Auto, "docker.io/alpine", "", "_local library/alpine", "docker.io/library/alpine"},
		{namespace.Auto, "index.docker.io/alpine", "", "_local library/alpine", "docker.io/library/alpine"},
		{namespace.Auto, "registry-1.docker.io/org/app", "", "_local org/app", "docker.io/org/app"},
		{namespace.Auto, "org/app", "", "_local org/app", "docker.io/org/app"},
		{namespace.Auto, "quay.io/org/app", "", "_local quay.io/org/app", "quay.io/org/app"},
		{namespace.Auto, "quay.io/app", "", "_local quay.io/app", "quay.io/app"},
		{namespace.Auto, "localhost/app", "", "_local localhost/app", "localhost/app"},
		{namespace.Auto, "quay.io", "", "_local library/quay.io", "docker.io/library/quay.io"},
		{namespace.Auto, "org/quay.io", "", "_local org/quay.io", "docker.io/org/quay.io"},
		// ns says it, and a path that says it, too, is not prefixed twice.
		{namespace.Auto, "org/app", "quay.io", "_local quay.io/org/app", "quay.io/org/app"},
		{namespace.Auto, "quay.io/org/app", "quay.io", "_local quay.io/org/app", "quay.io/org/app"},
		{namespace.Auto, "alpine", "docker.io", "_local library/alpine", "docker.io/library/alpine"},
		{namespace.Auto, "docker.io/library/alpine", "docker.io", "_local library/alpine", "docker.io/library/alpine"},
		{namespace.Auto, "docker.io/library/alpine", "Index.Docker.io", "_local library/alpine", "docker.io/library/alpine"},
		{namespace.Auto, "org/app", "localhost:5000", "_local localhost:5000/org/app", "localhost:5000/org/app"},
		{namespace.Auto, "example.com/project/app", "gcr.io", "_local gcr.io/example.com/project/app", "gcr.io/example.com/project/app"},
		// Nothing that is asked for in one way is found under another name.
		{namespace.Auto, "quay.io/org/app", "docker.io", "_local docker.io/quay.io/org/app", "docker.io/quay.io/org/app"},

		{namespace.Path, "docker.io/library/alpine", "", "docker.io library/alpine", "docker.io/library/alpine"},
		{namespace.Path, "docker.io/alpine", "", "docker.io library/alpine", "docker.io/library/alpine"},
		{namespace.Path, "quay.io/org/app", "", "quay.io org/app", "quay.io/org/app"},
		{namespace.Path, "org/app", "", "org app", "org/app"},
		{namespace.Path, "org/app", "quay.io", "quay.io org/app", "quay.io/org/app"},
		{namespace.Path, "quay.io/org/app", "quay.io", "quay.io org/app", "quay.io/org/app"},
		{namespace.Path, "alpine", "docker.io", "docker.io library/alpine", "docker.io/library/alpine"},

		{namespace.None, "alpine", "", "_local alpine", "docker.io/library/alpine"},
		{namespace.None, "docker.io/library/alpine", "", "_local docker.io/library/alpine", "docker.io/library/alpine"},
		{namespace.None, "quay.io/org/app", "", "_local quay.io/org/app", "quay.io/org/app"},
		{namespace.None, "org/app", "quay.io", "_local org/app", ""},
		{namespace.None, "quay.io/org/app", "quay.io", "_local quay.io/org/app", ""},
	} {
		got, err := tt.mode.Name(tt.path, tt.ns)
		upstream := ""
		if !got.Shadows.IsZero() {
			upstream = got.Shadows.String()
		}
		if err != nil || got.Area+" "+got.Repository != tt.kept || upstream != tt.upstream || got.Asked != tt.path {
			t.Errorf("%s: %s ns=%s is %+v, %v; want %s for %s", tt.mode, tt.path, tt.ns, got, err, tt.kept, tt.upstream)
		}
	}
}

func TestNameRefuses(t *testing.T) {
	for _, tt := range []struct {
		mode     namespace.Mode
		path, ns string
		want     oci.Code
	}{
		{namespace.Path, "alpine", "", oci.NameUnknown},
		{namespace.Auto, "Alpine", "", oci.NameInvalid},
		{namespace.Auto, "", "quay.io", oci.NameInvalid},
		{namespace.Auto, "localhost:5000/app", "", oci.NameInvalid},
		{namespace.Auto, "app", "..", oci.NameInvalid},
		{namespace.Path, "app", "a/../b", oci.NameInvalid},
		{namespace.Auto, "app", "_local", oci.NameInvalid},
		{namespace.Auto, "app", ".put", oci.NameInvalid},
		{namespace.Auto, "app", "https://quay.io", oci.NameInvalid},
		{namespace.Auto, "app", "quay.io:", oci.NameInvalid},
		{namespace.Auto, "app", "quay.io:123456", oci.NameInvalid},
		{namespace.Auto, "app", "a b", oci.NameInvalid},
		{namespace.Auto, "app", "quay.io:65536", oci.NameInvalid},
		{namespace.Auto, "app", "doc\u212aer.io", oci.NameInvalid},      // a K that is none
		{namespace.Auto, strings.Repeat("a", 255), "", oci.NameInvalid}, // with library/ before it
		{namespace.Path, strings.Repeat("a", 250), "quay.io", oci.NameInvalid},
		{namespace.Auto, "app", "org", oci.NameInvalid}, // would be docker.io's org/app
		{namespace.None, "app", "a b", oci.NameInvalid},
		{namespace.Auto, "app", strings.Repeat("a", 256), oci.NameInvalid},
	} {
		got, err := tt.mode.Name(tt.path, tt.ns)
		if fault, ok := oci.AsError(err); !ok || fault.Code != tt.want {
			t.Errorf("%s: %s ns=%s is %+v, %v; want %s", tt.mode, tt.path, tt.ns, got, err, tt.want)
		}
	}
}

func TestOlder(t *testing.T) {
	for path, want := range map[string][]string{
		"busybox":                     {"busybox", "docker.io/library/busybox", "docker.io/busybox"},
		"index.docker.io/busybox":     {"busybox", "docker.io/library/busybox", "docker.io/busybox"},
		"org/app":                     {"docker.io/org/app"},
		"docker.io/org/app":           {"docker.io/org/app"},
		"library/group/app":           {"docker.io/library/group/app"}, // group/app is another one
		"quay.io":                     {"quay.io", "docker.io/library/quay.io", "docker.io/quay.io"},
		"docker.io/quay.io/org/app":   nil, // is kept so
		"quay.io/org/app":             nil,
		"localhost/app":               nil,
		"quay.io/docker.io/org/app":   nil,
		"quay.io/library/busybox":     nil,
		"docker.io/org/app/manifests": {"docker.io/org/app/manifests"},
	} {
		name, err := namespace.Auto.Name(path, "")
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, older := range namespace.Auto.Older(name) {
			got = append(got, older.Repository)
			if again, err := namespace.Auto.Name(older.Repository, ""); err != nil || again.Repository != name.Repository || older.Area != name.Area {
				t.Errorf("%+v, which is older, means %+v now, %v; want %s", older, again, err, name)
			}
			if older.Repository != name.Repository && namespace.Auto.Older(older) != nil {
				t.Errorf("%s has older names, though it is one", older)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s was stored as %q, want %q", name, got, want)
		}
		for _, mode := range []namespace.Mode{namespace.Path, namespace.None} {
			if got := mode.Older(name); got != nil {
				t.Errorf("%s: %s was stored as %v, want nothing", mode, name, got)
			}
		}
	}
}

func TestNames(t *testing.T) {
	for registry, want := range map[string]map[namespace.Mode]bool{
		"quay.io":       {namespace.Auto: true, namespace.Path: true, namespace.None: true},
		"localhost":     {namespace.Auto: true, namespace.Path: true, namespace.None: true},
		"registry:5000": {namespace.Auto: true, namespace.Path: true, namespace.None: true},
		"org":           {namespace.Auto: false, namespace.Path: true, namespace.None: false},
	} {
		for mode, want := range want {
			if got := mode.Names(registry); got != want {
				t.Errorf("%s: names of %s: %t, want %t", mode, registry, got, want)
			}
		}
	}
}

// The canonical spelling, as the catalog has it, means the same repository, and
// no two repositories share one.
func FuzzName(f *testing.F) {
	for _, path := range []string{"alpine", "docker.io/alpine", "quay.io/org/app", "docker.io/quay.io/a", "localhost/x"} {
		for _, ns := range []string{"", "quay.io", "docker.io", "localhost"} {
			f.Add(path, ns)
		}
	}
	f.Fuzz(func(t *testing.T, path, ns string) {
		for _, mode := range []namespace.Mode{namespace.Auto, namespace.Path} {
			name, err := mode.Name(path, ns)
			if err != nil || strings.Contains(name.Shadows.Namespace, ":") {
				continue // ports are only for ns
			}
			again, err := mode.Name(name.String(), "")
			if err != nil || again.Area != name.Area || again.Repository != name.Repository || again.Shadows != name.Shadows {
				t.Errorf("%s: %q ns=%q is %+v, listed as %s, which is %+v, %v", mode, path, ns, name, name, again, err)
			}
			for _, older := range mode.Older(name) {
				again, err := mode.Name(older.Repository, "")
				if err == nil && (again.Repository != name.Repository || older.Repository == name.Repository) {
					t.Errorf("%s: %s is older than %s, and means %s", mode, older, name, again)
				}
			}
		}
	})
}
