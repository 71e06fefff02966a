package oci

import "context"

type acceptedKey struct{}

// Accepting says which media types the client takes, the best first. It matters only
// where a tag names several manifests, as those may that Python zuul-registry stored.
func Accepting(ctx context.Context, mediaTypes []string) context.Context {
	return context.WithValue(ctx, acceptedKey{}, mediaTypes)
}

// Accepted is what Accepting said.
func Accepted(ctx context.Context) []string {
	mediaTypes, _ := ctx.Value(acceptedKey{}).([]string)
	return mediaTypes
}
