package filesystem

import (
	"errors"
	"io/fs"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// pending are the directories whose entries have changed since they were
// synced. The zero value has none.
type pending struct {
	syncing sync.Mutex // held while directories are synced, so that who comes second waits

	mu    sync.Mutex
	names map[string]struct{}
}

func (p *pending) add(dir string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.names == nil {
		p.names = map[string]struct{}{}
	}
	p.names[dir] = struct{}{}
}

func (p *pending) take() map[string]struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	taken := p.names
	p.names = nil
	return taken
}

// sync returns when everything that was added before it was called is durable.
func (p *pending) sync() error {
	p.syncing.Lock()
	defer p.syncing.Unlock()
	var faults []error
	for dir := range p.take() {
		// One that was deleted has nothing to be synced.
		if err := syncDirectory(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			p.add(dir)
			faults = append(faults, err)
		}
	}
	return errors.Join(faults...)
}

func syncDirectory(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// syncFilesystem makes everything durable that was written to a filesystem.
func syncFilesystem(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(unix.Syncfs(int(f.Fd())), f.Close())
}
