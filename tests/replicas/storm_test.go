package replicas

import (
	"context"
	"sync"
	"testing"
	"time"
)

const (
	killPace    = 3 * time.Second
	spoiltShare = 5 // percent
	restarts    = 3 // of Swift's proxy
)

// storm lets all tools push and pull while everything fails that may, and returns
// what was acknowledged.
func (p *place) storm(t *testing.T, pushers, pullers []*worker) *ledger {
	l, total := newLedger(), len(pushers)*pushesEach
	pushed := make(chan struct{})
	var pushing, pulling, others sync.WaitGroup
	ctx, end := context.WithCancel(t.Context())
	defer others.Wait()
	defer end()
	for n, w := range pushers {
		pushing.Go(func() { p.pushAll(ctx, t, w, n, l) })
	}
	for _, w := range pullers {
		pulling.Go(func() { p.pullAll(ctx, t, w, l, total, pushed) })
	}
	others.Go(func() { pushing.Wait(); close(pushed); pulling.Wait() })
	others.Go(func() { p.killOn(ctx, t) })
	p.spoil(spoiltShare)
	defer p.spoil(0)
	for n := range restarts {
		l.await(total*(n+1)/(restarts+1), pushed)
		p.swift.StopProxy(t)
		p.swift.StartProxy(p.test)
		p.tally.add(restarted, 1)
	}
	<-pushed
	pulling.Wait()
	return l
}

// killOn kills one replica after the other. Each is started again soon, or at once.
func (p *place) killOn(ctx context.Context, t *testing.T) {
	pace := time.NewTicker(killPace)
	defer pace.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-pace.C:
		}
		r := p.replicas[p.chance.below(len(p.replicas))]
		if err := r.kill(); err != nil {
			t.Error(err)
		}
		p.tally.add(killed, 1)
		select {
		case <-ctx.Done():
		case <-time.After(time.Duration(p.chance.below(3)) * killPace / 4):
		}
		if err := r.start(); err != nil {
			t.Error(err)
			return
		}
	}
}
