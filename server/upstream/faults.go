package upstream

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/errcode"

	"opendev.org/zuul/zuul-registry/server/oci"
)

// query is one thing that a registry is asked for.
type query struct {
	registry   *Registry
	caller     context.Context
	ctx        context.Context // of the requests
	repository string
	wanted     string   // for people: "manifest latest"
	unknown    oci.Code // what it is if it is not there

	cancel context.CancelCauseFunc
	timer  *time.Timer
}

var errImpatient = errors.New("no byte came in time")

// ask begins a query. The caller calls end once.
func (r *Registry) ask(ctx context.Context, repository, wanted string, unknown oci.Code) *query {
	q := &query{registry: r, caller: ctx, repository: repository, wanted: wanted, unknown: unknown}
	q.ctx, q.cancel = context.WithCancelCause(ctx)
	q.timer = time.AfterFunc(r.timeout, func() { q.cancel(errImpatient) })
	return q
}

// progress gives the registry the time again that it has for the next bytes.
func (q *query) progress() { q.timer.Reset(q.registry.timeout) }

// pause asks nothing of the registry until the next progress.
func (q *query) pause() { q.timer.Stop() }

func (q *query) end() {
	q.timer.Stop()
	q.cancel(nil)
}

// notThere is an answer of the UNKNOWN codes.
func (q *query) notThere() error {
	return oci.Errorf(q.unknown, "%s of %s is neither in this registry nor in %s", q.wanted, q.repository, q.registry.namespace)
}

// bad is an answer that is none.
func (q *query) bad(cause error, format string, args ...any) error {
	fault := oci.Errorf(oci.Unavailable, "%s of %s is not in this registry, and %s "+format,
		append([]any{q.wanted, q.repository, q.registry.namespace}, args...)...)
	fault.Cause = cause
	return fault
}

// fault says what an error of the client means.
func (q *query) fault(err error) error {
	var told *oci.Error
	var answer *errcode.ErrorResponse
	var busy *busyError
	switch {
	case err == nil:
		return nil
	case q.caller.Err() != nil:
		return q.caller.Err()
	case errors.As(err, &told):
		return err
	case errors.Is(err, errdef.ErrNotFound):
		return q.notThere()
	case errors.Is(err, auth.ErrBasicCredentialNotFound):
		return q.refused(err)
	case errors.As(err, &answer):
		return q.status(answer.StatusCode, err)
	case errors.As(err, &busy):
		return q.bad(err, "%v", busy)
	case context.Cause(q.ctx) == errImpatient:
		return q.bad(fmt.Errorf("%w: %w", errImpatient, err), "does not answer in time")
	}
	return q.bad(err, "does not answer as it should")
}

// status is the fault of an answer that is not 200.
func (q *query) status(status int, err error) error {
	switch status {
	case http.StatusNotFound, http.StatusGone, http.StatusBadRequest:
		return q.notThere()
	case http.StatusUnauthorized, http.StatusForbidden:
		return q.refused(err)
	case http.StatusTooManyRequests:
		return q.bad(err, "has had too many requests")
	}
	return q.bad(err, "answers with status %d", status)
}

// refused is a miss: the image may be private, or not there at all, which many
// registries do not tell apart.
func (q *query) refused(err error) error {
	r := q.registry
	r.log.WarnContext(q.caller, "upstream refuses: if the repository is not public, ZUUL_REGISTRY_UPSTREAM_AUTH_FILE needs credentials that may pull from it",
		"name", r.namespace+"/"+q.repository, "key", strings.Join(keys(r.url.Host), " or "), "error", err)
	return q.notThere()
}
