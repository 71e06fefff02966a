package upstream

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

func TestParseLimit(t *testing.T) {
	for _, tt := range []struct {
		most, remaining string
		want            limit // but for when
		known           bool
	}{
		{"100;w=21600", "98;w=21600", limit{most: 100, remaining: 98, window: 6 * time.Hour}, true},
		{"100; comment=x; w=60", "0;w=60", limit{most: 100, window: time.Minute}, true},
		{"2000", "1999", limit{most: 2000, remaining: 1999}, true},
		{"100;w=soon", "98", limit{most: 100, remaining: 98}, true},
		{"1;w=4294967295", "1", limit{most: 1, remaining: 1, window: longestWindow}, true},
		{"1;w=18446744073709551616", "1", limit{most: 1, remaining: 1}, true},
		{"100;w=21600", "", limit{}, false},
		{"", "98;w=21600", limit{}, false},
		{"-1;w=21600", "98;w=21600", limit{}, false},
		{"many", "few", limit{}, false},
		{"99999999999", "1", limit{}, false},
		{"", "", limit{}, false},
	} {
		h := http.Header{}
		h.Set("ratelimit-limit", tt.most)
		h.Set("ratelimit-remaining", tt.remaining)
		got := parseLimit(h, time.Now())
		if got.known() != tt.known {
			t.Errorf("%q, %q is known: %v", tt.most, tt.remaining, got.known())
		}
		if got.seen = (time.Time{}); got != tt.want {
			t.Errorf("%q, %q: %+v, want %+v", tt.most, tt.remaining, got, tt.want)
		}
	}
}

// When a window has gone by, what it said is old, and an answer that says nothing
// changes nothing.
func TestLimitsAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l lastLimit
		l.note(http.Header{"Ratelimit-Limit": {"100;w=60"}, "Ratelimit-Remaining": {"3;w=60"}})
		l.note(http.Header{})
		time.Sleep(time.Minute)
		if got := l.now(); got.remaining != 3 || !got.known() {
			t.Errorf("within the window: %+v", got)
		}
		time.Sleep(time.Nanosecond)
		if got := l.now(); got.known() {
			t.Errorf("after the window: %+v", got)
		}
	})
}
