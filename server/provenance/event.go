// Package provenance remembers what was served and stored: what was asked for, by whom,
// and where the answer came from.
package provenance

import (
	"context"
	"time"

	"opendev.org/zuul/zuul-registry/server/oci"
)

// Event is something that a client has got, or has not, or has done.
type Event struct {
	Action    Action     `json:"action"`
	Kind      Kind       `json:"kind"`
	Name      string     `json:"name"`                // as the rest of the world names it: "docker.io/library/alpine"
	Reference string     `json:"reference,omitempty"` // tag or digest, as it was asked for; of a blob its digest
	Digest    oci.Digest `json:"digest,omitzero"`     // what that is; absent if it was not found
	Size      int64      `json:"size,omitempty"`      // of the manifest or blob, in bytes
	Origin    oci.Origin `json:"origin,omitempty"`    // absent where something was stored or deleted
	Upstream  string     `json:"upstream,omitempty"`  // the namespace that it came from: "docker.io"
	Detail    string     `json:"detail,omitempty"`    // what the client was told, if it did not get it
	Client
}

// Client is who asks.
type Client struct {
	User    string `json:"user,omitempty"`    // absent: nobody
	Tool    string `json:"tool,omitempty"`    // as it calls itself: "docker/20.10.24"
	Address string `json:"address,omitempty"` // without a port
}

// Action is what a client does.
type Action string

// The actions. Clients resolve a tag before they pull its digest, or pull the tag.
const (
	Resolve Action = "resolve" // to ask what there is (HEAD)
	Pull    Action = "pull"
	Push    Action = "push"
	Delete  Action = "delete"
)

// Kind is what an event is about.
type Kind string

// The kinds.
const (
	Manifest Kind = "manifest"
	Blob     Kind = "blob"
)

// detail is what a client is told of an error.
func detail(err error) string {
	if err == nil {
		return ""
	}
	if told, ok := oci.AsError(err); ok {
		const most = 300
		return told.Message[:min(len(told.Message), most)]
	}
	return "the registry has a fault, which is in its log"
}

type contextKey struct{}

// WithClient says who a request comes from.
func WithClient(ctx context.Context, c Client) context.Context {
	return context.WithValue(ctx, contextKey{}, c)
}

func clientOf(ctx context.Context) Client {
	c, _ := ctx.Value(contextKey{}).(Client)
	return c
}

// Entry is an Event as the journal has it: all that are alike, and not long apart, in one.
type Entry struct {
	Time  time.Time `json:"time"` // of the first
	Last  time.Time `json:"last"`
	Count int       `json:"count"`
	Event
}
