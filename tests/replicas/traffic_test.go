package replicas

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"opendev.org/zuul/zuul-registry/tests/testbed"
)

const (
	pushesEach = 6  // by each tool
	pullsEach  = 12 // by each tool
	triesEach  = 10 // for each of these
)

// ref is where a tool pushes, in turn: to a tag that nobody else has, to one that
// it moves, and to one that all move.
func (w *worker) ref(n int) string {
	repository := testbed.RegistryHost + "/storm/"
	switch n % 3 {
	case 0:
		return fmt.Sprintf("%s%s:%d", repository, w.name, n)
	case 1:
		return repository + w.name + ":moving"
	default:
		return repository + "all:moving"
	}
}

// image is the n-th of a tool. It has a layer of several parts that all tools have in
// their n-th, so that they push it at the same time, and one of its own, which is large
// now and then.
func (p *place) image(w *worker, number, n int) (*image, error) {
	size := 1 + p.chance.below(64<<10)
	if n%3 == number%3 {
		size = partSize + p.chance.below(2*partSize)
	}
	round := p.seed + uint64(n)<<40
	return makeImage(filepath.Join(w.bench.Folder, fmt.Sprintf("%s-%d", w.name, n)),
		newLayer(round, partSize+partSize/4), newLayer(round+uint64(number+1)<<32, size))
}

// pushAll has a tool push until all of its pushes are acknowledged.
func (p *place) pushAll(ctx context.Context, t *testing.T, w *worker, number int, l *ledger) {
	for n := range pushesEach {
		image, err := p.image(w, number, n)
		if err == nil {
			err = w.load(ctx, image, w.ref(n))
		}
		if err != nil {
			t.Errorf("%s: %v", w.name, err)
			return
		}
		if err := p.push(ctx, t, w, image, w.ref(n), l); err != nil {
			t.Errorf("%s cannot push in %d attempts: %v", w.name, triesEach, err)
			return
		}
		if err := os.RemoveAll(filepath.Dir(image.layout)); err != nil {
			t.Error(err)
		}
	}
}

// push pushes until it is acknowledged.
func (p *place) push(ctx context.Context, t *testing.T, w *worker, i *image, ref string, l *ledger) (err error) {
	for range triesEach {
		attempt, digest := l.begin(ref, i.id), ""
		digest, err = w.send(ctx, i, ref)
		if err == nil {
			l.end(attempt, digest)
			p.tally.add(acknowledged, 1)
			p.tally.add(bytesPushed, i.size)
			return nil
		}
		l.end(attempt, "")
		p.failed(t, w, notPushed, err)
	}
	return err
}

// failed counts what may fail. To hang is a fault, and so is wrong content.
func (p *place) failed(t *testing.T, w *worker, what string, err error) {
	p.tally.add(what, 1)
	if errors.Is(err, errHangs) || errors.Is(err, errWrong) {
		t.Errorf("%s: %v", w.name, err)
		return
	}
	t.Logf("%s: %s", w.name, last(err))
}

// last is the last line of what a tool said.
func last(err error) string {
	lines := strings.Split(strings.TrimSpace(err.Error()), "\n")
	return lines[len(lines)-1]
}

// pullAll has a tool pull, as pushes of all tools are acknowledged, one of these.
func (p *place) pullAll(ctx context.Context, t *testing.T, w *worker, l *ledger, total int, pushed <-chan struct{}) {
	for n := range pullsEach {
		l.await(1+n*total/pullsEach, pushed)
		known := l.acknowledged()
		if len(known) == 0 {
			return // which the pushers tell
		}
		if err := p.pull(ctx, t, w, known[p.chance.below(len(known))].ref, l); err != nil {
			t.Errorf("%s cannot pull in %d attempts: %v", w.name, triesEach, err)
		}
	}
}

// pull pulls until it has what was pushed.
func (p *place) pull(ctx context.Context, t *testing.T, w *worker, ref string, l *ledger) (err error) {
	for range triesEach {
		asked, id := time.Now(), ""
		id, err = w.receive(ctx, ref, filepath.Join(w.bench.Folder, w.name))
		if err == nil {
			err = wrongContent(l.check(ref, id, asked))
		}
		if err == nil {
			p.tally.add(gotten, 1)
			return nil
		}
		p.failed(t, w, notGotten, err)
	}
	return err
}
