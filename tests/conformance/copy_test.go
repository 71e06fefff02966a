package conformance

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"opendev.org/zuul/zuul-registry/tests/testbed"
)

// An image arrives whole: all its platforms, their blobs, and what refers to any of
// them. The second time there is nothing to send.
func TestCopy(t *testing.T) {
	t.Parallel()
	here, there := start(t, nil), start(t, map[string]string{"ANONYMOUS_READ": "false"})
	from, to := newRepository(t, here), newRepository(t, there)
	x := from.releases("1.0")
	c := newCourier(t).trusts(here).writes(there)
	for _, tt := range []struct {
		from, to string
		sent     int
		there    bool
	}{
		{from.ref("1.0"), to.ref("1.0"), 9, false},
		{from.ref("1.0"), to.ref("1.0"), 0, true},
		{from.ref(x.whole.digest), to.ref("2.0"), 0, false},
		{from.ref(x.whole.digest), to.ref("latest"), 0, false},
		{from.ref(x.whole.digest), to.ref("latest"), 0, true},
	} {
		c.copies("docker://"+tt.from, "https://"+strings.TrimSuffix(tt.to, ":latest")).
			says(report{tt.from, tt.to, x.whole.digest, tt.sent, 9, tt.there})
	}
	to.servesRelease("1.0", x)
	to.serves("2.0", x.whole)
	to.serves("latest", x.whole)

	// What has been attached since is copied to where the image is already.
	content := from.text("a later signature")
	from.has(content)
	later := artifactOf(signature, x.blobs[5], content).about(x.parts[1].manifest).manifest()
	from.keep(later)
	c.copies(from.ref("1.0"), to.ref("1.0")).says(news(from.ref("1.0"), to.ref("1.0"), x.whole.digest, 1, 10))
	wantReferrers(t, to.get("/referrers/"+x.parts[1].digest), referring(later, signature, nil))
	to.servesBlob(content)
}

// All that can be pushed as an image can be copied, byte for byte.
func TestCopyKinds(t *testing.T) {
	t.Parallel()
	c := newCourier(t).writes(public)
	for _, kind := range imageKinds() {
		t.Run(kind.name, func(t *testing.T) {
			from, to := newRepository(t, public), newRepository(t, public)
			m := kind.make(from)
			from.keep(m)
			c.copies(from.ref(m.digest), to.ref("copy")).succeeds()
			to.serves(m.digest, m)
			to.get("/manifests/copy").expect(http.StatusOK).has("Content-Type", m.mediaType).holds(m.content)
		})
	}
}

// A digest of sha512 stays one, and the tag names the same bytes.
func TestCopyBySHA512(t *testing.T) {
	t.Parallel()
	from, to := newRepository(t, public), newRepository(t, start(t, nil))
	m := from.image("image").by512()
	from.keep(m)
	c := newCourier(t).trusts(public).writes(to.server)
	c.copies(from.ref(m.digest), to.ref("1")).says(news(from.ref(m.digest), to.ref("1"), m.digest, 2, 2))
	to.serves(m.digest, m)
	to.get("/manifests/1").expect(http.StatusOK).holds(m.content)
}

// Within a registry, blobs are mounted.
func TestCopyWithinARegistry(t *testing.T) {
	t.Parallel()
	peers := map[string]peer{"one of ours": ours(t, false), "docker-registry": theirs(t, false)}
	for name, p := range peers {
		t.Run(name, func(t *testing.T) {
			from, to := p.repository(t, "org/app").as(p.owner), p.repository(t, "org/copy").as(p.owner)
			image := p.collects(t, "org/app", "1")
			c := newCourier(t).writes(p.server)
			c.copies(from.ref("1"), to.ref("1")).says(news(from.ref("1"), to.ref("1"), image.whole.digest, 0, 4))
			to.gives("1", image.whole)
			for _, part := range image.parts {
				to.gives(part.digest, part.manifest)
				to.get("/blobs/" + part.config.digest).expect(http.StatusOK).holds(part.config.content)
				to.get("/blobs/" + part.layer.digest).expect(http.StatusOK).holds(part.layer.content)
			}
			c.copies(from.ref("1-0"), from.ref("again")).says(news(from.ref("1-0"), from.ref("again"), image.parts[0].digest, 0, 2))
			from.gives("again", image.parts[0].manifest)
		})
	}
}

// A blob that several images have goes to a registry once, into the same repository
// or another one.
func TestCopyOfImagesThatShare(t *testing.T) {
	t.Parallel()
	from := newRepository(t, public)
	there := start(t, nil)
	one, other := newRepository(t, there), newRepository(t, there)
	shared := from.bulk("shared", 5_000_000)
	from.has(shared)
	c := newCourier(t).trusts(public).writes(there)
	var args, want []string
	images := map[string]manifest{}
	for n := range 6 {
		config := from.text(fmt.Sprint("config ", n))
		from.has(config)
		tag := fmt.Sprint(n)
		images[tag] = imageOf(config, shared).manifest()
		from.tag(tag, images[tag])
		to := []*repository{one, other}[n%2]
		args, want = append(args, from.ref(tag), to.ref(tag)), append(want, to.ref(tag))
	}
	sent := 0
	reports := c.copies(args...).succeeds().reports()
	for _, r := range reports {
		sent += r.sent
	}
	if len(reports) != len(want) || sent != 6+1 {
		t.Errorf("%d images and %d blobs were sent, want %d and the shared one once: %+v", len(reports), sent, len(want), reports)
	}
	for tag, m := range images {
		to := []*repository{one, other}[int(tag[0]-'0')%2]
		to.serves(tag, m)
		to.servesBlob(shared)
	}
}

// One that fails does not stop the others.
func TestCopyOfSeveralImages(t *testing.T) {
	t.Parallel()
	from, to := newRepository(t, public), newRepository(t, start(t, nil))
	c := newCourier(t).trusts(public).writes(to.server)
	var args []string
	for n := range 8 {
		tag := fmt.Sprint("tag-", n)
		if n != 3 {
			from.tag(tag, from.image(tag))
		}
		args = append(args, from.ref(tag), to.ref(tag))
	}
	r := c.copies(args...).fails(1, from.ref("tag-3")+" -> "+to.ref("tag-3")+": "+from.ref("tag-3")+": image not found")
	r.fails(1, "1 of 8 images")
	reports := r.reports()
	for n := range 8 {
		tag := fmt.Sprint("tag-", n)
		if _, done := reports[to.ref(tag)]; done == (n == 3) {
			t.Errorf("%s is copied: %t", tag, done)
		}
		if n != 3 {
			to.serves(tag, from.image(tag))
		}
	}
}

// Layers that stay with their vendor are not copied, and not missed.
func TestCopyWithForeignLayers(t *testing.T) {
	t.Parallel()
	to := newRepository(t, start(t, nil))
	up := newUpstream(t)
	p := up.image("org/app", "windows")
	foreign := bulkOf("foreign", 1000).as(dockerForeign)
	foreign.URLs = []string{"https://vendor.example/layer"}
	m := dockerImageOf(p.config, p.layer).with("layers", []descriptor{foreign, p.layer.as(dockerLayer)}).manifest()
	up.tag("org/app", "1", m)
	up.put("org/app", bulkOf("foreign", 1000)) // but not for us
	from := "http://" + up.address() + "/org/app:1"
	newCourier(t).writes(to.server).copies(from, to.ref("1")).says(news(from, to.ref("1"), m.digest, 2, 2))
	to.serves("1", m)
	up.wasAsked(t, 2, getBlob)
}

// A mirror has what its upstream has. It is copied all the same: the mirror only
// seems to have it.
func TestCopyToAMirror(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	image := up.tagged("org/app", "1")
	mirror := shadowAll(t, upstreams{"quay.io": up})
	to := mirror.repository(t, "quay.io/org/app")
	from := "http://" + up.address() + "/org/app:1"
	newCourier(t).writes(mirror).copies(from, to.ref("1")).says(news(from, to.ref("1"), image.digest, 2, 2))
	up.down()
	to.servesAll("1", image)
	stores(t, mirror.record("_local", "quay.io/org/app", "1"))
}

// A registry of somebody else's, without the referrers API, is copied to and from:
// what refers to the image is there under the tag that stands for it.
func TestCopyToAndFromDockerRegistry(t *testing.T) {
	t.Parallel()
	from, back := newRepository(t, public), newRepository(t, start(t, nil))
	middle := theirs(t, false)
	there := middle.repository(t, "org/app").as(middle.owner)
	x := from.releases("1.0")
	c := newCourier(t).trusts(public).writes(back.server)
	for range 2 {
		c.copies(from.ref("1.0"), there.ref("1.0")).succeeds()
		there.gives("1.0", x.whole)
		for _, m := range x.manifests {
			there.gives(m.digest, m)
		}
		for _, b := range x.blobs {
			there.get("/blobs/" + b.digest).expect(http.StatusOK).holds(b.content)
		}
		tag := strings.ReplaceAll(x.whole.digest, ":", "-")
		there.get("/manifests/"+tag).header("Accept", ociIndex).expect(http.StatusOK)
	}
	c.copies(there.ref("1.0"), back.ref("1.0")).says(news(there.ref("1.0"), back.ref("1.0"), x.whole.digest, 9, 9))
	back.servesRelease("1.0", x)
}

// startAt6 starts a server on the loopback of IPv6.
func startAt6(t *testing.T) *server {
	t.Helper()
	place, err := newInstallation(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(place.address)
	if err != nil {
		t.Fatal(err)
	}
	place.address = net.JoinHostPort("::1", port)
	place.settings["ADDRESS"] = place.address
	listener, err := net.Listen("tcp", place.address)
	if errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT) {
		testbed.Missing(t, "IPv6")
	}
	if err != nil {
		t.Fatal(err)
	}
	_ = listener.Close()
	return place.startFor(t)
}

func TestCopyWithIPv6(t *testing.T) {
	t.Parallel()
	here, there := startAt6(t), startAt6(t)
	from, to := newRepository(t, here), newRepository(t, there)
	x := from.releases("1.0")
	newCourier(t).writes(here, there).copies(from.ref("1.0"), to.ref("1.0")).
		says(news(from.ref("1.0"), to.ref("1.0"), x.whole.digest, 9, 9))
	to.servesRelease("1.0", x)
}

// However large a blob is, it passes through little memory.
func TestCopyOfALargeBlob(t *testing.T) {
	t.Parallel()
	const size, memory = 200_000_000, 64_000_000
	hasty := map[string]string{"STORAGE_SYNC": "false"}
	from, to := newRepository(t, start(t, hasty)), newRepository(t, start(t, hasty))
	config, layer := from.text("config"), from.bulk("layer", size)
	m := imageOf(config, layer).manifest()
	from.delivers("1", m, config, layer)
	r := newCourier(t).writes(from.server, to.server).copies(from.ref("1"), to.ref("1"))
	r.says(news(from.ref("1"), to.ref("1"), m.digest, 2, 2))
	to.servesBlob(layer)
	t.Logf("%d MB of memory for a blob of %d MB", r.largest/1e6, size/1_000_000)
	if r.largest > memory {
		t.Errorf("copy took %d bytes of memory, want at most %d", r.largest, memory)
	}
}

// Told to end, copy ends at once.
func TestCopyIsInterrupted(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	up.tagged("org/app", "1")
	up.fails(hangs, getBlob)
	to := newRepository(t, start(t, nil))
	c := newCourier(t).writes(to.server)
	command, stdout, stderr := c.command("copy", "http://"+up.address()+"/org/app:1", to.ref("1"))
	begin := time.Now()
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	await(t, "a blob that is asked for", func() bool { return up.count(getBlob) > 0 })
	if err := command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = command.Wait() // its state says more
	r := c.ended(command, stdout, stderr, begin).fails(1, "interrupted", "1 of 1")
	if r.took > 5*time.Second || !slices.Equal(strings.Split(r.stdout, "\n"), []string{""}) {
		t.Errorf("it took %s and said %q", r.took, r.stdout)
	}
	to.lacks("1")
}
