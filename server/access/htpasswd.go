package access

import (
	"bufio"
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"golang.org/x/crypto/bcrypt"

	"opendev.org/zuul/zuul-registry/server/reload"
)

// Htpasswd is a file of users and bcrypt hashes, as Apache's htpasswd -B writes
// it. It is read again when it changes. Make it with OpenHtpasswd.
type Htpasswd struct {
	role   Role
	log    *slog.Logger
	hashes *reload.Value[map[string]string] // by user
}

// OpenHtpasswd reads a file of users who have the role.
func OpenHtpasswd(path string, role Role, log *slog.Logger) (*Htpasswd, error) {
	hashes, err := reload.Open(func() (map[string]string, error) {
		content, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		hashes, err := parseHtpasswd(content)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		log.Info("users read", "path", path, "users", len(hashes))
		return hashes, nil
	}, path)
	return &Htpasswd{role, log, hashes}, err
}

// hash is the user's, or empty.
func (h *Htpasswd) hash(user string) string {
	hashes, err := h.hashes.Get()
	if err != nil {
		h.log.Error("users cannot be read, those of before go on", "error", err)
	}
	return hashes[user]
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
