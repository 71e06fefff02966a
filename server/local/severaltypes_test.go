package local_test

import (
	"testing"
	"time"

	"opendev.org/zuul/zuul-registry/server/oci"
)

// Of several manifests of a tag it is the last pushed, and stays it whatever is pulled by
// digest. The others are found by theirs.
func TestSeveralMediaTypes(t *testing.T) {
	withTimes(t, func(t *testing.T, o *original, h heir) {
		first := o.manifest("busybox", "latest", ociImage, imageOf(ociImage, o.blob("first")))
		time.Sleep(time.Hour)
		second := o.manifest("busybox", "latest", dockerImage, o.image("second"))
		time.Sleep(time.Hour)
		o.manifest("busybox", "again", ociImage, imageOf(ociImage, o.blob("third")))
		third := o.manifest("busybox", "latest", ociImage, imageOf(ociImage, o.blob("third")))
		for range 3 {
			h.gives("busybox", "latest", ociImage, third)
			h.gives("busybox", second.String(), dockerImage, second)
			h.gives("busybox", third.String(), ociImage, third)
			h.misses("busybox", first.String()) // the original, too, had lost it
			h.givesTo(oci.Accepting(t.Context(), []string{dockerImage}), "busybox", "latest", ociImage, third)
			time.Sleep(time.Hour)
		}
	})
}

func TestDeleteOneOfSeveralMediaTypes(t *testing.T) {
	olderIsGone := func(h heir, older, newer oci.Digest) {
		h.misses("busybox", older.String())
		h.gives("busybox", "latest", dockerImage, newer)
		h.gives("busybox", newer.String(), dockerImage, newer)
	}
	for _, tt := range []struct {
		deleted  string
		recorded bool // the older one is by its digest, too
		after    func(h heir, older, newer oci.Digest)
	}{
		{"older", false, olderIsGone},
		{"older", true, olderIsGone},
		{"newer", false, func(h heir, older, newer oci.Digest) {
			h.misses("busybox", newer.String(), "latest")
		}},
	} {
		t.Run(tt.deleted, func(t *testing.T) {
			withTimes(t, func(t *testing.T, o *original, h heir) {
				older := o.manifest("busybox", "latest", ociImage, imageOf(ociImage, o.blob("older")))
				if tt.recorded {
					o.manifest("busybox", "", ociImage, imageOf(ociImage, o.blob("older")))
				}
				time.Sleep(time.Hour)
				newer := o.manifest("busybox", "latest", dockerImage, o.image("newer"))
				time.Sleep(time.Hour)
				h.delete("busybox", map[string]string{"older": older.String(), "newer": newer.String()}[tt.deleted])
				for _, h := range []heir{h, h.again()} {
					tt.after(h, older, newer)
				}
			})
		})
	}
}

// Where times say nothing, as after a copy of the store, the client takes what it can.
func TestAcceptWhereTimesSayNothing(t *testing.T) {
	withTimes(t, func(t *testing.T, o *original, h heir) {
		first := o.manifest("org/app", "latest", ociImage, imageOf(ociImage, o.blob("first")))
		time.Sleep(time.Second)
		second := o.manifest("org/app", "latest", dockerImage, o.image("second"))
		for _, tt := range []struct {
			accepted  []string
			mediaType string
			digest    oci.Digest
		}{
			{nil, dockerImage, second},
			{[]string{"*/*"}, dockerImage, second},
			{[]string{dockerList, ociImage, dockerImage}, ociImage, first},
			{[]string{dockerImage, ociImage}, dockerImage, second},
		} {
			h.givesTo(oci.Accepting(t.Context(), tt.accepted), "org/app", "latest", tt.mediaType, tt.digest)
			h.gives("org/app", first.String(), ociImage, first) // which changes nothing
		}
	})
}
