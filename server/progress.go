package main

import (
	"fmt"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// progress shows how far long work is: as a bar on a terminal, and else as a
// line now and then.
type progress struct {
	program *program
	title   string
	bar     *progressbar.ProgressBar // nil: no terminal
	said    time.Time
	done    int
}

const sayEvery = 10 * time.Second

func (p *program) progress(title string) *progress {
	g := &progress{program: p, title: title, said: time.Now()}
	if f, ok := p.stderr.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		g.bar = progressbar.NewOptions(1, progressbar.OptionSetWriter(f), progressbar.OptionSetDescription(title),
			progressbar.OptionShowCount(), progressbar.OptionClearOnFinish(), progressbar.OptionThrottle(100*time.Millisecond))
	}
	return g
}

// unknown is a total that is not known.
const unknown = -1

func (g *progress) show(done, total int) {
	g.done = done
	if g.bar != nil {
		g.bar.ChangeMax(total)
		_ = g.bar.Set(done)
		return
	}
	if time.Since(g.said) >= sayEvery {
		g.said = time.Now()
		of := ""
		if total != unknown {
			of = fmt.Sprintf(" of %d", total)
		}
		_, _ = fmt.Fprintf(g.program.stderr, "%s: %d%s\n", g.title, done, of)
	}
}

// clear makes room for another line.
func (g *progress) clear() {
	if g.bar != nil {
		_ = g.bar.Clear()
	}
}

func (g *progress) end() {
	if g.bar != nil {
		_ = g.bar.Finish()
	}
}
