// Package web is what every request passes, whatever it is about: its identity,
// its record in the log, the recovery from a panic, and the limits on clients
// that stop sending or receiving.
package web

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/gorilla/handlers"

	"opendev.org/zuul/zuul-registry/server/access"
)

// Options are the settings of Chain.
type Options struct {
	Log *slog.Logger
	// Identify says who a request comes from.
	Identify func(*http.Request) access.Grant
	// Describe names what a request is about, for the log.
	Describe func(*http.Request) []slog.Attr
	// BehindProxy: X-Forwarded-* and Forwarded headers are believed, for a
	// proxy in front sets them.
	BehindProxy bool
	// Idle is how long a client has for the next bytes that it is to send, and
	// for each piece of an answer that it is to take.
	Idle time.Duration
}

// Chain puts a handler behind all that.
func Chain(next http.Handler, o Options) http.Handler {
	var h http.Handler = &chain{next, o}
	if o.BehindProxy {
		h = handlers.ProxyHeaders(h)
	}
	return h
}

type chain struct {
	next http.Handler
	Options
}

func (c *chain) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	begin, id := time.Now(), rand.Text()
	w.Header().Set("X-Request-Id", id)
	w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	r = r.WithContext(context.WithValue(r.Context(), requestID{}, id))
	t := newTally(w, r, c.Idle)
	defer func() {
		whole := c.recovered(r, t, recover())
		t.allowWrite() // for what is still buffered
		c.record(r, t, time.Since(begin))
		if !whole {
			panic(http.ErrAbortHandler) // what was sent so far must not look whole
		}
	}()
	r = r.WithContext(access.WithGrant(r.Context(), c.Identify(r)))
	c.next.ServeHTTP(t, r)
}

// recovered deals with what a handler panicked with, if it did, and says
// whether the answer is whole.
func (c *chain) recovered(r *http.Request, t *tally, panicked any) bool {
	if panicked == nil {
		t.status = max(t.status, http.StatusOK)
		return true
	}
	if panicked == http.ErrAbortHandler {
		t.note(errCut)
		return false
	}
	c.Log.ErrorContext(r.Context(), "panic", "panic", panicked, "stack", string(debug.Stack()))
	if t.status != 0 {
		return false
	}
	t.Header().Set("Content-Type", "application/json")
	t.WriteHeader(http.StatusInternalServerError)
	_, err := t.Write([]byte(`{"errors":[{"code":"UNKNOWN","message":"the registry has a fault"}]}`))
	return err == nil
}

// errCut is noted where the handler had no more to send than it had announced.
var errCut = errors.New("there was no good end to send")

// record writes the request's one line. Probes that find all well come often
// and say nothing: they are for debugging.
func (c *chain) record(r *http.Request, t *tally, d time.Duration) {
	level := slog.LevelInfo
	if t.status == http.StatusOK && (r.URL.Path == HealthyPath || r.URL.Path == ReadyPath) {
		level = slog.LevelDebug
	}
	if !c.Log.Enabled(r.Context(), level) {
		return
	}
	attrs := append([]slog.Attr{slog.String("method", clip(r.Method))}, c.Describe(r)...)
	attrs = append(attrs,
		slog.Int("status", t.status),
		slog.Int64("sent", t.sent),
		slog.Int64("received", t.received),
		slog.Duration("duration", d),
		slog.String("user", access.GrantOf(r.Context()).User),
		slog.String("client", tool(r.UserAgent())),
		slog.String("address", clip(r.RemoteAddr)))
	if t.cut != nil {
		attrs = append(attrs, slog.Any("cut", t.cut))
	}
	c.Log.LogAttrs(r.Context(), level, "request", attrs...)
}

// tool is the first product of a User-Agent: "docker/20.10.24".
func tool(userAgent string) string {
	first, _, _ := strings.Cut(userAgent, " ")
	return clip(first)
}

// clip shortens what a client sent.
func clip(s string) string {
	const longest = 80
	return s[:min(len(s), longest)]
}

type requestID struct{}

// LogHandler adds the request's id to what is logged with its context.
func LogHandler(h slog.Handler) slog.Handler { return logHandler{h} }

type logHandler struct{ slog.Handler }

func (h logHandler) Handle(ctx context.Context, r slog.Record) error {
	if id, ok := ctx.Value(requestID{}).(string); ok {
		r.AddAttrs(slog.String("request", id))
	}
	return h.Handler.Handle(ctx, r)
}

func (h logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return logHandler{h.Handler.WithAttrs(attrs)}
}

func (h logHandler) WithGroup(name string) slog.Handler {
	return logHandler{h.Handler.WithGroup(name)}
}
