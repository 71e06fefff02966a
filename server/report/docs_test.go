package report

import (
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// fields are the names that a type has in JSON, those of what it embeds before its own.
func fields(of reflect.Type) []string {
	var all []string
	for i := range of.NumField() {
		f := of.Field(i)
		if f.Anonymous {
			all = append(all, fields(f.Type)...)
			continue
		}
		if f.IsExported() {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			all = append(all, name)
		}
	}
	return all
}

// What is documented is what there is.
func TestFieldsAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/report.rst")
	if err != nil {
		t.Fatal(err)
	}
	whole, act, _ := strings.Cut(string(text), "An act is what a client did")
	rows := func(part string) []string {
		var all []string
		for _, m := range regexp.MustCompile("(?m)^``([a-zA-Z]+)`` +[^ \n]").FindAllStringSubmatch(part, -1) {
			all = append(all, m[1])
		}
		slices.Sort(all)
		return all
	}
	for _, tt := range []struct {
		part string
		of   any
	}{{whole, Report{}}, {act, Act{}}} {
		want := fields(reflect.TypeOf(tt.of))
		slices.Sort(want)
		if got := rows(tt.part); !slices.Equal(got, want) {
			t.Errorf("%T is documented with\n%q, and has\n%q", tt.of, got, want)
		}
	}
	for _, of := range []any{Image{}, Upstream{}, RateLimit{}, Upload{}, Storage{}} {
		for _, name := range fields(reflect.TypeOf(of)) {
			if !strings.Contains(whole, "``"+name+"``") {
				t.Errorf("%s of %T is not documented", name, of)
			}
		}
	}
}
