package upstream

import (
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// limit is what a host has said of how much it may be asked. The zero one is not
// known.
type limit struct {
	most, remaining int           // requests
	window          time.Duration // that they are counted in; zero: not known
	seen            time.Time
}

func (l limit) known() bool { return !l.seen.IsZero() }

// parseLimit reads what Docker Hub sends with manifests: "ratelimit-limit: 100;w=21600"
// and "ratelimit-remaining: 98;w=21600", the window being in seconds. Other registries
// leave that out. Without both headers the limit is not known.
func parseLimit(h http.Header, now time.Time) limit {
	most, window, ok := parseQuota(h.Get("RateLimit-Limit"))
	remaining, _, also := parseQuota(h.Get("RateLimit-Remaining"))
	if !ok || !also {
		return limit{}
	}
	return limit{most, remaining, window, now}
}

// longestWindow is the most that a window is believed.
const longestWindow = 365 * 24 * time.Hour

// parseQuota reads "100;w=21600".
func parseQuota(text string) (quota int, window time.Duration, ok bool) {
	number, parameters, _ := strings.Cut(text, ";")
	n, err := strconv.ParseInt(strings.TrimSpace(number), 10, 32)
	if err != nil || n < 0 {
		return 0, 0, false
	}
	for parameter := range strings.SplitSeq(parameters, ";") {
		value, isWindow := strings.CutPrefix(strings.TrimSpace(parameter), "w=")
		seconds, err := strconv.ParseUint(value, 10, 32)
		if isWindow && err == nil {
			window = min(time.Duration(seconds)*time.Second, longestWindow)
		}
	}
	return int(n), window, true
}

// lastLimit is the last one that a host has said.
type lastLimit struct {
	mu   sync.Mutex
	last limit
}

// note takes the limit out of an answer, if that has one.
func (l *lastLimit) note(h http.Header) {
	said := parseLimit(h, time.Now())
	if !said.known() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last = said
}

// now is what still holds of it: when a window has gone by, everything may be asked
// again.
func (l *lastLimit) now() limit {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.last.window > 0 && time.Since(l.last.seen) > l.last.window {
		return limit{}
	}
	return l.last
}
