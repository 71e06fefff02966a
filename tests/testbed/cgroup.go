package testbed

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// cgroup is that of every container which a Docker daemon of the run starts:
// what a killed daemon leaves behind is in it.
func cgroup(dir string) string { return "/" + filepath.Base(dir) }

// removeCgroup removes it from the hierarchies, of which there are several with
// version 1. No process is in it any more.
func removeCgroup(dir string) error {
	const mounted = "/sys/fs/cgroup"
	var all []string
	for _, hierarchy := range []string{mounted, mounted + "/*"} {
		found, err := filepath.Glob(hierarchy + cgroup(dir))
		if err != nil {
			return err
		}
		all = append(all, found...)
	}
	for n := 0; n < len(all); n++ { // to which it adds
		entries, err := os.ReadDir(all[n])
		if err != nil {
			return err
		}
		for _, entry := range entries {
			if entry.IsDir() {
				all = append(all, filepath.Join(all[n], entry.Name()))
			}
		}
	}
	for _, one := range slices.Backward(all) {
		if err := os.Remove(one); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
