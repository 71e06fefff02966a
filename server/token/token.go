// Package token speaks Docker's token protocol: it knows who a request comes
// from, gives out tokens at /auth/token, and says where to ask for one.
package token

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"opendev.org/zuul/zuul-registry/server/access"
)

// Service issues and verifies tokens. Replicas of a registry that share the
// secret accept each other's.
type Service struct {
	Secret        []byte        // signs the tokens, HMAC-SHA256
	Lifetime      time.Duration // of a token
	Users         *access.Users
	AnonymousRead bool   // everybody may read
	PublicURL     string // base of the realm; empty: as the request was addressed
}

// Path is where tokens are given out.
const Path = "/auth/token"

// name is the tokens' issuer and audience, and the service of the challenge: a
// client does not know the registry's names.
const name = "zuul-registry"

// claims are what a token says.
type claims struct {
	jwt.RegisteredClaims
	Access []access.Scope `json:"access"`
}

func (s *Service) issue(user string, scopes []access.Scope, now time.Time) (string, error) {
	return jwt.NewWithClaims(jwt.SigningMethodHS256, claims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: name, Audience: jwt.ClaimStrings{name}, Subject: user,
			IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(s.Lifetime)),
		},
		Access: scopes,
	}).SignedString(s.Secret)
}

// verify reads a token. Its error is for the client's user.
func (s *Service) verify(text string) (claims, error) {
	var c claims
	_, err := jwt.ParseWithClaims(text, &c, func(*jwt.Token) (any, error) { return s.Secret, nil },
		jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Name}), jwt.WithIssuer(name), jwt.WithAudience(name),
		jwt.WithExpirationRequired())
	switch {
	case err == nil:
		return c, nil
	case errors.Is(err, jwt.ErrTokenExpired):
		return claims{}, errors.New("the token has expired")
	}
	return claims{}, errors.New("the token is not one of this registry")
}

// Identify reads the Authorization header. Wrong Basic credentials are
// nobody's, for a Docker daemon sends a mirror those that it has for Docker
// Hub; a bad token must be refused, for it makes clients ask for a new one.
func (s *Service) Identify(r *http.Request) access.Grant {
	header := r.Header.Get("Authorization")
	scheme, text, _ := strings.Cut(header, " ")
	switch {
	case header == "":
		return s.nobody()
	case strings.EqualFold(scheme, "Bearer"):
		c, err := s.verify(strings.TrimSpace(text))
		if err != nil {
			return access.Grant{Refused: err.Error()}
		}
		return access.Grant{User: c.Subject, Authenticated: true, ByToken: true, Scopes: c.Access}
	}
	user, password, ok := r.BasicAuth()
	if !ok {
		return access.Grant{Refused: "the Authorization header is malformed: Basic and Bearer credentials are accepted"}
	}
	return s.login(r.Context(), user, password)
}

// login is the grant of a user, or nobody's.
func (s *Service) login(ctx context.Context, user, password string) access.Grant {
	role := s.Users.Role(ctx, user, password)
	if role == access.Nobody {
		return s.nobody()
	}
	return role.Grant(user)
}

func (s *Service) nobody() access.Grant {
	if s.AnonymousRead {
		return access.Reader.Grant("")
	}
	return access.Nobody.Grant("")
}
