package conformance

import (
	"net/http"
	"strings"
	"testing"
)

// at is the upstream's URL by another name of the host.
func (u *upstream) at(host string) string {
	return strings.Replace(u.server.URL, "127.0.0.1", host, 1)
}

// Registries have their blobs elsewhere, on another host or another port of
// theirs, and lead there: to whom the credentials for the registry are none of
// their business.
func TestShadowFollowsRedirects(t *testing.T) {
	t.Parallel()
	for _, gate := range gates {
		for _, host := range []string{"localhost", "127.0.0.1"} {
			t.Run("to "+host+" of an upstream that wants "+gate.name, func(t *testing.T) {
				t.Parallel()
				up, store := newUpstream(t), newUpstream(t)
				image := up.tagged("org/app", "latest")
				store.mirrors(up)
				up.demands(gate.scheme, gate.user, gate.password)
				up.isSent(customerName, customerPassword)
				up.fails(leadsTo(store.at(host)), headBlob, getBlob, getPart)
				mirror := shadow(t, up, "UPSTREAM_AUTH_FILE", authFile(t, up.address()))
				mirror.reader(t, "org/app").servesAll("latest", image) // and the store was sent none: see upstream.record
				store.wasAsked(t, 2, getBlob)
			})
		}
	}
}

// A transfer from elsewhere that breaks is taken up again.
func TestShadowResumesRedirected(t *testing.T) {
	t.Parallel()
	up, store := newUpstream(t), newUpstream(t)
	image := up.tagged("org/app", "latest")
	store.mirrors(up)
	up.fails(leadsTo(store.at("localhost")), headBlob, getBlob, getPart)
	store.fails(cutsAfter(firstBytes).times(1), getBlob)
	mirror := shadow(t, up, "UPSTREAM_TIMEOUT", "2s")
	mirror.reader(t, "org/app").get("/blobs/" + image.layer.digest).expect(http.StatusOK).holds(image.layer.content)
	store.wasAsked(t, 1, getBlob)
	store.wasAsked(t, 1, getPart)
}

// A way that leads nowhere is an error, soon.
func TestShadowIsLedAstray(t *testing.T) {
	t.Parallel()
	down := newUpstream(t)
	down.down()
	for rule, astray := range map[string]fault{
		"in a circle":                 leadsAstray,
		"to where nobody is":          leadsTo("http://" + down.address()),
		"to what is no web address":   leadsTo("file:///etc/passwd?"),
		"nowhere, without a location": answers(http.StatusTemporaryRedirect),
	} {
		t.Run(rule, func(t *testing.T) {
			t.Parallel()
			up := newUpstream(t)
			image := up.tagged("org/app", "latest")
			up.fails(astray, headTag, getTag, headManifest, getManifest, headBlob, getBlob, getPart)
			mirror := shadow(t, up, "UPSTREAM_TIMEOUT", "2s")
			reader := mirror.reader(t, "org/app")
			for _, path := range []string{"/manifests/latest", "/manifests/" + image.digest, "/blobs/" + image.layer.digest} {
				up.forget()
				reader.get(path).refused("UNAVAILABLE", http.StatusServiceUnavailable, http.StatusBadGateway)
				if got := up.count(); got > 100 {
					t.Errorf("the upstream was asked %d times for %s", got, path)
				}
			}
			mirror.keepsNothing(t)
			up.recovers()
			await(t, "the upstream to be trusted again", func() bool {
				return reader.get("/manifests/latest").expect(http.StatusOK, http.StatusServiceUnavailable).status == http.StatusOK
			})
			reader.servesAll("latest", image)
		})
	}
}
