package peer

import (
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
)

// IsHostPort accepts the host of a URL, where IPv6 addresses have brackets, maybe
// with a port.
func IsHostPort(text string) bool {
	if inner, ok := strings.CutPrefix(text, "["); ok && strings.HasSuffix(inner, "]") {
		return isIPv6(strings.TrimSuffix(inner, "]"))
	}
	if IsHost(text) {
		return !isIPv6(text)
	}
	host, port, err := net.SplitHostPort(text)
	if err != nil || !IsHost(host) || strings.HasPrefix(text, "[") != isIPv6(host) {
		return false
	}
	number, err := strconv.ParseUint(port, 10, 16)
	return err == nil && number > 0
}

// An underscore is not of DNS, but names of containers have it, and Go's
// crypto/x509 takes it.
var label = regexp.MustCompile(`^[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?$`)

// IsHost accepts IP addresses without a zone and DNS names (RFC 1123, section
// 2.1).
func IsHost(text string) bool {
	if _, err := netip.ParseAddr(text); err == nil {
		return !strings.Contains(text, "%")
	}
	labels := strings.Split(text, ".")
	for _, l := range labels {
		if !label.MatchString(l) {
			return false
		}
	}
	// 10.0.0.256 is no name but a slip.
	_, err := strconv.ParseUint(labels[len(labels)-1], 10, 64)
	return len(text) <= 253 && (len(labels) == 1 || err != nil)
}

func isIPv6(text string) bool { return IsHost(text) && strings.Contains(text, ":") }
