package swift_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"

	ncw "github.com/ncw/swift/v2"

	"opendev.org/zuul/zuul-registry/server/storage/swift"
	"opendev.org/zuul/zuul-registry/tests/testbed"
)

// TestKeystone logs in as people do who have a cloud.
func TestKeystone(t *testing.T) {
	bed := testbed.Open(t)
	keystone := bed.StartKeystone(t)
	s := bed.StartSwift(t, testbed.SwiftOptions{Keystone: keystone})
	password, credential := keystone.Environment(), keystone.ApplicationCredential(t)
	for name, environment := range map[string][]string{
		"a password":                password,
		"an application credential": credential,
		"a cloud by its name":       keystone.Cloud(t),
		"a URL without version":     with(password, "OS_AUTH_URL="+keystone.URL()),
	} {
		t.Run(name, func(t *testing.T) {
			o := options(t, environment)
			d := open(t, o)
			d.put("object", "content")
			d.has("object", 0, "content")
			uses(t, s, o.Container, 1)
		})
	}
	for name, wrong := range map[string][]string{
		"a wrong password": with(password, "OS_PASSWORD="+secret),
		"a wrong secret":   with(credential, "OS_APPLICATION_CREDENTIAL_SECRET="+secret),
		"a wrong URL":      with(password, "OS_PASSWORD="+secret, "OS_AUTH_URL="+nowhere+"/v3"),
	} {
		t.Run(name, func(t *testing.T) { refused(t, wrong) })
	}
}

func refuseStranger(t *testing.T, s *testbed.Swift) {
	for name, wrong := range map[string][]string{
		"a wrong key": with(s.Environment(), "ST_KEY="+secret),
		"a wrong URL": with(s.Environment(), "ST_KEY="+secret, "ST_AUTH="+nowhere+"/auth/v1.0"),
	} {
		t.Run(name, func(t *testing.T) { refused(t, wrong) })
	}
}

const (
	secret  = "the-secret-of-nobody" // which must not be shown
	nowhere = "http://127.0.0.1:1"
)

// with is an environment with other values of some of its variables.
func with(environment []string, values ...string) []string {
	return slices.Concat(environment, values)
}

// refused asserts that somebody is told that they cannot log in.
func refused(t *testing.T, environment []string) {
	o := options(t, environment)
	var log bytes.Buffer
	o.Log = slog.New(slog.NewTextHandler(&log, nil))
	_, err := swift.New(t.Context(), o)
	if err == nil {
		t.Fatal("no error")
	}
	if told := err.Error() + log.String(); strings.Contains(told, secret) {
		t.Errorf("the secret is told:\n%s", told)
	}
}

func makeContainer(t *testing.T, s *testbed.Swift) {
	o := options(t, s.Environment())
	if _, _, err := login(t, s.Environment()).Container(t.Context(), o.Container); !errors.Is(err, ncw.ContainerNotFound) {
		t.Fatalf("%v: want no container before", err)
	}
	open(t, o).put("object", "content")
	o.Account = login(t, s.Environment())
	open(t, o).has("object", 0, "content")
}

func renewToken(t *testing.T, s *testbed.Swift) {
	d := open(t, options(t, s.Environment()))
	large := string(random(3 * swift.SmallestPart))
	for _, do := range []func(){
		func() { d.put("object", "content") },
		func() { d.has("object", 0, "content") },
		func() { d.concat("large", large) },
		func() { d.has("large", 0, large) },
		func() { d.touch("large") },
		func() {
			if got, want := d.entries(".", ""), []string{"large", "object", "parts/"}; !slices.Equal(got, want) {
				t.Errorf("the store lists %q, want %q", got, want)
			}
		},
		func() { d.delete("large") },
		func() {
			var all sync.WaitGroup
			for i := range 8 {
				all.Go(func() { d.put(fmt.Sprint("at once/", i), "content") })
			}
			all.Wait()
		},
	} {
		s.ForgetTokens(t)
		do()
	}
}

func waitForSwift(t *testing.T, s *testbed.Swift) {
	o := options(t, s.Environment())
	o.Retries = 20
	d := open(t, o)
	large := string(random(3 * swift.SmallestPart))
	d.concat("before", large)
	s.StopProxy(t)
	var all sync.WaitGroup
	all.Go(func() { d.put("object", "content") })
	all.Go(func() { d.concat("large", large) })
	all.Go(func() { d.has("before", 0, large) })
	s.StartProxy(t)
	all.Wait()
	d.has("object", 0, "content")
	d.has("large", 0, large)
}
