package peer

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

const maxRedirects = 5

// Why a redirect is not followed.
var (
	ErrRedirects = errors.New("too many redirects")
	ErrAstray    = errors.New("a redirect that is not followed")
)

// CheckRedirect is for http.Client. It keeps credentials with the origin that they
// were meant for, and what is behind our firewall from those before it. It compares
// with the first request, whose headers Go takes for each further one while the
// host's name is the same, whatever its port. A body may have a refresh token in it.
func CheckRedirect(next *http.Request, via []*http.Request) error {
	first := via[0]
	if len(via) > maxRedirects {
		return ErrRedirects
	}
	if origin(next.URL) == origin(first.URL) {
		return nil
	}
	switch {
	case first.Body != nil:
		return fmt.Errorf("%w: it would send a request with a body to another server", ErrAstray)
	case first.URL.Scheme == "https" && next.URL.Scheme != "https":
		return fmt.Errorf("%w: it leads from HTTPS to HTTP", ErrAstray)
	case isInternal(next.URL) && !isInternal(first.URL):
		return fmt.Errorf("%w: it leads to an internal address", ErrAstray)
	}
	next.Header.Del("Authorization")
	return nil
}

// sharedAddresses are those of carriers (RFC 6598), which clouds use for services
// of their own.
var sharedAddresses = netip.MustParsePrefix("100.64.0.0/10")

// isInternal says whether a URL has an address that is of no use to the world.
// Names may lead there as well: what they resolve to is the business of the site's
// own DNS.
func isInternal(u *url.URL) bool {
	host := strings.TrimSuffix(u.Hostname(), ".")
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	ip = ip.Unmap() // of ::ffff:127.0.0.1
	return err == nil && (ip.IsPrivate() || ip.IsLoopback() || ip.IsLinkLocalUnicast() || ip.IsUnspecified() || ip.IsMulticast() ||
		sharedAddresses.Contains(ip))
}

// origin is a URL's scheme, host and port, in one spelling.
func origin(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return u.Scheme + "://" + net.JoinHostPort(strings.ToLower(u.Hostname()), port)
}
