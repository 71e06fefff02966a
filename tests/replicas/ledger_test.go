package replicas

import (
	"fmt"
	"sync"
	"time"
)

// ledger is what was pushed, and what was acknowledged of it.
type ledger struct {
	mu     sync.Mutex
	pushes map[string][]*push // by reference
	known  []*push            // that were acknowledged
	more   chan struct{}      // closed, and another one, when there is one more
}

// push is one attempt.
type push struct {
	ref   string
	image string // its id
	begin time.Time

	// After it:
	end    time.Time
	digest string // of the manifest; empty if it was not acknowledged
}

func newLedger() *ledger {
	return &ledger{pushes: map[string][]*push{}, more: make(chan struct{})}
}

// begin notes that a push begins.
func (l *ledger) begin(ref, image string) *push {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := &push{ref: ref, image: image, begin: time.Now()}
	l.pushes[ref] = append(l.pushes[ref], p)
	return p
}

// end notes that it has ended, with a digest if it was acknowledged.
func (l *ledger) end(p *push, digest string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p.end, p.digest = time.Now(), digest
	if digest != "" {
		l.known = append(l.known, p)
		close(l.more)
		l.more = make(chan struct{})
	}
}

// acknowledged are all that were.
func (l *ledger) acknowledged() []*push {
	known, _ := l.now()
	return known
}

func (l *ledger) now() (known []*push, more <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.known, l.more
}

// await waits until so many are acknowledged, or nothing will be any more.
func (l *ledger) await(n int, done <-chan struct{}) {
	for known, more := l.now(); len(known) < n; known, more = l.now() {
		select {
		case <-more:
		case <-done:
			return
		}
	}
}

// late is how long after a push has failed its last request may still be carried
// out: it may be on its way to Swift.
const late = time.Second

// check says what is wrong with an image that somebody got by a reference, for
// which they began to ask at some time: it must be one that was pushed, and not one
// in whose place another was acknowledged before.
func (l *ledger) check(ref, image string, asked time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	found := fmt.Errorf("%s is %s, which nobody has pushed there", ref, image)
	for _, p := range l.pushes[ref] {
		if p.image != image {
			continue
		}
		replaced := l.replaced(p, asked)
		if replaced == nil {
			return nil
		}
		found = fmt.Errorf("%s is %s, in whose place %s was acknowledged %v before", ref, image, replaced.image, asked.Sub(replaced.end))
	}
	return found
}

// replaced is a push that came wholly after another one, and was acknowledged
// before a time.
func (l *ledger) replaced(p *push, asked time.Time) *push {
	if p.end.IsZero() {
		return nil
	}
	end := p.end
	if p.digest == "" {
		end = end.Add(late)
	}
	for _, other := range l.pushes[p.ref] {
		if other.digest != "" && other.begin.After(end) && other.end.Before(asked) {
			return other
		}
	}
	return nil
}
