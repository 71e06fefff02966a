package local_test

import (
	"testing"

	"opendev.org/zuul/zuul-registry/server/local"
	"opendev.org/zuul/zuul-registry/server/oci"
	"opendev.org/zuul/zuul-registry/server/registrytest"
	"opendev.org/zuul/zuul-registry/server/storage"
	"opendev.org/zuul/zuul-registry/server/storage/filesystem"
	"opendev.org/zuul/zuul-registry/server/storage/memory"
	"opendev.org/zuul/zuul-registry/server/storage/swift/pretend"
)

// drivers are the stores that the registry's tests run over.
var drivers = map[string]func(t *testing.T) storage.Driver{
	"memory": func(*testing.T) storage.Driver { return memory.New() },
	"filesystem": func(t *testing.T) storage.Driver {
		d, err := filesystem.New(filesystem.Options{Root: t.TempDir(), Sync: true})
		if err != nil {
			t.Fatal(err)
		}
		return d
	},
	"swift": func(t *testing.T) storage.Driver { return pretend.New(t).Open() },
}

func TestRegistry(t *testing.T) {
	for name, driver := range drivers {
		t.Run(name, func(t *testing.T) {
			registrytest.Suite{New: func(t *testing.T) oci.Registry { return local.New(driver(t), local.Options{}) }}.Run(t)
		})
	}
}
