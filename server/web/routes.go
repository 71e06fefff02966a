package web

import (
	"context"
	"log/slog"
	"net/http"
	"time"
)

// Routes are handlers by path; that of "/" has all paths that no other has. No
// path is cleaned or redirected, for those of registries are taken as they are.
type Routes map[string]http.Handler

func (routes Routes) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h, ok := routes[r.URL.Path]
	if !ok {
		h = routes["/"]
	}
	h.ServeHTTP(w, r)
}

// Where probes ask.
const (
	HealthyPath = "/healthz"
	ReadyPath   = "/readyz"
)

// Healthy answers that the process is there.
func Healthy(w http.ResponseWriter, _ *http.Request) { say(w, http.StatusOK, "ok") }

// longestProbe is less than what those who probe wait for an answer, as the 3 seconds
// (timeout check) of docs/haproxy.cfg.
const longestProbe = 2500 * time.Millisecond

// Ready answers whether the registry can do its work, which probe tries.
func Ready(log *slog.Logger, probe func(context.Context) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), longestProbe)
		defer cancel()
		if err := probe(ctx); err != nil {
			log.ErrorContext(ctx, "not ready", "error", err)
			say(w, http.StatusServiceUnavailable, "the store cannot be reached")
			return
		}
		say(w, http.StatusOK, "ok")
	}
}

func say(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text + "\n"))
}
