package main

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"opendev.org/zuul/zuul-registry/server/config"
)

// A row of README's table: name, default, meaning.
var row = regexp.MustCompile("(?m)^   \\* - ``([A-Z_]+)``\n     -(?: ``(.*)``)?\n     - (.*)$")

// README's table is what "config" prints, in the same order.
func TestReadmeHasEveryVariable(t *testing.T) {
	readme, err := os.ReadFile("../README.rst")
	if err != nil {
		t.Fatal(err)
	}
	variables := config.Config{}.Describe()
	rows := row.FindAllStringSubmatch(string(readme), -1)
	if len(rows) != len(variables) {
		t.Errorf("the table has %d rows, and there are %d variables", len(rows), len(variables))
	}
	for i, v := range variables[:min(len(rows), len(variables))] {
		name := strings.TrimPrefix(v.Name, config.Prefix)
		if rows[i][1] != name || rows[i][2] != v.Default || rows[i][3] != v.Meaning {
			t.Errorf("row %d is %q, want %q, %q, %q", i+1, rows[i][1:], name, v.Default, v.Meaning)
		}
	}
}

func TestReadmeHasEveryCommand(t *testing.T) {
	readme, err := os.ReadFile("../README.rst")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range commands() {
		if !strings.Contains(string(readme), "``zuul-registry "+c.name+"``") {
			t.Errorf("README does not explain %s", c.name)
		}
	}
}
