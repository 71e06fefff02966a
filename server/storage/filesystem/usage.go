package filesystem

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"

	"opendev.org/zuul/zuul-registry/server/storage"
)

// Usage goes through all directories: it takes some seconds for a million objects. What it
// may not look into, as lost+found, is not the store's.
func (d *Driver) Usage(ctx context.Context) (storage.Usage, error) {
	var u storage.Usage
	root, err := filepath.EvalSymlinks(d.root)
	if err != nil {
		return u, err
	}
	err = filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err == nil && path == filepath.Join(root, scratch) {
			return fs.SkipDir
		}
		if err == nil && e.Type().IsRegular() && path != filepath.Join(root, lockFile) {
			var i fs.FileInfo
			if i, err = e.Info(); err == nil {
				u.Objects++
				u.Bytes += i.Size()
			}
		}
		if path != root && (errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission)) {
			return nil // just removed, or not ours
		}
		return err
	})
	return u, err
}
