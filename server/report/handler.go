package report

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"

	"golang.org/x/sync/singleflight"

	"opendev.org/zuul/zuul-registry/server/oci"
)

// Where a Report is served.
const (
	Path     = "/report"
	PagePath = "/"
)

// Handler answers with Reports. Its methods return errors, as those of other handlers do.
type Handler struct {
	// Collect makes a Report.
	Collect func(context.Context, Filter) Report
	// MayRead is the error of who may not.
	MayRead func(context.Context) error

	collecting singleflight.Group
}

// JSON answers with a Report.
func (h *Handler) JSON(w http.ResponseWriter, r *http.Request) error {
	report, err := h.report(w, r)
	if err != nil {
		return err
	}
	text, err := json.Marshal(report)
	if err != nil {
		return err
	}
	send(w, r, "application/json", text)
	return nil
}

// Page answers with the page.
func (h *Handler) Page(w http.ResponseWriter, r *http.Request) error {
	report, err := h.report(w, r)
	if err != nil {
		return err
	}
	text, err := report.Page(true)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Security-Policy", PagePolicy(true))
	w.Header().Set("Referrer-Policy", "no-referrer")
	send(w, r, "text/html; charset=utf-8", text)
	return nil
}

func send(w http.ResponseWriter, r *http.Request, mediaType string, text []byte) {
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if r.Method != http.MethodHead {
		_, _ = w.Write(text)
	}
}

// report makes the Report that a request is for. Those who ask for the same at once get
// the same: it may take seconds, and everybody may ask.
func (h *Handler) report(w http.ResponseWriter, r *http.Request) (Report, error) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		return Report{}, oci.Errorf(oci.Unsupported, "%.20s is not supported here: GET and HEAD are", r.Method)
	}
	if err := h.MayRead(r.Context()); err != nil {
		return Report{}, err
	}
	f, err := ParseFilter(r.URL.Query())
	if err != nil {
		return Report{}, oci.Errorf(oci.ParameterInvalid, "%v", err)
	}
	made, err, _ := h.collecting.Do(r.URL.RawQuery, func() (any, error) {
		return h.Collect(context.WithoutCancel(r.Context()), f), nil
	})
	return made.(Report), err
}
