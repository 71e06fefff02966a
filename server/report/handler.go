package report

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"

	"opendev.org/zuul/zuul-registry/server/oci"
)

// Where a Report is served.
const (
	Path     = "/report"
	PagePath = "/"
)

// Handler answers with Reports. Its methods return errors, as those of other handlers do.
// Make it with NewHandler.
type Handler struct {
	collect func(context.Context, Filter) Report
	mayRead func(context.Context) error
	turns   chan struct{} // takes a value while a Report is made: it may be large
}

// NewHandler makes a handler of what collect makes, for those whom mayRead gives no error.
func NewHandler(collect func(context.Context, Filter) Report, mayRead func(context.Context) error) *Handler {
	const atOnce = 2
	return &Handler{collect, mayRead, make(chan struct{}, atOnce)}
}

// JSON answers with a Report.
func (h *Handler) JSON(w http.ResponseWriter, r *http.Request) error {
	return h.answer(w, r, "application/json", func(report Report) ([]byte, error) { return json.Marshal(report) })
}

// Page answers with the page.
func (h *Handler) Page(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Content-Security-Policy", PagePolicy())
	w.Header().Set("Referrer-Policy", "no-referrer")
	return h.answer(w, r, "text/html; charset=utf-8", func(report Report) ([]byte, error) { return report.Page(true) })
}

// answer answers with a Report that is made for the request alone: it has all that was
// before.
func (h *Handler) answer(w http.ResponseWriter, r *http.Request, mediaType string, render func(Report) ([]byte, error)) error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		return oci.Errorf(oci.Unsupported, "%.20s is not supported here: GET and HEAD are", r.Method)
	}
	if err := h.mayRead(r.Context()); err != nil {
		return err
	}
	f, err := ParseFilter(r.URL.RawQuery)
	if err != nil {
		return oci.Errorf(oci.ParameterInvalid, "%v", err)
	}
	text, err := h.make(r.Context(), f, render)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if r.Method != http.MethodHead {
		_, _ = w.Write(text) // a client that has gone is no fault
	}
	return nil
}

func (h *Handler) make(ctx context.Context, f Filter, render func(Report) ([]byte, error)) ([]byte, error) {
	select {
	case h.turns <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-h.turns }()
	report := h.collect(ctx, f)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return render(report)
}
