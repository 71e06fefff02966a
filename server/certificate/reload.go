package certificate

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// Reloader gives a TLS server its certificate, and the new one once its files
// were replaced. Make it with Load.
type Reloader struct {
	files Files
	log   *slog.Logger

	mu      sync.Mutex
	stamps  [2]stamp
	current *tls.Certificate
}

// stamp tells one state of a file from another.
type stamp struct {
	modified time.Time
	size     int64
}

// Load reads the files.
func Load(f Files, log *slog.Logger) (*Reloader, error) {
	r := &Reloader{files: f, log: log}
	return r, r.refresh()
}

// GetCertificate is for tls.Config. It looks at the files at each handshake,
// which costs little beside the handshake. When new files cannot be used, which
// may be while they are being replaced, the old certificate goes on.
func (r *Reloader) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.refresh(); err != nil {
		r.log.Error("certificate cannot be reloaded, the one before goes on", "error", err)
	}
	return r.current, nil
}

func (r *Reloader) refresh() error {
	var now [2]stamp
	for i, path := range []string{r.files.Certificate, r.files.Key} {
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		now[i] = stamp{info.ModTime(), info.Size()}
	}
	if now == r.stamps {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(r.files.Certificate, r.files.Key)
	if err != nil {
		return fmt.Errorf("%s and %s: %w", r.files.Certificate, r.files.Key, err)
	}
	if r.current != nil {
		r.log.Info("certificate reloaded", "path", r.files.Certificate)
	}
	r.current, r.stamps = &pair, now
	return nil
}
