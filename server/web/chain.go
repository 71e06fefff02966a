// Package web is what every request passes, whatever it is about: its identity,
// its record in the log, the recovery from a panic, and the limits on clients
// that stop sending or receiving.
package web

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/gorilla/handlers"

	"opendev.org/zuul/zuul-registry/server/access"
	"opendev.org/zuul/zuul-registry/server/provenance"
)

// Options are the settings of Chain.
type Options struct {
	Log *slog.Logger
	// Identify says who a request comes from.
	Identify func(*http.Request) access.Grant
	// Describe names the route of a request that has no Route of its own, which is one
	// of few, and says what any request is about, for the log. It is asked before the
	// request is served.
	Describe func(*http.Request) (route string, about []slog.Attr)
	// Begin, unless nil, is told of each request on its route, and what it returns of
	// how that ended: the status of the answer, 0 if there was none, the bytes of the
	// bodies, and how long it took. The method is as the client sent it.
	Begin func(route, method string) (end func(status int, sent, received int64, took time.Duration))
	// BehindProxy: X-Forwarded-* and Forwarded headers are believed, for a
	// proxy in front sets them.
	BehindProxy bool
	// Idle is how long a client has for the next bytes that it is to send, and
	// for each piece of an answer that it is to take.
	Idle time.Duration
}

// Chain puts routes behind all that.
func Chain(routes Routes, o Options) http.Handler {
	if o.Begin == nil {
		o.Begin = func(string, string) func(int, int64, int64, time.Duration) {
			return func(int, int64, int64, time.Duration) {}
		}
	}
	var h http.Handler = &chain{routes, o}
	if o.BehindProxy {
		h = handlers.ProxyHeaders(h)
	}
	return h
}

type chain struct {
	routes Routes
	Options
}

func (c *chain) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	begin, id := time.Now(), rand.Text()
	w.Header().Set("X-Request-Id", id)
	w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	r = r.WithContext(context.WithValue(r.Context(), requestID{}, id))
	route := c.routes.of(r.URL.Path)
	name, about := c.Describe(r)
	end := c.Begin(cmp.Or(route.Name, name), r.Method)
	t := newTally(w, r, c.Idle)
	defer func() {
		whole := c.recovered(r, t, recover())
		t.allowWrite() // for what is still buffered
		took := time.Since(begin)
		end(t.status, t.sent, t.received, took)
		c.record(r, about, t, took)
		if !whole {
			panic(http.ErrAbortHandler) // what was sent so far must not look whole
		}
	}()
	grant := c.Identify(r)
	ctx := provenance.WithClient(access.WithGrant(r.Context(), grant), clientOf(r, grant))
	r = r.WithContext(ctx)
	route.Handler.ServeHTTP(t, r)
}

// clientOf says who a request comes from, for the journal.
func clientOf(r *http.Request, g access.Grant) provenance.Client {
	address := clip(r.RemoteAddr)
	if host, _, err := net.SplitHostPort(address); err == nil {
		address = host
	}
	return provenance.Client{User: g.User, Tool: tool(r.UserAgent()), Address: address}
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
func (c *chain) record(r *http.Request, about []slog.Attr, t *tally, took time.Duration) {
	level := slog.LevelInfo
	if t.status == http.StatusOK && (r.URL.Path == HealthyPath || r.URL.Path == ReadyPath) {
		level = slog.LevelDebug
	}
	if !c.Log.Enabled(r.Context(), level) {
		return
	}
	attrs := append([]slog.Attr{slog.String("method", clip(r.Method))}, about...)
	attrs = append(attrs,
		slog.Int("status", t.status),
		slog.Int64("sent", t.sent),
		slog.Int64("received", t.received),
		slog.Duration("duration", took),
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
