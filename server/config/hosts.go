package config

import (
	"net"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"

	"opendev.org/zuul/zuul-registry/server/peer"
)

// parseAddress accepts what net.Listen takes, with the port as a number.
func parseAddress(text string) (string, error) {
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		return "", err
	}
	// An address may have a zone here: fe80::1%eth0.
	if _, err := netip.ParseAddr(host); err != nil && host != "" && !peer.IsHost(host) {
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
	if u.Scheme != "http" && u.Scheme != "https" || rest != "://"+u.Host || !peer.IsHostPort(u.Host) {
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
			if err != nil || !peer.IsHost(name) {
				continue
			}
			host = name
		}
		if !peer.IsHost(host) {
			return "", errNotAllowed
		}
		if !slices.Contains(hosts, host) {
			hosts = append(hosts, host)
		}
	}
	return strings.Join(hosts, ","), nil
}
