package oci

import "context"

type warningsKey struct{}

// OnWarning has warn called for what is amiss about an answer that is good
// nevertheless, such as that it may be out of date. That is before the method of
// the Registry returns, or its listing ends, and on the same goroutine.
func OnWarning(ctx context.Context, warn func(text string)) context.Context {
	return context.WithValue(ctx, warningsKey{}, warn)
}

// Warn tells whoever wants to know. The text is for the client's user.
func Warn(ctx context.Context, text string) {
	if warn, ok := ctx.Value(warningsKey{}).(func(string)); ok {
		warn(text)
	}
}
