package local_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"opendev.org/zuul/zuul-registry/server/local"
	"opendev.org/zuul/zuul-registry/server/storage"
)

// lease asserts how long a process is told to wait until it prunes.
func (w *world) lease(every, want time.Duration) {
	w.Helper()
	if wait, err := w.LeasePrune(w.Context(), every); err != nil || wait != want {
		w.Errorf("LeasePrune: %v, %v; want %v", wait, err, want)
	}
}

func TestLeasePrune(t *testing.T) {
	rules(t, map[string]func(w *world){
		"one is told to prune, and the others wait for the rest": func(w *world) {
			w.lease(day, 0)
			for range 3 {
				w.through(w.store).lease(day, day)
			}
			time.Sleep(6 * time.Hour)
			w.lease(day, 18*time.Hour)
			time.Sleep(18 * time.Hour)
			w.lease(day, 0)
			w.through(w.store).lease(day, day)
		},
		"a restart is no reason to prune again": func(w *world) {
			w.lease(day, 0)
			time.Sleep(time.Minute)
			w.through(w.store).lease(day, day-time.Minute)
		},
		"whoever prunes for long has others wait longer": func(w *world) {
			other := w.through(w.store)
			w.lease(day, 0)
			for range 10 {
				time.Sleep(6 * time.Hour)
				w.ok(w.KeepPruneLease(w.Context()))
				other.lease(day, day)
			}
			time.Sleep(day - 1)
			other.lease(day, 1)
			time.Sleep(time.Nanosecond)
			other.lease(day, 0)
		},
		"each may want another interval": func(w *world) {
			w.lease(day, 0)
			time.Sleep(time.Hour)
			w.lease(2*day, 47*time.Hour)
			w.lease(time.Hour, 0)
			w.lease(2*day, 2*day)
		},
		"a prune does not end a lease, nor does a lease hinder one": func(w *world) {
			w.push(w.named("org/app"), image("a"), "latest")
			w.lease(day, 0)
			w.prune(ages)
			w.lease(day, day)
			time.Sleep(100 * day)
			w.prune(ages)
			w.has(true, "_prune")
			w.lease(day, 0)
		},
		"a lease is no repository": func(w *world) {
			w.lease(day, 0)
			r := local.New(w.store, local.Options{PerNamespace: true})
			if all := texts(w.T, r.Repositories(w.Context(), "")); all != nil {
				w.Errorf("repositories: %q", all)
			}
			w.ok(r.Ready(w.Context()))
		},
		"a store that fails is no reason to prune": func(w *world) {
			for _, op := range []string{"stat", "open"} {
				broken := w.through(between{w.store, func(o, name string) error {
					if o == op && name == "_prune" {
						return errors.New("the disk")
					}
					return nil
				}})
				if wait, err := broken.LeasePrune(w.Context(), day); err == nil {
					w.Errorf("LeasePrune without %s: %v, and no error", op, wait)
				}
			}
		},
		"of those who come at once the last to store is told to": func(w *world) {
			// The other one stores his after this one has looked, and before it looks again.
			other := w.through(once(w.store, "open", "_prune", func() { w.put("_prune", "another one's") }))
			other.lease(day, day)
			other.lease(day, day)
		},
		"somebody is told to, however many come at once": func(w *world) {
			var all sync.WaitGroup
			waits := make(chan time.Duration, 20)
			for range cap(waits) {
				all.Go(func() {
					wait, err := w.through(w.store).LeasePrune(w.Context(), day)
					if err != nil {
						w.Error(err)
					}
					waits <- wait
				})
			}
			all.Wait()
			told := 0
			for range cap(waits) {
				if <-waits == 0 {
					told++
				}
			}
			if told == 0 {
				w.Error("nobody is told to prune")
			}
		},
		"a clock that was wrong holds nobody up for ever": func(w *world) {
			for ahead, want := range map[time.Duration]time.Duration{
				time.Minute: day + time.Minute, day - 1: 2*day - 1, day: 0, 1000 * day: 0,
			} {
				w.put("_prune", "from the future")
				w.through(later{w.store, ahead}).lease(day, want)
			}
		},
		"a lease that was lost is not kept": func(w *world) {
			w.lease(day, 0)
			w.ok(w.store.Delete(w.Context(), "_prune"))
			if err := w.KeepPruneLease(w.Context()); err == nil {
				w.Error("KeepPruneLease: no error")
			}
			w.lease(day, 0)
		},
	})
}

// later is a store in which everything was stored some time ahead of now.
type later struct {
	storage.Driver
	by time.Duration
}

func (l later) Stat(ctx context.Context, name string) (storage.Info, error) {
	info, err := l.Driver.Stat(ctx, name)
	info.Modified = info.Modified.Add(l.by)
	return info, err
}
