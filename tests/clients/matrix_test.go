package clients

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"opendev.org/zuul/zuul-registry/tests/testbed"
)

var update = flag.Bool("update", false, "write the table into the README")

// matrix is the table in the README: what each version of a tool went through.
type matrix struct {
	sync.Mutex
	versions map[string]string  // by tool
	results  map[[2]string]bool // of a scenario and a tool
}

func newMatrix() *matrix {
	return &matrix{versions: map[string]string{}, results: map[[2]string]bool{}}
}

func (m *matrix) version(tool, version string) {
	m.Lock()
	defer m.Unlock()
	m.versions[tool] = version
}

// record notes what has come of a test of some tools with a scenario.
func (m *matrix) record(t *testing.T, scenario string, all ...*world) {
	m.Lock()
	defer m.Unlock()
	for _, w := range all {
		m.results[[2]string{scenario, w.tool}] = !t.Failed() && !t.Skipped()
	}
}

const failed = "FAILED"

// rows are the cells of the table: a tool that cannot do something by its nature
// has a dash. The first cell of the head must not be empty, or it is no row.
func (m *matrix) rows() [][]string {
	head, versions := []string{"scenario"}, []string{""}
	for _, tool := range tools {
		name, kind, _ := strings.Cut(tool.name, ", ")
		head, versions = append(head, name), append(versions, strings.TrimSpace(kind+" "+m.versions[tool.name]))
	}
	rows := [][]string{head, versions}
	row := func(scenario string) {
		row := []string{scenario}
		for _, tool := range tools {
			cell := "–"
			if ok, played := m.results[[2]string{scenario, tool.name}]; played && ok {
				cell = "✓"
			} else if played {
				cell = failed
			}
			row = append(row, cell)
		}
		rows = append(rows, row)
	}
	for _, scenario := range scenarios {
		row(scenario.name)
	}
	for _, scenario := range together {
		row(scenario.name)
	}
	return rows
}

// String is the table in reStructuredText.
func (m *matrix) String() string {
	rows := m.rows()
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for n, cell := range row {
			widths[n] = max(widths[n], utf8.RuneCountInString(cell))
		}
	}
	var rule []string
	for _, width := range widths {
		rule = append(rule, strings.Repeat("=", width))
	}
	var table strings.Builder
	line := func(cells []string) {
		var line strings.Builder
		for n, cell := range cells {
			line.WriteString(cell + strings.Repeat(" ", widths[n]-utf8.RuneCountInString(cell)+2))
		}
		table.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	line(rule)
	for n, row := range rows {
		if n == 2 {
			line(rule)
		}
		line(row)
	}
	line(rule)
	return table.String()
}

// Where the table is in the README.
const (
	tableBegins = ".. What the tests found. This table is theirs: tests/run matrix\n\n"
	tableEnds   = ".. End of the table.\n"
)

// compare finds that the README has the table, or writes it there.
func (m *matrix) compare(t *testing.T) {
	file := filepath.Join(testbed.Root(t), "README.rst")
	readme, err := os.ReadFile(file)
	must(t, err)
	before, rest, begins := strings.Cut(string(readme), tableBegins)
	was, after, ends := strings.Cut(rest, tableEnds)
	if !begins || !ends {
		t.Fatalf("%s has no place for the table: %q", file, tableBegins+tableEnds)
	}
	for _, tool := range tools {
		if m.versions[tool.name] == "" {
			testbed.Missing(t, tool.name)
		}
	}
	table := m.String() + "\n"
	if strings.Contains(table, failed) {
		t.Fatalf("not everything has passed:\n%s", table)
	}
	if *update {
		must(t, os.WriteFile(file, []byte(before+tableBegins+table+tableEnds+after), 0o644))
	} else if was != table {
		t.Errorf("the README has not the table that the tests made, which tests/run matrix writes:\n%s", table)
	}
}
