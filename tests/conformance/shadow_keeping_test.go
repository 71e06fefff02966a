package conformance

import (
	"fmt"
	"net/http"
	"testing"
	"time"
)

// firstBytes is how much of a layer an upstream sends before it is held up.
const firstBytes = layerSize / 2

// Clients that want a blob at the same time cost the upstream one transfer, and
// none waits for its end to see the beginning.
func TestShadowBlobIsWantedByMany(t *testing.T) {
	t.Parallel()
	up, release := newUpstream(t), make(chan struct{})
	image := up.tagged("org/app", "latest")
	up.fails(holdsAfter(firstBytes, release), getBlob, getPart)
	mirror := shadow(t, up)
	const clients = 16
	downloads := make([]*download, clients)
	begin := image.layer.content[:firstBytes/2]
	together(t, clients, func(n int) (err error) {
		if downloads[n], err = mirror.reader(t, "org/app").get("/blobs/" + image.layer.digest).begin(); err == nil {
			err = downloads[n].takes(begin)
		}
		return err
	})
	close(release) // after everybody has something
	together(t, clients, func(n int) error { return downloads[n].takesRest(image.layer.content[len(begin):]) })
	mirror.reader(t, "org/app").servesBlob(image.layer)
	up.wasAsked(t, 1, getBlob)
	up.wasAsked(t, 0, getPart)
}

// A client that comes late joins in, and has what was there before it.
func TestShadowBlobIsJoined(t *testing.T) {
	t.Parallel()
	up, release := newUpstream(t), make(chan struct{})
	image := up.tagged("org/app", "latest")
	up.fails(holdsAfter(firstBytes, release), getBlob, getPart)
	mirror := shadow(t, up)
	q := func() *request { return mirror.reader(t, "org/app").get("/blobs/" + image.layer.digest) }
	var downloads []*download
	for range 3 {
		d, err := q().begin()
		if err == nil {
			err = d.takes(image.layer.content[:firstBytes/2])
		}
		if err != nil {
			t.Fatal(err)
		}
		downloads = append(downloads, d)
	}
	close(release)
	for _, d := range downloads {
		if err := d.takesRest(image.layer.content[firstBytes/2:]); err != nil {
			t.Error(err)
		}
	}
	q().expect(http.StatusOK).holds(image.layer.content).has("Docker-Content-Digest", image.layer.digest)
	up.wasAsked(t, 1, getBlob)
}

// A transfer goes on without those who leave, even the one who began it, and
// even when nobody is left.
func TestShadowBlobIsLeft(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		rule          string
		stay          bool // somebody else does
		comeAfterward bool
	}{
		{"by the first", true, false},
		{"by all, and somebody comes", false, false},
		{"by all, and nobody comes before it has ended", false, true},
	} {
		t.Run(tt.rule, func(t *testing.T) {
			t.Parallel()
			up, release := newUpstream(t), make(chan struct{})
			image := up.tagged("org/app", "latest")
			up.fails(holdsAfter(firstBytes, release), getBlob, getPart)
			mirror := shadow(t, up)
			q := func() *request { return mirror.reader(t, "org/app").get("/blobs/" + image.layer.digest) }
			begins := func() *download {
				t.Helper()
				d, err := q().begin()
				if err == nil {
					err = d.takes(image.layer.content[:firstBytes/2])
				}
				if err != nil {
					t.Fatal(err)
				}
				return d
			}
			first := begins()
			var second *download
			if tt.stay {
				second = begins()
			}
			first.leave()
			for range 20 { // time for the registry to notice
				mirror.request(t, http.MethodGet, "/healthz").expect(http.StatusOK)
			}
			if second == nil && !tt.comeAfterward {
				second = begins()
			}
			close(release)
			if tt.comeAfterward {
				await(t, "the blob to be kept", func() bool { return len(mirror.stored(t)) == 1 })
			} else if err := second.takesRest(image.layer.content[firstBytes/2:]); err != nil {
				t.Error(err)
			}
			q().expect(http.StatusOK).holds(image.layer.content)
			up.wasAsked(t, 1, getBlob)
			up.wasAsked(t, 0, getPart)
		})
	}
}

// A server that ends in the middle of a transfer, in whatever way, has kept no
// half of it.
func TestShadowEndsInATransfer(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		rule string
		end  func(s *server, t *testing.T)
	}{
		{"asked to", (*server).stop},
		{"killed", func(s *server, _ *testing.T) { s.kill() }},
	} {
		t.Run(tt.rule, func(t *testing.T) {
			t.Parallel()
			up := newUpstream(t)
			image := up.tagged("org/app", "latest")
			up.fails(holdsAfter(firstBytes, nil), getBlob, getPart)
			mirror := shadow(t, up)
			d, err := mirror.reader(t, "org/app").get("/blobs/" + image.layer.digest).begin()
			if err == nil {
				err = d.takes(image.layer.content[:firstBytes/2])
			}
			if err != nil {
				t.Fatal(err)
			}
			tt.end(mirror, t)
			if err := d.takesRest(image.layer.content[firstBytes/2:]); err == nil {
				t.Error("the client has what the upstream never sent")
			}
			again := mirror.installation.startFor(t)
			again.keepsNothing(t)
			up.recovers()
			again.reader(t, "org/app").servesAll("latest", image)
		})
	}
}

// What was fetched once is served without the upstream, and asked for no more.
func TestShadowIsKept(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	one, two := up.image("org/app", "one"), up.image("org/app", "two")
	whole := indexOf(one.manifest, two.manifest).manifest()
	up.tag("org/app", "latest", whole)
	mirror := shadow(t, up)
	reader := mirror.reader(t, "org/app")
	everything := func() {
		t.Helper()
		reader.serves("latest", whole)
		reader.serves(whole.digest, whole)
		reader.servesAll(one.digest, one)
		reader.servesAll(two.digest, two)
	}
	everything()
	up.wasAsked(t, 3, manifestGets...)
	up.wasAsked(t, 4, getBlob)
	up.forget()
	everything()
	up.wasLeftAlone(t)

	up.down()
	everything()
	mirror.stop(t)
	again := mirror.installation.startFor(t)
	reader = again.reader(t, "org/app")
	everything()
}

// A tag that was kept outlives its server, too: a new one warns that it cannot
// check it.
func TestShadowIsKeptByTag(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	image := up.tagged("org/app", "latest")
	first := shadow(t, up, "UPSTREAM_TAG_TTL", "0")
	first.reader(t, "org/app").servesAll("latest", image)
	first.stop(t)
	up.down()
	second := first.installation.startFor(t)
	second.reader(t, "org/app").servesAll("latest", image)
	second.reader(t, "org/app").get("/manifests/latest").expect(http.StatusOK).warns()
}

// HEAD says what GET would, and costs no transfer.
func TestShadowHead(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	image := up.tagged("org/app", "latest")
	mirror := shadow(t, up)
	reader := mirror.reader(t, "org/app")
	for range 2 {
		reader.head("/blobs/"+image.layer.digest).expect(http.StatusOK).
			has("Docker-Content-Digest", image.layer.digest).has("Content-Length", fmt.Sprint(layerSize))
	}
	reader.head("/blobs/" + imageOf(image.layer).manifest().digest).expect(http.StatusNotFound)
	up.wasAsked(t, 0, getBlob, getPart)
	for _, reference := range []string{image.digest, "latest"} {
		reader.head("/manifests/"+reference).expect(http.StatusOK).has("Content-Type", ociImage).
			has("Docker-Content-Digest", image.digest).has("Content-Length", fmt.Sprint(len(image.content)))
	}
	reader.servesAll("latest", image)
}

// A part of a blob that is not here yet is as right as the whole.
func TestShadowBlobInParts(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	mirror := shadow(t, up)
	for _, tt := range []struct {
		ask      string
		from, to int
	}{
		{"bytes=0-99", 0, 100},
		{"bytes=1000-1999", 1_000, 2_000},
		{"bytes=150000-", 150_000, layerSize},
		{"bytes=-100", layerSize - 100, layerSize},
		{"bytes=0-", 0, layerSize},
	} {
		t.Run(tt.ask, func(t *testing.T) {
			image := up.image("org/app", tt.ask)
			for range 2 {
				mirror.reader(t, "org/app").get("/blobs/"+image.layer.digest).header("Range", tt.ask).expect(http.StatusPartialContent).
					holds(image.layer.content[tt.from:tt.to]).
					has("Content-Range", fmt.Sprintf("bytes %d-%d/%d", tt.from, tt.to-1, layerSize))
			}
			mirror.reader(t, "org/app").servesBlob(image.layer)
		})
	}
}

// Blobs of all sizes and of both algorithms arrive.
func TestShadowOddBlobs(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	mirror := shadow(t, up)
	for _, b := range []blob{
		blobOf(nil), blobOf([]byte("{}")), blobOf([]byte("a")), bulkOf(t.Name(), 3_000_000),
		bulkOf(t.Name()+" by sha512", 100_000).by512(), blobOf(nil).by512(),
	} {
		up.put("org/app", b)
		for range 2 {
			mirror.reader(t, "org/app").get("/blobs/"+b.digest).expect(http.StatusOK).
				has("Docker-Content-Digest", b.digest).holds(b.content)
		}
		mirror.reader(t, "org/app").servesBlob(b)
	}
	m := imageOf(blobOf([]byte("{}"))).manifest().by512()
	up.keep("org/app", m)
	mirror.reader(t, "org/app").serves(m.digest, m)
}

// A body may take longer than the upstream has to answer, as long as bytes keep
// coming.
func TestShadowSlowBlob(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	image := up.tagged("org/app", "latest")
	up.fails(trickles(400*time.Millisecond), getBlob) // seven pieces
	mirror := shadow(t, up, "UPSTREAM_TIMEOUT", "2s")
	mirror.reader(t, "org/app").get("/blobs/" + image.layer.digest).expect(http.StatusOK).holds(image.layer.content)
	up.wasAsked(t, 1, getBlob)
	up.wasAsked(t, 0, getPart)
}

// trickles sends a body with a pause after each piece.
func trickles(pause time.Duration) fault {
	return func(w http.ResponseWriter, r *http.Request, honest http.HandlerFunc) {
		honest(drip{w, pause}, r)
	}
}

// drip is slow: that is what the test is about.
type drip struct {
	http.ResponseWriter
	pause time.Duration
}

func (d drip) Write(p []byte) (int, error) {
	n, err := d.ResponseWriter.Write(p)
	if err == nil {
		err = http.NewResponseController(d.ResponseWriter).Flush()
	}
	time.Sleep(d.pause)
	return n, err
}
