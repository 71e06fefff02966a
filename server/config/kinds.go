package config

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"opendev.org/zuul/zuul-registry/server/namespace"
)

// kind is what a variable may hold.
type kind struct {
	allowed string // for the user
	// parse accepts a text, and gives what envconfig can decode into the field.
	parse func(text string) (string, error)
	// show prints what the field holds; nil: as print does for the type.
	show func(value any) string
}

// errNotAllowed refuses a value; setting.fault makes the line for the user.
var errNotAllowed = errors.New("not allowed")

// kinds are those that the tags of Config name.
func kinds() map[string]kind {
	return map[string]kind{
		"text":        {allowed: "any text", parse: unchanged},
		"bool":        {allowed: "true or false", parse: parseBool},
		"switch":      {allowed: "on or off", parse: parseSwitch, show: showSwitch},
		"storage":     oneOf(Filesystem, Swift),
		"container":   {allowed: "a name of at most 256 bytes without a slash", parse: parseContainer},
		"size":        {allowed: "a size from 1MiB to 1GiB, in MiB or GiB", parse: parseSize, show: showSize},
		"connections": {allowed: "a number from 1 to 1000", parse: parseNumber(1, 1000)},
		"retries":     {allowed: "a number from 0 to 20", parse: parseNumber(0, 20)},
		"namespacing": oneOf(string(namespace.Auto), string(namespace.Path), string(namespace.None)),
		"level":       oneOf("debug", "info", "warn", "error"),
		"format":      oneOf(Text, JSON),
		"duration":    {allowed: "a duration above zero, such as 90s, 1h or 30d", parse: parseDuration(1)},
		"age":         {allowed: "a duration such as 90s, 1h or 30d, or 0", parse: parseDuration(0), show: showAge},
		"grace":       {allowed: "a duration of at least 1h, such as 36h or 30d", parse: parseDuration(time.Hour)},
		"interval":    {allowed: "a duration of at least 1m, such as 1h or 1d", parse: parseDuration(time.Minute)},
		"path":        {allowed: "a path", parse: parsePath},
		"username":    {allowed: "a name without colon and control characters", parse: parseUsername},
		"key":         {allowed: fmt.Sprintf("at least %d bytes", shortestKey), parse: parseKey},
		"address":     {allowed: "<host>:<port> or :<port>, with a port from 0 to 65535", parse: parseAddress},
		"images":      {allowed: "names of images, with commas between them", parse: unchanged},
		"url":         {allowed: "http:// or https:// and a host, maybe with a port; no user, path, query or fragment", parse: parseURL},
		"hosts":       {allowed: "DNS names, IP addresses and " + thisHost + ", with commas between them", parse: parseHosts},
		"upstreams":   {allowed: upstreamsAllowed, parse: unchanged}, // for Upstreams.UnmarshalText
	}
}

// EnvMutate makes kind an envconfig.Mutator: it comes before the decoding, of
// defaults as well.
func (k kind) EnvMutate(_ context.Context, _, _, _, text string) (string, bool, error) {
	parsed, err := k.parse(text)
	return parsed, false, err
}

// print is value as the variable's text.
func (k kind) print(value any) string {
	if k.show != nil {
		return k.show(value)
	}
	switch value := value.(type) {
	case []string:
		return strings.Join(value, ",")
	case slog.Level:
		return strings.ToLower(value.String())
	case time.Duration:
		return showDuration(value)
	}
	return fmt.Sprint(value)
}

func oneOf(words ...string) kind {
	allowed := words[0]
	for i, word := range words[1:] {
		if i == len(words)-2 {
			allowed += " or " + word
		} else {
			allowed += ", " + word
		}
	}
	return kind{allowed: allowed, parse: func(text string) (string, error) {
		for _, word := range words {
			if text == word {
				return text, nil
			}
		}
		return "", errNotAllowed
	}}
}

func unchanged(text string) (string, error) { return text, nil }

func parseBool(text string) (string, error) {
	_, err := strconv.ParseBool(text)
	return text, err
}

func parseSwitch(text string) (string, error) {
	switch text {
	case "on":
		return "true", nil
	case "off":
		return "false", nil
	}
	return "", errNotAllowed
}

func showSwitch(value any) string {
	if value == true {
		return "on"
	}
	return "off"
}

const day = 24 * time.Hour

// parseDuration accepts what is not shorter, and gives what Go does not know as days
// in hours.
func parseDuration(least time.Duration) func(string) (string, error) {
	return func(text string) (string, error) {
		span, err := parseSpan(text)
		if err == nil && span < least {
			err = errNotAllowed
		}
		return span.String(), err
	}
}

// parseSpan reads a duration of Go, with days before it or instead: 90m, 30d, 1d12h.
func parseSpan(text string) (time.Duration, error) {
	number, rest, ok := strings.Cut(text, "d")
	if !ok {
		return time.ParseDuration(text)
	}
	const bits = 16 // of 179 years: a span may have 292
	days, err := strconv.ParseUint(number, 10, bits)
	if err != nil || rest == "" {
		return time.Duration(days) * day, err
	}
	more, err := time.ParseDuration(rest)
	if rest[0] == '-' || rest[0] == '+' {
		err = errNotAllowed
	}
	return time.Duration(days)*day + more, err // below zero when it is too long
}

// mostHours is up to where spans are shown in hours, as the defaults are written.
const mostHours = 7 * day

// showDuration is as a person would write it: 1h, not 1h0m0s, and 30d, not 720h. One
// that is not set is nothing.
func showDuration(span time.Duration) string {
	switch {
	case span == 0:
		return ""
	case span > mostHours:
		return fmt.Sprintf("%dd", span/day) + showDuration(span%day)
	}
	text := span.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// showAge shows one that may be zero.
func showAge(value any) string {
	return cmp.Or(showDuration(value.(time.Duration)), "0s")
}

// parseContainer accepts what Swift does.
func parseContainer(text string) (string, error) {
	if len(text) > 256 || text == "." || text == ".." || strings.Contains(text, "/") || strings.ContainsFunc(text, unicode.IsControl) || !utf8.ValidString(text) {
		return "", errNotAllowed
	}
	return text, nil
}

const mib = 1 << 20

// parseSize gives bytes.
func parseSize(text string) (string, error) {
	number, unit := text, 0
	if n, ok := strings.CutSuffix(text, "MiB"); ok {
		number, unit = n, mib
	} else if n, ok := strings.CutSuffix(text, "GiB"); ok {
		number, unit = n, mib<<10
	}
	n, err := strconv.ParseUint(number, 10, 16)
	bytes := int(n) * unit
	if err != nil || bytes < mib || bytes > mib<<10 {
		return "", errNotAllowed
	}
	return strconv.Itoa(bytes), nil
}

func showSize(value any) string { return fmt.Sprintf("%dMiB", value.(int64)/mib) }

func parseNumber(least, most int) func(string) (string, error) {
	return func(text string) (string, error) {
		n, err := strconv.Atoi(text)
		if err == nil && (n < least || n > most) {
			err = errNotAllowed
		}
		return text, err
	}
}

// parsePath refuses what is the content of a file rather than its path: so
// TLS_KEY_FILE with the path of the key would be read, for instance.
func parsePath(text string) (string, error) {
	const (
		ofHtpasswd = ":$" // between a user and the hash
		ofJSON     = "{"  // at the beginning, as of Docker's config.json in one line
	)
	if strings.ContainsFunc(text, unicode.IsControl) || strings.Contains(text, ofHtpasswd) || strings.HasPrefix(text, ofJSON) {
		return "", veiled("the content of a file")
	}
	return text, nil
}

// parseUsername refuses what would not come back out of HTTP Basic credentials
// (RFC 7617, section 2).
func parseUsername(text string) (string, error) {
	if strings.Contains(text, ":") {
		return "", veiled("text with a colon") // maybe the password after it
	}
	if strings.ContainsFunc(text, unicode.IsControl) || !utf8.ValidString(text) {
		return "", errNotAllowed
	}
	return text, nil
}

// shortestKey is in bytes: what HMAC-SHA256 needs (RFC 7518, section 3.2).
const shortestKey = 32

func parseKey(text string) (string, error) {
	if len(text) < shortestKey {
		return "", errNotAllowed
	}
	return text, nil
}
