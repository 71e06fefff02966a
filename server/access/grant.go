// Package access decides who may do what.
package access

import (
	"context"
	"slices"

	"opendev.org/zuul/zuul-registry/server/oci"
)

// The actions of Docker's token protocol.
const (
	Pull   = "pull"
	Push   = "push"
	Delete = "delete"
	Any    = "*"
)

// Scope names actions on a resource, as in Docker's token specification:
// "repository:<name>:<actions>" or "registry:catalog:*".
type Scope struct {
	Type    string   `json:"type"`
	Name    string   `json:"name"`
	Actions []string `json:"actions"`
}

// The types of resources, and the name of the catalog.
const (
	TypeRepository = "repository"
	TypeRegistry   = "registry"
	Catalog        = "catalog"
)

// everything stands for each resource of a type. No resource is called so.
const everything = "*"

// Grant is what a request may do.
type Grant struct {
	User          string // empty for nobody
	Authenticated bool   // good credentials or a good token came along
	ByToken       bool   // it was a token, which may allow less than its user may
	Scopes        []Scope
	Refused       string // why the credentials are worth less than none; empty if they are not
}

// Role is what a user may do in every repository.
type Role int

// The roles. Each may do what those before it may.
const (
	Nobody Role = iota
	Reader
	Writer
)

// Grant is what somebody of the role may do.
func (r Role) Grant(user string) Grant {
	g := Grant{User: user, Authenticated: user != ""}
	if r >= Reader {
		g.Scopes = []Scope{{TypeRepository, everything, []string{Pull}}, {TypeRegistry, Catalog, []string{Any}}}
	}
	if r >= Writer {
		g.Scopes[0].Actions = []string{Pull, Push, Delete}
	}
	return g
}

// Narrow is the part of what was asked for that the grant allows.
func (g Grant) Narrow(asked []Scope) []Scope {
	granted := []Scope{}
	for _, a := range asked {
		s := Scope{Type: a.Type, Name: a.Name}
		for _, action := range g.actions(a.Type, a.Name) {
			if slices.Contains(a.Actions, action) || slices.Contains(a.Actions, Any) {
				s.Actions = append(s.Actions, action)
			}
		}
		if s.Actions != nil {
			granted = append(granted, s)
		}
	}
	return granted
}

func (g Grant) actions(resourceType, name string) []string {
	var actions []string
	for _, s := range g.Scopes {
		if s.Type == resourceType && (s.Name == name || s.Name == everything) {
			actions = append(actions, s.Actions...)
		}
	}
	return actions
}

// allows says why an action is not allowed: UNAUTHORIZED where other
// credentials might help, DENIED where the user is known not to have the right.
func (g Grant) allows(resourceType, name, action string) error {
	switch {
	case g.Refused != "":
		return oci.Errorf(oci.Unauthorized, "%s", g.Refused)
	case slices.Contains(g.actions(resourceType, name), action):
		return nil
	case !g.Authenticated:
		return oci.Errorf(oci.Unauthorized, "authentication is required: %s %s:%s", action, resourceType, name)
	case g.ByToken:
		return oci.Errorf(oci.Unauthorized, "the token is not good for %s %s:%s", action, resourceType, name)
	}
	return oci.Errorf(oci.Denied, "user %s may not %s %s", g.User, action, name)
}

// MayList is the error for who may not list all repositories; nil for who may.
func MayList(ctx context.Context) error { return GrantOf(ctx).allows(TypeRegistry, Catalog, Any) }

type contextKey struct{}

// WithGrant puts a request's grant into its context.
func WithGrant(ctx context.Context, g Grant) context.Context {
	return context.WithValue(ctx, contextKey{}, g)
}

// GrantOf is the grant in a context; without one, nothing is allowed.
func GrantOf(ctx context.Context) Grant {
	g, _ := ctx.Value(contextKey{}).(Grant)
	return g
}

// Authenticated is UNAUTHORIZED unless good credentials or a good token came
// with the request.
func Authenticated(ctx context.Context) error {
	g := GrantOf(ctx)
	switch {
	case g.Refused != "":
		return oci.Errorf(oci.Unauthorized, "%s", g.Refused)
	case !g.Authenticated:
		return oci.Errorf(oci.Unauthorized, "authentication is required")
	}
	return nil
}
