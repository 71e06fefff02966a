package replicas

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// What is counted, in the order in which it is told.
const (
	acknowledged = "pushes acknowledged"
	notPushed    = "that failed, and were tried again"
	bytesPushed  = "bytes pushed"
	gotten       = "pulls"
	notGotten    = "which failed, and were tried again"
	bytesBack    = "bytes read back, from three replicas"
	killed       = "replicas killed"
	restarted    = "restarts of Swift's proxy"
	renewed      = "blobs pushed while replicas were renewed"
	notRenewed   = "that failed, of these"
	answers      = "answers of Swift, of which were spoilt:"
)

var counted = []string{
	acknowledged, notPushed, bytesPushed, gotten, notGotten, bytesBack, killed, restarted, renewed, notRenewed, answers,
	string(refused), string(disowned), string(lost), string(torn), string(interrupted), string(away),
}

// tally is what was done and survived.
type tally struct {
	mu      sync.Mutex
	counts  map[string]int64
	longest time.Duration // that a command of a tool took
	slowest string        // the tool
}

func newTally() *tally { return &tally{counts: map[string]int64{}} }

// add counts something.
func (c *tally) add(what string, n int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts[what] += n
}

func (c *tally) of(what string) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.counts[what]
}

// took notes how long a command took.
func (c *tally) took(tool string, span time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if span > c.longest {
		c.longest, c.slowest = span, tool
	}
}

func (c *tally) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var text strings.Builder
	for _, what := range counted {
		fmt.Fprintf(&text, "%12d  %s\n", c.counts[what], what)
	}
	fmt.Fprintf(&text, "%12s  the longest command, of %s", c.longest.Round(time.Second/10), c.slowest)
	return text.String()
}
