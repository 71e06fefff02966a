package swift_test

import (
	"os/exec"
	"testing"

	"opendev.org/zuul/zuul-registry/server/local"
	"opendev.org/zuul/zuul-registry/server/oci"
	"opendev.org/zuul/zuul-registry/server/registrytest"
	"opendev.org/zuul/zuul-registry/server/storage"
	"opendev.org/zuul/zuul-registry/server/storage/storagetest"
	"opendev.org/zuul/zuul-registry/server/storage/swift"
	"opendev.org/zuul/zuul-registry/tests/testbed"
)

// TestSwift has a Swift as it usually is.
func TestSwift(t *testing.T) {
	s := testbed.Open(t).StartSwift(t, testbed.SwiftOptions{})
	create := func(t *testing.T) storage.Driver { return open(t, options(t, s.Environment())).Driver }
	t.Run("store", func(t *testing.T) { storagetest.Run(t, create) })
	t.Run("registry", func(t *testing.T) {
		registrytest.Suite{New: func(t *testing.T) oci.Registry { return local.New(create(t), local.Options{}) }}.Run(t)
	})
	for _, tt := range []struct {
		name string
		test func(t *testing.T, s *testbed.Swift)
	}{
		{"whoever is not known is refused", refuseStranger},
		{"a container is made if there is none", makeContainer},
		{"a token that was forgotten is renewed", renewToken},
		{"Swift is waited for", waitForSwift},
		{"each byte is written once", writeOnce},
		{"a damaged object is moved aside", moveAside},
		{"the swift command finds what is stored", useCommand},
	} {
		t.Run(tt.name, func(t *testing.T) { tt.test(t, s) })
	}
}

// useCommand looks at what is stored as an operator of Swift would.
func useCommand(t *testing.T, s *testbed.Swift) {
	testbed.Need(t, "swift")
	o := options(t, s.Environment())
	d := open(t, o)
	content := string(random(3 * swift.SmallestPart))
	d.concat("d/large", content)
	d.put("d/small", "content")
	for name, want := range map[string]string{"d/large": content, "d/small": "content"} {
		got, err := exec.Command("swift", "download", o.Container, name, "--output", "-").Output()
		if err != nil || string(got) != want {
			t.Errorf("swift downloads of %s %d bytes, %v; want %d others", name, len(got), err, len(want))
		}
	}
}
