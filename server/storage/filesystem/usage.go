package filesystem

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"

	"opendev.org/zuul/zuul-registry/server/storage"
)

// Usage goes through all directories: it takes some seconds for a million objects.
func (d *Driver) Usage(ctx context.Context) (storage.Usage, error) {
	var u storage.Usage
	err := filepath.WalkDir(d.root, func(path string, e fs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err == nil && path == filepath.Join(d.root, scratch) {
			return fs.SkipDir
		}
		if err == nil && e.Type().IsRegular() && path != filepath.Join(d.root, lockFile) {
			var i fs.FileInfo
			if i, err = e.Info(); err == nil {
				u.Objects++
				u.Bytes += i.Size()
			}
		}
		if errors.Is(err, fs.ErrNotExist) && path != d.root {
			return nil // just removed
		}
		return err
	})
	return u, err
}
