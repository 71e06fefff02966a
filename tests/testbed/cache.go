package testbed

import (
	"os"
	"path/filepath"
	"time"
)

// cached is the path of a file in the user's cache that is made once for each
// version of its kind. What makes it writes a half file, which is there whole
// in the end or not at all. Other versions, which are large, are removed when
// they are old: a young one may be another checkout's.
func cached(kind, version string, make func(half string) error) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "zuul-registry-tests")
	file := filepath.Join(dir, kind+"@"+version)
	if _, err := os.Stat(file); err == nil {
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
	if err := make(half.Name()); err != nil {
		return "", err
	}
	if err := os.Rename(half.Name(), file); err != nil {
		return "", err
	}
	return file, forget(filepath.Join(dir, kind+"@*"), file)
}

// cacheHome is the user's cache, or nothing if there is none.
func cacheHome() string {
	cache, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return cache
}

// forget removes the old ones of some files, but for one.
func forget(pattern, kept string) error {
	const old = 7 * 24 * time.Hour
	all, err := filepath.Glob(pattern)
	if err != nil {
		return err
	}
	for _, file := range all {
		info, err := os.Stat(file)
		if err != nil || file == kept || time.Since(info.ModTime()) < old {
			continue
		}
		if err := os.Remove(file); err != nil {
			return err
		}
	}
	return nil
}
