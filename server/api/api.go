// Package api speaks the OCI distribution specification 1.1 over HTTP, and what
// Docker's clients expect beyond it, for any oci.Registry.
//
// Handlers return errors; errors.go alone turns them into answers. Locations
// and links are paths without a host, with the spelling of the request: they hold
// behind any proxy.
package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"opendev.org/zuul/zuul-registry/server/oci"
)

// Options are what the API needs besides a registry.
type Options struct {
	// Name is the repository that a path and a parameter ns, which may be empty,
	// stand for: NAME_INVALID or NAME_UNKNOWN if none.
	Name func(path, ns string) (oci.Name, error)
	// Pushes is the registry as pushers see it, who ask by HEAD what they need not
	// push; nil: as others do.
	Pushes oci.Registry
	// IsPusher asks whether the request comes from one of them.
	IsPusher func(context.Context, oci.Name) bool
	// ReadOnly refuses everything but GET and HEAD.
	ReadOnly bool
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

// Handler is the handler of everything below /v2/. Make it with New.
type Handler struct {
	registry oci.Registry
	Options
}

// New makes the handler of a registry.
func New(r oci.Registry, o Options) *Handler {
	if o.Pushes == nil {
		o.Pushes = r
	}
	return &Handler{r, o}
}

type action func(h *Handler, w http.ResponseWriter, r *http.Request, t target) error

// actions are the methods of each kind of path.
var actions = map[kind]map[string]action{
	base:      {http.MethodGet: (*Handler).ping, http.MethodHead: (*Handler).ping},
	catalog:   {http.MethodGet: (*Handler).listRepositories, http.MethodHead: (*Handler).listRepositories},
	tags:      {http.MethodGet: (*Handler).listTags, http.MethodHead: (*Handler).listTags},
	referrers: {http.MethodGet: (*Handler).listReferrers, http.MethodHead: (*Handler).listReferrers},
	manifest: {http.MethodGet: (*Handler).getManifest, http.MethodHead: (*Handler).statManifest,
		http.MethodPut: (*Handler).putManifest, http.MethodDelete: (*Handler).deleteManifest},
	blob: {http.MethodGet: (*Handler).getBlob, http.MethodHead: (*Handler).statBlob,
		http.MethodDelete: (*Handler).deleteBlob},
	uploads: {http.MethodPost: (*Handler).postUpload},
	upload: {http.MethodGet: (*Handler).statUpload, http.MethodPatch: (*Handler).patchUpload,
		http.MethodPut: (*Handler).putUpload, http.MethodDelete: (*Handler).deleteUpload},
}

func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	t, err := h.parse(r)
	if err == nil {
		if t.ns != "" && !t.name.Shadows.IsZero() {
			w.Header().Set("OCI-Namespace", t.ns)
		}
		err = h.serve(w, r, t)
	}
	if errors.Is(err, oci.Unsupported) {
		w.Header().Set("Allow", h.methods(t, r.Method))
	}
	if err != nil {
		h.Errors.Write(w, r, err, h.Challenges(r, h.scope(r, t))...)
	}
}

func (h *Handler) serve(w http.ResponseWriter, r *http.Request, t target) error {
	do, ok := actions[t.kind][r.Method]
	switch {
	case !ok:
		return oci.Errorf(oci.Unsupported, "%.20s is not supported here: %s are", r.Method, h.methods(t, r.Method))
	case !h.allows(r.Method):
		return oci.Errorf(oci.Unsupported, "%.20s is not supported here: this address is for reading, and pushes go to another", r.Method)
	}
	warned := oci.OnWarning(r.Context(), func(text string) {
		w.Header().Add("Warning", fmt.Sprintf("299 - %q", text)) // RFC 7234, section 5.5
	})
	return do(h, w, r.WithContext(warned), t)
}

func (h *Handler) allows(method string) bool {
	return !h.ReadOnly || method == http.MethodGet || method == http.MethodHead
}

// methods are those of the target, but for one that is not possible now.
func (h *Handler) methods(t target, but string) string {
	var all []string
	for method := range actions[t.kind] {
		if method != but && h.allows(method) {
			all = append(all, method)
		}
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

// scope is what a token must be good for, as in the challenges of Docker's
// token specification.
func (h *Handler) scope(r *http.Request, t target) string {
	repository := "repository:" + t.name.Asked
	switch {
	case t.kind == unknown, t.kind == base:
		return ""
	case t.kind == catalog:
		return "registry:catalog:*"
	case t.kind == uploads:
		if from, err := oci.ParseName(r.URL.Query().Get("from")); err == nil { // a mount
			return repository + ":pull,push repository:" + from.Asked + ":pull"
		}
		return repository + ":pull,push"
	case t.kind == upload, r.Method == http.MethodPut, t.kind == manifest && h.isBeforePut(r):
		return repository + ":pull,push"
	case r.Method == http.MethodDelete:
		return repository + ":delete"
	}
	return repository + ":pull"
}

func (h *Handler) ping(w http.ResponseWriter, r *http.Request, _ target) error {
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

// routes are the names of the kinds of path.
var routes = [...]string{
	unknown: "other", base: "base", catalog: "catalog", tags: "tags", referrers: "referrers",
	manifest: "manifest", blob: "blob", uploads: "uploads", upload: "upload",
}

// Describe names the kind of path that a request takes, "other" where that cannot be
// told, and what the request is about, for logs.
func (h *Handler) Describe(r *http.Request) (route string, about []slog.Attr) {
	t, err := h.parse(r)
	if err != nil || t.name.IsZero() {
		return routes[t.kind], []slog.Attr{slog.String("path", clip(r.URL.Path))}
	}
	about = []slog.Attr{slog.String("name", t.name.String())}
	if ref := t.reference(); ref != "" {
		about = append(about, slog.String("reference", ref))
	}
	return routes[t.kind], about
}
