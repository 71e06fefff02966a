package oci

import (
	"context"
	"sync"
)

// Warnings are what is amiss about an answer that is good nevertheless, such as
// that it may be out of date. The zero value is ready.
type Warnings struct {
	mu    sync.Mutex
	texts []string
}

type warningsKey struct{}

// CollectWarnings has Warn, called with the context that it returns, add to what
// All lists.
func CollectWarnings(ctx context.Context) (context.Context, *Warnings) {
	w := new(Warnings)
	return context.WithValue(ctx, warningsKey{}, w), w
}

// Warn tells whoever collects warnings. The text is for the client's user.
func Warn(ctx context.Context, text string) {
	if w, ok := ctx.Value(warningsKey{}).(*Warnings); ok {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.texts = append(w.texts, text)
	}
}

// All lists the warnings so far.
func (w *Warnings) All() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]string(nil), w.texts...)
}
