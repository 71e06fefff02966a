package roles

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"opendev.org/zuul/zuul-registry/tests/testbed"
)

// TestZuulReturn has a build return something three times: the stand-in for
// zuul_return merges it as Zuul does.
func TestZuulReturn(t *testing.T) {
	build := testbed.Open(t).Build(t, testbed.Job{})
	played := build.Play(t, "playbooks/zuul-return.yaml")
	if changed := played.Changed(); len(changed) != 1 || !strings.HasSuffix(changed[0], "Write the third part") {
		t.Errorf("to return something is no change: %v", changed)
	}

	var want testbed.Returned
	if err := json.Unmarshal([]byte(`{
		"data": {
			"plain": "third",
			"nested": {"kept": "first", "replaced": ["second"], "added": "second"},
			"zuul": {
				"log_url": "https://logs.example.org/",
				"pause": true,
				"artifacts": [
					{"name": "image", "url": "docker://registry.example.org/second"},
					{"name": "image", "url": "docker://registry.example.org/first", "metadata": {"type": "container_image"}}
				],
				"warnings": ["the third", "the second", "the first"],
				"file_comments": {
					"README.rst": [{"line": 1, "message": "the first"}, {"line": 2, "message": "the second"}],
					"CHANGELOG.rst": [{"line": 1, "message": "another"}]
				}
			}
		},
		"secret_data": {"buildset_registry": {"username": "zuul", "password": "second"}}
	}`), &want); err != nil {
		t.Fatal(err)
	}
	if got := build.Returned(t); !reflect.DeepEqual(got, want) {
		t.Errorf("returned\n%v\nwant\n%v", got, want)
	}
	info, err := os.Stat(filepath.Join(build.WorkDir, "results.json"))
	if err != nil {
		t.Fatal(err)
	}
	if mode := info.Mode().Perm(); mode != 0o600 {
		t.Errorf("the results have the mode %v", mode)
	}
}

// TestZuulReturnRefuses has a build return what Zuul would refuse.
func TestZuulReturnRefuses(t *testing.T) {
	bed := testbed.Open(t)
	artifact := func(artifact any) any {
		return object{"zuul": object{"artifacts": []any{artifact}}}
	}
	for _, refused := range []struct {
		what     string
		returned any
		says     string
	}{
		{"an undefined variable", object{"host": "{{ nobody_set_this }}"}, "'nobody_set_this' is undefined"},
		{"an artifact without a URL", artifact(object{"name": "image"}), "an artifact has no url"},
		{"an artifact without a name", artifact(object{"url": "docker://image"}), "an artifact has no name"},
		{"metadata that are a list", artifact(object{"name": "image", "url": "docker://image", "metadata": []any{}}), "metadata of an artifact"},
		{"a warning that is a list", object{"zuul": object{"warnings": []any{[]any{"careful"}}}}, "a warning is no string"},
		{"a string", "data", "data is no dictionary"},
	} {
		t.Run(refused.what, func(t *testing.T) {
			build := bed.Build(t, testbed.Job{Variables: object{"returned": refused.returned}})
			_, err := build.TryPlay(t, "playbooks/zuul-return-refused.yaml")
			if err == nil || !strings.Contains(err.Error(), refused.says) {
				t.Errorf("want that %s, but: %v", refused.says, err)
			}
			if got := build.Returned(t); got.Data != nil {
				t.Errorf("returned %v", got)
			}
		})
	}
}
