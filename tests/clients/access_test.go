package clients

import (
	"testing"
)

// loginRightAndWrong tells a right password from a wrong one and from none, also
// if the registry has all that the image is made of.
func loginRightAndWrong(t *testing.T, w *world) {
	w.publish(t, w.bed.Scratch(t), w.registry.Host+"/zuul/guarded:before")
	store, account := w.client.(store), w.client.(account)
	host, image := w.registry.Host, w.bed.Scratch(t)
	ref, another := host+"/zuul/guarded:latest", host+"/zuul/guarded:another"
	must(t, store.load(t.Context(), image, ref))
	must(t, store.tag(t.Context(), ref, another))

	w.refusedLogin(t, host, "not "+w.registry.Password)
	refused(t, store.push(t.Context(), ref), denied...)
	must(t, account.login(t.Context(), host, w.registry.Username, w.registry.Password))
	must(t, store.push(t.Context(), ref))
	must(t, account.logout(t.Context(), host))
	// Not the one that is there: some tools then find that nothing is to be done.
	refused(t, store.push(t.Context(), another), denied...)
	must(t, store.remove(t.Context(), ref))
	must(t, store.remove(t.Context(), another))
}

// buildAndPush pushes what was built from a public name, by whom may push.
func buildAndPush(t *testing.T, w *world) {
	const base = "docker.io/zuul/published:base"
	image, ref := w.bed.Scratch(t), w.registry.Host+"/zuul/published:latest"
	w.registry.Push(t, image, base)
	publish := func() error { return w.client.(publisher).publish(t.Context(), onTopOf(image, base), ref) }
	refused(t, publish(), denied...)
	w.give(t, publish)
	w.whole(t, "zuul/published", w.registry.Digest(t, ref))
	refused(t, publish(), denied...)
}

// denied are the words in which the tools tell that they were, the last ones of
// which are the registry's own. The pipe is ctr's, which may find it closed before
// it reads why.
var denied = []string{
	"denied", "unauthorized", "authentication required", "no basic auth", "invalid username/password", "closed pipe",
	"wrong user name or password, or none",
}

// anUntrustedCertificate shows that the other scenarios ran over TLS that the
// tool verified: it refuses a registry for which it was told no authority.
func anUntrustedCertificate(t *testing.T, w *world) {
	stranger := w.site.StartStranger(t)
	ref := stranger.Host + "/zuul/stranger:latest"
	refused(t, w.try(t.Context(), ref), unknown)
	if store, ok := w.client.(store); ok {
		must(t, store.load(t.Context(), w.bed.Scratch(t), ref))
		refused(t, store.push(t.Context(), ref), unknown)
		must(t, store.remove(t.Context(), ref))
	}
	if account, ok := w.client.(account); ok && account.asksAtLogin() {
		refused(t, account.login(t.Context(), stranger.Host, stranger.Username, stranger.Password), unknown)
	}
}

const unknown = "certificate signed by unknown authority"

// refusedLogin is a login that is refused, if the tool asks anybody.
func (w *world) refusedLogin(t *testing.T, host, password string) {
	t.Helper()
	account := w.client.(account)
	err := account.login(t.Context(), host, w.registry.Username, password)
	if account.asksAtLogin() {
		refused(t, err, denied...)
	} else {
		must(t, err)
	}
}

// deletes finds that what is deleted is gone, and that the rest stays.
func deletes(t *testing.T, w *world) {
	store := w.client.(store)
	gone, stays := w.registry.Host+"/zuul/deleted:gone", w.registry.Host+"/zuul/deleted:stays"
	image := w.bed.From(t, "what stays")
	w.publish(t, w.bed.From(t, "what goes"), gone)
	w.publish(t, image, stays)
	refused(t, w.client.(deleter).delete(t.Context(), gone), denied...)
	w.give(t, func() error { return w.client.(deleter).delete(t.Context(), gone) })
	refused(t, store.pull(t.Context(), gone), missing...)
	w.receive(t, image, stays)
}

// missing are the words in which the tools tell that there is no image.
var missing = []string{"manifest unknown", "manifest_unknown", ": not found"}
