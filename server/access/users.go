package access

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"sync"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// Users knows who is who: the one writer of the configuration, and those of
// htpasswd files, which are read again when they change. Make it with NewUsers.
type Users struct {
	writer, password [sha256.Size]byte // of the configured writer
	files            []*Htpasswd

	comparing chan struct{} // takes a value during a bcrypt comparison: one at a time, so that guessing cannot have all processors

	mu       sync.Mutex
	key      []byte
	verified map[[sha256.Size]byte]verified
}

// verified is a password that was compared with a bcrypt hash, which takes a
// twentieth of a second and more.
type verified struct {
	hash  string // what it was compared with
	until time.Time
}

const (
	rememberFor  = 5 * time.Minute
	rememberMost = 1000 // credentials
)

// NewUsers makes the users of a writer and of files. Of a user in several, the
// first file counts whose password is given.
func NewUsers(writer, password string, files ...*Htpasswd) *Users {
	return &Users{
		writer: sha256.Sum256([]byte(writer)), password: sha256.Sum256([]byte(password)), files: files,
		key: []byte(rand.Text()), verified: map[[sha256.Size]byte]verified{}, comparing: make(chan struct{}, 1),
	}
}

// Role is what the user may do, given the password: Nobody if it is wrong.
func (u *Users) Role(ctx context.Context, user, password string) Role {
	name, word := sha256.Sum256([]byte(user)), sha256.Sum256([]byte(password))
	if subtle.ConstantTimeCompare(name[:], u.writer[:])&subtle.ConstantTimeCompare(word[:], u.password[:]) == 1 {
		return Writer
	}
	for _, f := range u.files {
		if hash := f.hash(user); hash != "" && u.matches(ctx, user, password, hash) {
			return f.role
		}
	}
	return Nobody
}

// matches compares a password with a bcrypt hash, or remembers having done so.
func (u *Users) matches(ctx context.Context, user, password, hash string) bool {
	credentials := u.fingerprint(user, password)
	if u.remembers(credentials, hash) {
		return true
	}
	select {
	case u.comparing <- struct{}{}:
		defer func() { <-u.comparing }()
	case <-ctx.Done():
		return false
	}
	if u.remembers(credentials, hash) { // somebody else was first
		return true
	}
	if bcrypt.CompareHashAndPassword([]byte(hash), []byte(password)) != nil {
		return false
	}
	u.remember(credentials, verified{hash, time.Now().Add(rememberFor)})
	return true
}

func (u *Users) remembers(credentials [sha256.Size]byte, hash string) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	v, ok := u.verified[credentials]
	return ok && v.hash == hash && time.Now().Before(v.until)
}

// fingerprint stands for credentials without being of use to who reads memory.
func (u *Users) fingerprint(user, password string) (sum [sha256.Size]byte) {
	mac := hmac.New(sha256.New, u.key)
	mac.Write([]byte(user + ":" + password)) // no user has a colon
	mac.Sum(sum[:0])
	return sum
}

func (u *Users) remember(credentials [sha256.Size]byte, v verified) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for other, old := range u.verified {
		if len(u.verified) < rememberMost && time.Now().Before(old.until) {
			continue
		}
		delete(u.verified, other)
	}
	u.verified[credentials] = v
}
