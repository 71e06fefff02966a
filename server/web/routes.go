package web

import (
	"context"
	"log/slog"
	"net/http"
	"time"
)

// Routes are handlers by path. No path is cleaned or redirected, for those of registries
// are taken as they are.
type Routes struct {
	Paths map[string]Route
	Rest  http.Handler // has all other paths, whose routes Options.Describe names
}

// Route is a path with a name, for those who count requests.
type Route struct {
	Name    string
	Handler http.Handler
}

// of is the route of a path, without a name if it is one of the rest.
func (routes Routes) of(path string) Route {
	if route, ok := routes.Paths[path]; ok {
		return route
	}
	return Route{Handler: routes.Rest}
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
