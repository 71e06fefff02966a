package access

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"strings"

	"golang.org/x/crypto/bcrypt"

	"opendev.org/zuul/zuul-registry/server/reload"
)

// htpasswd is a file of users and bcrypt hashes, as Apache's htpasswd -B writes
// it.
type htpasswd struct {
	role   Role
	hashes *reload.Value[map[string]string] // by user
}

func openHtpasswd(path string, role Role) (htpasswd, error) {
	hashes, err := reload.Open(func() (map[string]string, error) {
		content, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		hashes, err := parseHtpasswd(content)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		return hashes, nil
	}, path)
	return htpasswd{role, hashes}, err
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
