package memory_test

import (
	"testing"

	"opendev.org/zuul/zuul-registry/server/storage"
	"opendev.org/zuul/zuul-registry/server/storage/memory"
	"opendev.org/zuul/zuul-registry/server/storage/storagetest"
)

func TestDriver(t *testing.T) {
	storagetest.Run(t, func(*testing.T) storage.Driver { return memory.New() })
}
