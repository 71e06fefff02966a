package testbed

import (
	"errors"
	"os"
	"path/filepath"
	"time"
)

// cached is the path of a file in the user's cache that is made once for each
// version of its kind. What makes it writes a half file, which is there whole
// in the end or not at all. Other versions, which are large, are removed when
// nobody has asked for them in a while, and so is what was left half.
func cached(kind, version string, write func(half string) error) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "zuul-registry-tests")
	file := filepath.Join(dir, kind+"@"+version)
	now := time.Now()
	if os.Chtimes(file, now, now) == nil {
		return file, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	half, err := os.CreateTemp(dir, "half-*")
	if err != nil {
		return "", err
	}
	defer os.Remove(half.Name())
	if err := half.Close(); err != nil {
		return "", err
	}
	if err := write(half.Name()); err != nil {
		return "", err
	}
	if err := os.Rename(half.Name(), file); err != nil {
		return "", err
	}
	return file, errors.Join(forget(filepath.Join(dir, kind+"@*")), forget(filepath.Join(dir, "half-*")))
}

// forget removes the old ones of some files.
func forget(pattern string) error {
	const old = 7 * 24 * time.Hour
	all, err := filepath.Glob(pattern)
	if err != nil {
		return err
	}
	for _, file := range all {
		info, err := os.Stat(file)
		if err != nil || time.Since(info.ModTime()) < old {
			continue
		}
		if err := os.Remove(file); err != nil {
			return err
		}
	}
	return nil
}
