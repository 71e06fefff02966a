package clients

import (
	"strings"
	"testing"

	"opendev.org/zuul/zuul-registry/tests/testbed"
)

// world is a tool and a registry.
type world struct {
	bed      *testbed.Bed
	registry *testbed.Registry
	client
}

// scenarios are what every tool is put through. Each finds, and leaves, the
// tool's store empty and nobody logged in, and has a repository of its own.
var scenarios = []struct {
	name string
	play func(t *testing.T, w world)
}{
	{"only a writer pushes", onlyAWriterPushes},
	{"an image from scratch", func(t *testing.T, w world) { w.roundTrip(t, w.bed.Scratch(t)) }},
	{"a Debian image", func(t *testing.T, w world) { w.roundTrip(t, w.bed.Debian(t)) }},
	{"an untrusted certificate", anUntrustedCertificate},
}

// onlyAWriterPushes tells a right password from a wrong one and from none.
func onlyAWriterPushes(t *testing.T, w world) {
	host, ref := w.registry.Host, w.registry.Host+"/zuul/guarded:latest"
	another := w.registry.Host + "/zuul/guarded:another"
	must(t, w.load(t.Context(), w.bed.Scratch(t), ref))
	must(t, w.load(t.Context(), w.bed.Scratch(t), another))

	w.refusedLogin(t, host, "not "+w.registry.Password, "")
	refused(t, w.push(t.Context(), ref), "")
	must(t, w.login(t.Context(), host, w.registry.Username, w.registry.Password))
	must(t, w.push(t.Context(), ref))
	must(t, w.logout(t.Context(), host))
	// Not the one that is there: some tools then find that nothing is to be done.
	refused(t, w.push(t.Context(), another), "")
	must(t, w.remove(t.Context(), ref))
	must(t, w.remove(t.Context(), another))
}

// roundTrip pushes an image, and pulls it back.
func (w world) roundTrip(t *testing.T, image testbed.Image) {
	ref := w.registry.Host + "/zuul/" + image.Name + ":latest"
	w.publish(t, image, ref)
	w.receive(t, image, ref)
}

// publish pushes an image as the writer, and forgets it and the login.
func (w world) publish(t *testing.T, image testbed.Image, ref string) {
	t.Helper()
	must(t, w.load(t.Context(), image, ref))
	w.give(t, ref)
}

// give pushes what is in the tool's store as the writer, and forgets it and
// the login.
func (w world) give(t *testing.T, ref string) {
	t.Helper()
	must(t, w.login(t.Context(), w.registry.Host, w.registry.Username, w.registry.Password))
	must(t, w.push(t.Context(), ref))
	must(t, w.logout(t.Context(), w.registry.Host))
	must(t, w.remove(t.Context(), ref))
}

// receive pulls an image as nobody, and finds it to be the one that was
// pushed, which was not there before.
func (w world) receive(t *testing.T, image testbed.Image, ref string) {
	t.Helper()
	if id, err := w.id(t.Context(), ref); err == nil {
		t.Fatalf("the tool has %s before it pulls it: %s", ref, id)
	}
	must(t, w.pull(t.Context(), ref))
	if got, want := the(w.digest(t.Context(), ref))(t), w.registry.Digest(t, ref); got != want {
		t.Errorf("pulled the manifest %s, want %s", got, want)
	}
	w.recognise(t, image, ref)
}

// recognise finds an image in the tool's store to be the one that is meant,
// and removes it.
func (w world) recognise(t *testing.T, image testbed.Image, ref string) {
	t.Helper()
	if id := the(w.id(t.Context(), ref))(t); id != image.ID {
		t.Errorf("%s is the image %s, want %s", ref, id, image.ID)
	}
	if said := the(w.use(t.Context(), image, ref))(t); said != image.Says {
		t.Errorf("%s says %q, want %q", ref, said, image.Says)
	}
	must(t, w.remove(t.Context(), ref))
}

// anUntrustedCertificate shows that the other scenarios ran over TLS that the
// tool verified: under a name for which it was told no authority it refuses.
func anUntrustedCertificate(t *testing.T, w world) {
	ref := w.registry.Stranger + "/zuul/stranger:latest"
	must(t, w.load(t.Context(), w.bed.Scratch(t), ref))
	const why = "certificate signed by unknown authority"
	w.refusedLogin(t, w.registry.Stranger, w.registry.Password, why)
	refused(t, w.push(t.Context(), ref), why)
	must(t, w.remove(t.Context(), ref))
	refused(t, w.pull(t.Context(), ref), why)
}

// refusedLogin is a login that is refused, if the tool asks anybody.
func (w world) refusedLogin(t *testing.T, host, password, why string) {
	t.Helper()
	err := w.login(t.Context(), host, w.registry.Username, password)
	if w.asksAtLogin() {
		refused(t, err, why)
	} else {
		must(t, err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// the is the value of a call that must not fail: the(call())(t).
func the(value string, err error) func(t *testing.T) string {
	return func(t *testing.T) string {
		t.Helper()
		must(t, err)
		return value
	}
}

// refused is for what must fail, for a reason that the tool tells.
func refused(t *testing.T, err error, why string) {
	t.Helper()
	if err == nil {
		t.Fatal("it was not refused")
	}
	if !strings.Contains(err.Error(), why) {
		t.Fatalf("it failed, but not with %q: %v", why, err)
	}
}
