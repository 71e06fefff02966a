package upstream

import (
	"cmp"
	"slices"
	"sync"
	"time"
)

// State is what is known of an upstream, by this process and since it began.
type State struct {
	Namespace string // "docker.io"
	URL       string // "https://registry-1.docker.io"

	Asked    time.Time // when it was last found out whether it answers; zero: never
	Answered time.Time // when it last did, be it that it has not what was asked for; zero: never
	// Problem is why it did not the last time, in words for users that follow the
	// upstream's name: "does not answer within 30s". Empty if it did.
	Problem string
	// ClosedUntil is before when it wants not to be asked; zero: it may be.
	ClosedUntil time.Time

	// Limited: the upstream has said how many requests it allows: Limit in each Window, with
	// Remaining left at LimitSeen. A Window of zero is not known. What was said longer ago
	// than a Window is forgotten.
	Limited          bool
	Limit, Remaining int
	Window           time.Duration
	LimitSeen        time.Time

	// How many operations ended so. An empty list counts as Found. What a client gave up, or
	// no registry can have, is not counted; a blob that breaks off is counted twice, as Found
	// and as Unavailable.
	Found, Absent, Refused, Unavailable int64
}

// State is the present one.
func (r *Registry) State() State {
	s := r.outcomes.state()
	host := r.address.Host()
	s.Namespace, s.URL = r.namespace, r.url
	s.ClosedUntil = r.gate.until(host)
	l := r.gate.limits[host].now()
	s.Limited, s.Limit, s.Remaining, s.Window, s.LimitSeen = l.known(), l.most, l.remaining, l.window, l.seen
	return s
}

// States are those of all, by namespace.
func (all Registries) States() []State {
	states := make([]State, 0, len(all))
	for _, r := range all {
		states = append(states, r.State())
	}
	slices.SortFunc(states, func(a, b State) int { return cmp.Compare(a.Namespace, b.Namespace) })
	return states
}

// outcome is how an operation has ended.
type outcome int

const (
	found outcome = iota
	absent
	refused
	unavailable
)

// outcomes are those of an upstream.
type outcomes struct {
	mu    sync.Mutex
	known State // that part of it
}

// add notes one. Words say what is wrong, where the upstream is unavailable.
func (o *outcomes) add(how outcome, words string) {
	now := time.Now()
	o.mu.Lock()
	defer o.mu.Unlock()
	s := &o.known
	s.Asked, s.Problem = now, words
	if how != unavailable {
		s.Answered = now
	}
	switch how {
	case found:
		s.Found++
	case absent:
		s.Absent++
	case refused:
		s.Refused++
	case unavailable:
		s.Unavailable++
	}
}

func (o *outcomes) state() State {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.known
}
