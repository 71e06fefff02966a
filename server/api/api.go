// Package api speaks the OCI distribution specification 1.1 over HTTP, and what
// Docker's clients expect beyond it, for any oci.Registry.
//
// Handlers return errors; errors.go alone turns them into answers. Locations
// and links are paths without a host: they hold behind any proxy.
package api

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"opendev.org/zuul/zuul-registry/server/oci"
)

// Options are what the API needs besides a registry.
type Options struct {
	// Login asks whether good credentials came with the request; the error
	// otherwise. It decides about /v2/, where clients log in.
	Login func(context.Context) error
	// MayPush asks whether the request may push to a repository, before the
	// body of a manifest is read; the error otherwise.
	MayPush func(context.Context, oci.Name) error
	// Challenges are the values of WWW-Authenticate for a scope.
	Challenges func(r *http.Request, scope string) []string
	Errors     ErrorWriter
}

type handler struct {
	registry oci.Registry
	Options
}

// New makes the handler of everything below /v2/.
func New(r oci.Registry, o Options) http.Handler { return &handler{r, o} }

type action func(h *handler, w http.ResponseWriter, r *http.Request, t target) error

// actions are the methods of each kind of path.
var actions = map[kind]map[string]action{
	base:      {http.MethodGet: (*handler).ping, http.MethodHead: (*handler).ping},
	catalog:   {http.MethodGet: (*handler).listRepositories, http.MethodHead: (*handler).listRepositories},
	tags:      {http.MethodGet: (*handler).listTags, http.MethodHead: (*handler).listTags},
	referrers: {http.MethodGet: (*handler).listReferrers, http.MethodHead: (*handler).listReferrers},
	manifest: {http.MethodGet: (*handler).getManifest, http.MethodHead: (*handler).statManifest,
		http.MethodPut: (*handler).putManifest, http.MethodDelete: (*handler).deleteManifest},
	blob: {http.MethodGet: (*handler).getBlob, http.MethodHead: (*handler).statBlob,
		http.MethodDelete: (*handler).deleteBlob},
	uploads: {http.MethodPost: (*handler).postUpload},
	upload: {http.MethodGet: (*handler).statUpload, http.MethodPatch: (*handler).patchUpload,
		http.MethodPut: (*handler).putUpload, http.MethodDelete: (*handler).deleteUpload},
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	t, err := parse(r.URL)
	if err == nil {
		err = h.serve(w, r, t)
	}
	if errors.Is(err, oci.Unsupported) {
		w.Header().Set("Allow", t.methods(r.Method))
	}
	if err != nil {
		h.Errors.Write(w, r, err, h.Challenges(r, t.scope(r))...)
	}
}

func (h *handler) serve(w http.ResponseWriter, r *http.Request, t target) error {
	do, ok := actions[t.kind][r.Method]
	if !ok {
		return oci.Errorf(oci.Unsupported, "%.20s is not supported here: %s are", r.Method, t.methods(r.Method))
	}
	return do(h, w, r, t)
}

// methods are those of the target, but for one that is not possible now.
func (t target) methods(but string) string {
	var all []string
	for method := range actions[t.kind] {
		if method != but {
			all = append(all, method)
		}
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

// scope is what a token must be good for, as in the challenges of Docker's
// token specification.
func (t target) scope(r *http.Request) string {
	repository := "repository:" + t.name.String()
	switch {
	case t.kind == unknown, t.kind == base:
		return ""
	case t.kind == catalog:
		return "registry:catalog:*"
	case t.kind == uploads:
		if from, err := oci.ParseName(r.URL.Query().Get("from")); err == nil { // a mount
			return repository + ":pull,push repository:" + from.String() + ":pull"
		}
		return repository + ":pull,push"
	case t.kind == upload, r.Method == http.MethodPut:
		return repository + ":pull,push"
	case r.Method == http.MethodDelete:
		return repository + ":delete"
	}
	return repository + ":pull"
}

func (h *handler) ping(w http.ResponseWriter, r *http.Request, _ target) error {
	if err := h.Login(r.Context()); err != nil {
		return err
	}
	return writeJSON(w, "application/json", struct{}{})
}

// clip shortens what a client sent.
func clip(s string) string {
	const longest = 200
	return s[:min(len(s), longest)]
}

// Describe names what a request is about, for logs.
func Describe(r *http.Request) []slog.Attr {
	t, err := parse(r.URL)
	if err != nil || t.name.IsZero() {
		return []slog.Attr{slog.String("path", clip(r.URL.Path))}
	}
	attrs := []slog.Attr{slog.String("name", t.name.String())}
	if ref := t.reference(); ref != "" {
		attrs = append(attrs, slog.String("reference", ref))
	}
	return attrs
}
