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
		return openSwift(ctx, c, log, swift.New)
	}
	if c.SwiftContainer != "" {
		return store{}, wrong("SWIFT_CONTAINER", c.SwiftContainer, errors.New("but ZUUL_REGISTRY_STORAGE is not swift"))
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
		return openSwift(ctx, c, log, swift.Attach)
	}
	d, err := filesystem.Attach(c.StorageRoot)
	return store{d, c.StorageRoot, nothing}, err
}

func openSwift(
	ctx context.Context, c config.Config, log *slog.Logger, open func(context.Context, swift.Options) (*swift.Driver, error),
) (store, error) {
	if c.SwiftContainer == "" {
		return store{}, usageError{config.Fault{Variable: config.Prefix + "SWIFT_CONTAINER", Problem: "is not set, and the swift storage needs it"}}
	}
	account, err := swift.AccountFromEnvironment()
	if err != nil {
		return store{}, usageError{err}
	}
	d, err := open(ctx, swift.Options{
		Account: account, Container: c.SwiftContainer, PartSize: c.SwiftPartSize,
		Connections: c.SwiftConnections, Retries: c.SwiftRetries, Log: log,
	})
	return store{d, c.SwiftContainer, nothing}, err
}

// nothing is to be closed.
func nothing() error { return nil }
