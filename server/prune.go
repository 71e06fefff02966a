package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"opendev.org/zuul/zuul-registry/server/config"
	"opendev.org/zuul/zuul-registry/server/local"
	"opendev.org/zuul/zuul-registry/server/metrics"
)

// prune is the command.
func (p *program) prune(ctx context.Context) error {
	c, log, err := p.load()
	if err != nil {
		return err
	}
	store, err := attachStore(ctx, c, log)
	if err != nil {
		return fmt.Errorf("no store to prune, with the settings and as the user that serve has: %w", err)
	}
	var gone removed
	progress := p.progress("pruning")
	w := pruning(c, log)
	w.Progress = func(looked int) { progress.show(looked, unknown) }
	w.Removed = func(r local.Removal) {
		gone.add(r)
		if w.DryRun {
			progress.clear()
			_, _ = fmt.Fprintln(p.stdout, describe(r))
		}
	}
	err = openLocal(c, store).Prune(ctx, w)
	progress.end()
	did := "removed"
	if w.DryRun {
		did = "would remove"
	}
	_, unsaid := fmt.Fprintf(p.stdout, "%s: objects looked at: %d, %s %s\n", store.place, progress.done, did, gone)
	return errors.Join(err, unsaid)
}

// pruning is how the settings say to prune.
func pruning(c config.Config, log *slog.Logger) local.Pruning {
	return local.Pruning{
		Ages:   local.Ages{Manifest: c.PruneManifestAge, Upload: c.PruneUploadAge, Cache: c.PruneCacheAge},
		DryRun: c.PruneDryRun, Log: log,
	}
}

// describe is a removal as a line.
func describe(r local.Removal) string {
	age := r.Age.Round(time.Second).String()
	if day := 24 * time.Hour; r.Age >= 2*day {
		age = fmt.Sprintf("%dd", r.Age/day)
	}
	return fmt.Sprintf("%s: %s, %s old, %d bytes", r.Object, r.Kind, age, r.Size)
}

// removed counts what has gone.
type removed struct {
	kinds   map[local.Kind]int
	objects int
	bytes   int64
}

func (g *removed) add(r local.Removal) {
	if g.kinds == nil {
		g.kinds = map[local.Kind]int{}
	}
	g.kinds[r.Kind]++
	g.objects++
	g.bytes += r.Size
}

func (g removed) String() string {
	if g.objects == 0 {
		return "nothing"
	}
	var all []string
	for _, k := range local.Kinds {
		if n := g.kinds[k]; n > 0 {
			all = append(all, fmt.Sprintf("%s %d", k, n))
		}
	}
	return fmt.Sprintf("%d objects, %d bytes (%s)", g.objects, g.bytes, strings.Join(all, ", "))
}

// timer prunes the store of a server at each PRUNE_INTERVAL.
type timer struct {
	config  config.Config
	log     *slog.Logger
	kept    *local.Registry
	metrics *metrics.Metrics
}

// start begins, unless there is no interval. The caller calls stop, which waits.
func (t timer) start() (stop func()) {
	if t.config.PruneInterval == 0 {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { t.run(ctx) })
	return func() { cancel(); running.Wait() }
}

// run prunes whenever no replica has for an interval, until ctx is done.
func (t timer) run(ctx context.Context) {
	for ctx.Err() == nil {
		var wait time.Duration
		var err error
		if !t.config.PruneDryRun { // which does nothing that others could wait for
			wait, err = t.kept.LeasePrune(ctx, t.config.PruneInterval)
		}
		switch {
		case err != nil:
			t.log.ErrorContext(ctx, "it is not known whether to prune", "error", err)
			wait = t.config.PruneInterval
		case wait == 0:
			t.prune(ctx)
			wait = t.config.PruneInterval
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

// prune prunes, and has other replicas wait meanwhile.
func (t timer) prune(ctx context.Context) {
	begin, said := time.Now(), time.Now()
	var gone removed
	looked := 0
	p := pruning(t.config, t.log)
	p.Removed = func(r local.Removal) {
		gone.add(r)
		t.log.DebugContext(ctx, "goes", "object", r.Object, "kind", r.Kind, "bytes", r.Size, "age", r.Age)
		if !p.DryRun {
			t.metrics.Removed(r)
		}
	}
	p.Progress = func(n int) {
		looked = n
		if !p.DryRun && time.Since(said) > t.config.PruneInterval/4 {
			said = time.Now()
			if err := t.kept.KeepPruneLease(ctx); err != nil {
				t.log.WarnContext(ctx, "replicas do not know that this one prunes", "error", err)
			}
		}
	}
	log, did := t.log, "removed"
	if p.DryRun {
		did = "would_remove"
	}
	log.InfoContext(ctx, "pruning begins", "dry_run", p.DryRun)
	err := t.kept.Prune(ctx, p)
	took := time.Since(begin)
	if ctx.Err() != nil {
		log.InfoContext(ctx, "pruning was cut off: the server ends", did, gone.String(), "duration", took)
		return
	}
	t.metrics.Pruned(took, err)
	log = log.With("looked", looked, did, gone.String(), "duration", took)
	if err != nil {
		log.ErrorContext(ctx, "pruned, but not everything", "error", err)
		return
	}
	log.InfoContext(ctx, "pruned")
}
