package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"

	"opendev.org/zuul/zuul-registry/server/oci"
)

// statuses are the HTTP statuses of the codes, where it is not 400.
var statuses = map[oci.Code]int{
	oci.BlobUnknown:       http.StatusNotFound,
	oci.BlobUploadUnknown: http.StatusNotFound,
	oci.ManifestUnknown:   http.StatusNotFound,
	oci.NameUnknown:       http.StatusNotFound,
	oci.RangeInvalid:      http.StatusRequestedRangeNotSatisfiable,
	oci.SizeInvalid:       http.StatusRequestEntityTooLarge,
	oci.Unauthorized:      http.StatusUnauthorized,
	oci.Denied:            http.StatusForbidden,
	oci.Unsupported:       http.StatusMethodNotAllowed,
	oci.Unavailable:       http.StatusServiceUnavailable,
}

// clientLeft is what servers log for a request whose client has gone; nobody gets
// it.
const clientLeft = 499

// serverFault is the code of a fault of the server, whose text stays in the log.
const serverFault oci.Code = "UNKNOWN"

// ErrorWriter is the one place that answers with an error.
type ErrorWriter struct{ Log *slog.Logger }

// Write answers with an error. The challenges go with a 401. Anything that is
// not an oci.Error is a fault of the server: it is logged, and the answer says
// no more than that.
func (e ErrorWriter) Write(w http.ResponseWriter, r *http.Request, err error, challenges ...string) {
	fault, ok := oci.AsError(err)
	status := http.StatusBadRequest
	switch {
	case !ok && r.Context().Err() != nil && faults(err) == nil:
		w.WriteHeader(clientLeft)
		return
	case !ok:
		status = http.StatusInternalServerError
		fault = oci.Errorf(serverFault, "the registry has a fault: its log has it as request %s", w.Header().Get("X-Request-Id"))
	case statuses[fault.Code] != 0:
		status = statuses[fault.Code]
	}
	if hidden := faults(err); hidden != nil {
		e.Log.ErrorContext(r.Context(), "request failed", "method", r.Method, "path", clip(r.URL.Path), "error", hidden)
	}
	if status == http.StatusUnauthorized {
		w.Header()["WWW-Authenticate"] = challenges
	}
	writeFault(w, status, fault)
}

// faults are the parts of an error that no client is told: all that is not an
// oci.Error, but for the end of a request that its client has left.
func faults(err error) error {
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		var found []error
		for _, one := range several.Unwrap() {
			found = append(found, faults(one))
		}
		return errors.Join(found...)
	}
	if _, ok := oci.AsError(err); ok || errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// Handler makes a handler of a function that returns errors.
func (e ErrorWriter) Handler(f func(http.ResponseWriter, *http.Request) error, challenges ...string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := f(w, r); err != nil {
			e.Write(w, r, err, challenges...)
		}
	})
}

func writeFault(w http.ResponseWriter, status int, fault *oci.Error) {
	type entry struct {
		Code    oci.Code `json:"code"`
		Message string   `json:"message"`
		Detail  any      `json:"detail,omitempty"`
	}
	body, err := json.Marshal(map[string][]entry{"errors": {{fault.Code, fault.Message, fault.Detail}}})
	if err != nil {
		body = fmt.Appendf(nil, `{"errors":[{"code":%q}]}`, fault.Code)
	}
	w.Header().Del("Warning") // was about another answer
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // a client that has gone is no fault
}

// writeJSON answers with an object.
func writeJSON(w http.ResponseWriter, mediaType string, object any) error {
	body, err := json.Marshal(object)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body)
	return nil
}
