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
	off bool // nothing is noted: nothing shall be durable

	// changing is held for reading while an entry changes and its directory is
	// noted: whoever sees the entry, and syncs, finds the note.
	changing sync.RWMutex
	syncing  sync.Mutex // held while directories are synced, so that who comes second waits

	mu    sync.Mutex
	names map[string]struct{}
}

// change makes a change in a directory, which is pending then.
func (p *pending) change(dir string, do func() error) error {
	p.changing.RLock()
	defer p.changing.RUnlock()
	if err := do(); err != nil {
		return err
	}
	p.add(dir)
	return nil
}

func (p *pending) add(dir string) {
	if p.off {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.names == nil {
		p.names = map[string]struct{}{}
	}
	p.names[dir] = struct{}{}
}

func (p *pending) take() map[string]struct{} {
	p.changing.Lock()
	defer p.changing.Unlock()
	taken := p.names
	p.names = nil
	return taken
}

// sync returns when every change that was visible when it was called is
// durable.
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
