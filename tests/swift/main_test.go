// Package swift keeps images in a real Swift, whose users it knows by itself or from
// a real Keystone.
package swift_test

import (
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"

	ncw "github.com/ncw/swift/v2"

	"opendev.org/zuul/zuul-registry/server/storage"
	"opendev.org/zuul/zuul-registry/server/storage/storagetest"
	"opendev.org/zuul/zuul-registry/server/storage/swift"
	"opendev.org/zuul/zuul-registry/tests/testbed"
)

func TestMain(m *testing.M) { testbed.Main(m, testbed.Server) }

// login is the account that an environment describes. Of a variable that is in it
// twice, the last counts.
func login(t *testing.T, environment []string) *ncw.Connection {
	t.Helper()
	for _, variable := range environment {
		name, value, _ := strings.Cut(variable, "=")
		t.Setenv(name, value)
	}
	account, err := swift.AccountFromEnvironment()
	if err != nil {
		t.Fatal(err)
	}
	return account
}

// options are those of a store of small parts, in a container that nobody has used.
func options(t *testing.T, environment []string) swift.Options {
	t.Helper()
	return swift.Options{
		Account:     login(t, environment),
		Container:   "images-" + rand.Text(),
		PartSize:    swift.SmallestPart,
		Connections: 8,
		Retries:     3,
		Log:         slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
}

// store is a driver whose faults fail the test.
type store struct {
	*testing.T
	*swift.Driver
}

func open(t *testing.T, o swift.Options) store {
	t.Helper()
	d, err := swift.New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return store{t, d}
}

func (s store) put(name, content string) {
	s.Helper()
	if err := s.Put(s.Context(), name, strings.NewReader(content), storage.Durable); err != nil {
		s.Errorf("Put %s: %v", name, err)
	}
}

// concat makes an object of parts.
func (s store) concat(name, content string) {
	s.Helper()
	parts, err := storagetest.Append(s.Context(), s.Driver, "parts", nil, strings.NewReader(content))
	if err != nil {
		s.Errorf("Append: %v", err)
		return
	}
	if err := s.Concat(s.Context(), name, parts); err != nil {
		s.Errorf("Concat %s: %v", name, err)
	}
}

func (s store) delete(name string) {
	s.Helper()
	if err := s.Delete(s.Context(), name); err != nil {
		s.Errorf("Delete %s: %v", name, err)
	}
}

func (s store) touch(name string) {
	s.Helper()
	if err := s.Touch(s.Context(), name); err != nil {
		s.Errorf("Touch %s: %v", name, err)
	}
}

// has asserts what an object holds from an offset on.
func (s store) has(name string, offset int64, content string) {
	s.Helper()
	object, _, err := s.Open(s.Context(), name)
	if err != nil {
		s.Errorf("Open %s: %v", name, err)
		return
	}
	defer object.Close()
	_, err = object.Seek(offset, io.SeekStart)
	held, unread := io.ReadAll(object)
	if err := errors.Join(err, unread); err != nil || string(held) != content {
		s.Errorf("%s holds from %d on %d bytes, %v; want %d others", name, offset, len(held), err, len(content))
	}
}

// entries are the paths of what a directory lists.
func (s store) entries(directory, after string) (paths []string) {
	s.Helper()
	for e, err := range s.List(s.Context(), directory, after) {
		if err != nil {
			s.Errorf("List %s: %v", directory, err)
		}
		paths = append(paths, e.Path())
	}
	return paths
}

// uses asserts how many objects a container has on disk.
func uses(t *testing.T, s *testbed.Swift, container string, want int) {
	t.Helper()
	if objects, bytes := s.Usage(t, container); objects != want {
		t.Errorf("the container has %d objects of %d bytes, want %d", objects, bytes, want)
	}
}
