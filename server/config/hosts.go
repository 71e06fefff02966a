package config

import (
	"net"
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// parseAddress accepts what net.Listen takes, with the port as a number.
func parseAddress(text string) (string, error) {
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		return "", err
	}
	// An address may have a zone here: fe80::1%eth0.
	if _, err := netip.ParseAddr(host); err != nil && host != "" && !isHost(host) {
		return "", errNotAllowed
	}
	_, err = strconv.ParseUint(port, 10, 16)
	return text, err
}

// parseURL accepts the root of a server, for clients know no registries below
// a path, and leaves out the slash at its end.
func parseURL(text string) (string, error) {
	if strings.Contains(text, "@") {
		return "", veiled("a URL with a user") // maybe the password after it
	}
	u, err := url.Parse(text)
	if err != nil {
		return "", err
	}
	rest := strings.TrimSuffix(text[len(u.Scheme):], "/")
	if u.Scheme != "http" && u.Scheme != "https" || rest != "://"+u.Host || !isHostPort(u.Host) {
		return "", errNotAllowed
	}
	return u.Scheme + rest, nil
}

// thisHost stands for the machine's name in a list of hosts.
const thisHost = "<hostname>"

// parseHosts accepts names and addresses with commas between them, and gives
// each once.
func parseHosts(text string) (string, error) {
	var hosts []string
	for host := range strings.SplitSeq(text, ",") {
		host = strings.TrimSpace(host)
		if host == thisHost {
			// No certificate can name a machine without a name, or one that is
			// not of DNS; it is no reason not to start.
			name, err := os.Hostname()
			if err != nil || !isHost(name) {
				continue
			}
			host = name
		}
		if !isHost(host) {
			return "", errNotAllowed
		}
		if !slices.Contains(hosts, host) {
			hosts = append(hosts, host)
		}
	}
	return strings.Join(hosts, ","), nil
}

// isHostPort accepts the host of a URL, where IPv6 addresses have brackets.
func isHostPort(text string) bool {
	if inner, ok := strings.CutPrefix(text, "["); ok && strings.HasSuffix(inner, "]") {
		return isIPv6(strings.TrimSuffix(inner, "]"))
	}
	if isHost(text) {
		return !isIPv6(text)
	}
	host, port, err := net.SplitHostPort(text)
	if err != nil || !isHost(host) || strings.HasPrefix(text, "[") != isIPv6(host) {
		return false
	}
	number, err := strconv.ParseUint(port, 10, 16)
	return err == nil && number > 0
}

// An underscore is not of DNS, but names of containers have it, and Go's
// crypto/x509 takes it.
var label = regexp.MustCompile(`^[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?$`)

// isHost accepts IP addresses without a zone and DNS names (RFC 1123, section
// 2.1).
func isHost(text string) bool {
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

func isIPv6(text string) bool { return isHost(text) && strings.Contains(text, ":") }
