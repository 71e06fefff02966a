package peer

import (
	"net/http"
	"strconv"
	"time"
)

// longestWait is the most that a Retry-After is believed.
const longestWait = time.Hour

// RetryAfter is the time that a Retry-After header names (RFC 9110, section
// 10.2.3), in seconds from now or as a date, but not later than in an hour; zero for
// none, or one that has passed.
func RetryAfter(value string, now time.Time) time.Time {
	until, err := http.ParseTime(value)
	if err != nil {
		seconds, err := strconv.ParseUint(value, 10, 64)
		if err != nil {
			return time.Time{}
		}
		until = now.Add(time.Duration(min(seconds, uint64(longestWait/time.Second))) * time.Second)
	}
	if !until.After(now) {
		return time.Time{}
	}
	if latest := now.Add(longestWait); until.After(latest) {
		return latest
	}
	return until
}
