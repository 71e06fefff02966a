package access

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// htpasswd is a file of users and bcrypt hashes, as Apache's htpasswd -B writes
// it.
type htpasswd struct {
	path string
	role Role

	mu     sync.Mutex
	stamp  stamp
	hashes map[string]string
}

// stamp tells one state of a file from another.
type stamp struct {
	modified time.Time
	size     int64
}

// hash is the user's hash, or nothing. When the file has changed and cannot be
// read, it is that of before, and an error.
func (h *htpasswd) hash(user string) (string, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	err := h.refresh()
	return h.hashes[user], err
}

func (h *htpasswd) load() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.refresh()
}

func (h *htpasswd) refresh() error {
	info, err := os.Stat(h.path)
	if err != nil {
		return err
	}
	now := stamp{info.ModTime(), info.Size()}
	if now == h.stamp {
		return nil
	}
	content, err := os.ReadFile(h.path)
	if err != nil {
		return err
	}
	hashes, err := parseHtpasswd(content)
	if err != nil {
		return fmt.Errorf("%s: %w", h.path, err)
	}
	h.hashes, h.stamp = hashes, now
	return nil
}

func parseHtpasswd(content []byte) (map[string]string, error) {
	hashes := map[string]string{}
	lines := bufio.NewScanner(bytes.NewReader(content))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		user, hash, _ := strings.Cut(line, ":")
		if _, err := bcrypt.Cost([]byte(hash)); err != nil || user == "" {
			return nil, fmt.Errorf("line %d is not a user and a bcrypt hash (htpasswd -B makes one)", n)
		}
		hashes[user] = hash
	}
	return hashes, lines.Err()
}
