package main

import (
	"context"
	"errors"
	"log/slog"

	"opendev.org/zuul/zuul-registry/server/config"
	"opendev.org/zuul/zuul-registry/server/storage"
	"opendev.org/zuul/zuul-registry/server/storage/filesystem"
	"opendev.org/zuul/zuul-registry/server/storage/swift"
)

// store is where images are kept.
type store struct {
	storage.Driver
	place string       // for the log
	close func() error // to be called when nobody uses it any more
}

// openStore opens the store to serve from it.
func openStore(ctx context.Context, c config.Config, log *slog.Logger) (store, error) {
	if c.Storage == config.Swift {
		return openSwift(ctx, c, log)
	}
	d, err := filesystem.New(filesystem.Options{Root: c.StorageRoot, Sync: c.StorageSync})
	if err != nil {
		return store{}, wrong("STORAGE_ROOT", c.StorageRoot, err)
	}
	return store{d, c.StorageRoot, d.Close}, nil
}

// attachStore opens a store that is there, beside those who serve from it.
func attachStore(ctx context.Context, c config.Config, log *slog.Logger) (store, error) {
	if c.Storage == config.Swift {
		return openSwift(ctx, c, log)
	}
	d, err := filesystem.Attach(c.StorageRoot)
	return store{d, c.StorageRoot, nil}, err
}

func openSwift(ctx context.Context, c config.Config, log *slog.Logger) (store, error) {
	if c.SwiftContainer == "" {
		return store{}, wrong("SWIFT_CONTAINER", "", errors.New("the swift storage needs the name of a container"))
	}
	account, err := swift.AccountFromEnvironment()
	if err != nil {
		return store{}, wrong("STORAGE", c.Storage, err)
	}
	d, err := swift.New(ctx, swift.Options{
		Account: account, Container: c.SwiftContainer, PartSize: c.SwiftPartSize,
		Connections: c.SwiftConnections, Retries: c.SwiftRetries, Log: log,
	})
	return store{d, c.SwiftContainer, func() error { return nil }}, err
}
