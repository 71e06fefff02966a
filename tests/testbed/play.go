package testbed

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const playbookPlayer = "ansible-playbook"

// Played is what became of a playbook.
type Played struct {
	Tasks   []Task // for each host, in their order
	Console string // all that Ansible wrote, at -vvv
}

// Task is what became of a task on a host.
type Task struct {
	Host    string `json:"host"`
	Role    string `json:"role"`
	Name    string `json:"task"`
	Became  string `json:"became"` // ok, skipped, failed, ignored or unreachable
	Changed bool   `json:"changed"`
}

func (t Task) String() string { return t.Host + ": " + t.title() }

// title is how Ansible names it.
func (t Task) title() string {
	if t.Role == "" {
		return t.Name
	}
	return t.Role + " : " + t.Name
}

// Changed are the tasks that changed something, as “host: role : name”.
func (p *Played) Changed() []string {
	return p.those(func(task Task) bool { return task.Changed })
}

// Failed are the tasks that failed, also those that were rescued.
func (p *Played) Failed() []string {
	return p.those(func(task Task) bool { return task.Became == "failed" || task.Became == "unreachable" })
}

func (p *Played) those(which func(Task) bool) (names []string) {
	for _, task := range p.Tasks {
		if which(task) {
			names = append(names, task.String())
		}
	}
	return names
}

// Play plays a playbook, a file, which must succeed. Options are further ones
// of ansible-playbook.
func (b *Build) Play(t *testing.T, playbook string, options ...string) *Played {
	t.Helper()
	played, err := b.TryPlay(t, playbook, options...)
	if err != nil {
		t.Fatal(err)
	}
	return played
}

// Check plays a playbook in check mode, which must succeed.
func (b *Build) Check(t *testing.T, playbook string, options ...string) *Played {
	t.Helper()
	return b.Play(t, playbook, append([]string{"--check", "--diff"}, options...)...)
}

// PlayTwice plays a playbook twice, and returns what became of it the first
// time. The second time nothing must change, neither must check mode think so.
func (b *Build) PlayTwice(t *testing.T, playbook string, options ...string) *Played {
	t.Helper()
	first := b.Play(t, playbook, options...)
	for _, again := range []struct {
		how    string
		played *Played
	}{
		{"played again", b.Play(t, playbook, options...)},
		{"played again in check mode", b.Check(t, playbook, options...)},
	} {
		if changed := again.played.Changed(); len(changed) > 0 {
			t.Errorf("%s, %s changes:\n%s\n%s", again.how, playbook, strings.Join(changed, "\n"), again.played.diffs())
		}
	}
	return first
}

// TryPlay plays a playbook. The error of one that failed says how.
func (b *Build) TryPlay(t *testing.T, playbook string, options ...string) (*Played, error) {
	t.Helper()
	record := filepath.Join(b.dir, "record")
	if err := os.WriteFile(record, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	arguments := append([]string{"-vvv", "--inventory", b.inventory(), "--extra-vars", "@" + b.variables()}, options...)
	command := exec.CommandContext(t.Context(), playbookPlayer, append(arguments, playbook)...)
	command.Env = append(b.env, "RECORD="+record)
	var console bytes.Buffer
	command.Stdout, command.Stderr = &console, &console
	failed := command.Run()
	played := &Played{Tasks: readRecord(t, record), Console: console.String()}
	if failed != nil {
		return played, fmt.Errorf("%s: %w\n%s", playbook, failed, played.fault())
	}
	return played, nil
}

// fault is the part of the console that begins with the first task that failed,
// if it tells.
func (p *Played) fault() string {
	before, _, found := strings.Cut(p.Console, "\nfatal: ")
	if !found {
		return p.Console
	}
	return p.Console[max(0, strings.LastIndex(before, "\nTASK [")):]
}

// diffs are the parts of the console that are of tasks which changed something.
func (p *Played) diffs() string {
	changed := map[string]bool{}
	for _, task := range p.Tasks {
		if task.Changed {
			changed[task.title()] = true
		}
	}
	const begin = "\nTASK ["
	var said strings.Builder
	for _, part := range strings.Split(p.Console, begin)[1:] {
		if title, _, ok := strings.Cut(part, "] **"); ok && changed[title] {
			said.WriteString(begin + part)
		}
	}
	return said.String()
}

func readRecord(t *testing.T, record string) (tasks []Task) {
	t.Helper()
	file, err := os.Open(record)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		var task Task
		if err := json.Unmarshal(lines.Bytes(), &task); err != nil {
			t.Fatal(err)
		}
		tasks = append(tasks, task)
	}
	return tasks
}
