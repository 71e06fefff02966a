package web_test

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
)

// Each request is told of when it begins and when it ends, whatever becomes of it.
func TestRequestsAreToldOf(t *testing.T) {
	var told []string
	say := func(format string, values ...any) { told = append(told, fmt.Sprintf(format, values...)) }
	h, _ := chain(func(w http.ResponseWriter, r *http.Request) {
		say("handler")
		r.URL.Path = "/changed"
		switch r.Method {
		case http.MethodPost:
			panic("a fault")
		case http.MethodGet:
			panic(http.ErrAbortHandler)
		}
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusCreated)
		_, _ = w.Write([]byte("12345"))
	}, func(o *options) {
		o.Describe = func(r *http.Request) (string, []slog.Attr) {
			say("describe %s", r.URL.Path)
			return "there", nil
		}
		o.Begin = func(route, method string) func(int, int64, int64, time.Duration) {
			say("%s %s begins", method, route)
			return func(status int, sent, received int64, took time.Duration) {
				if took <= 0 || took > time.Minute {
					t.Errorf("it took %s", took)
				}
				say("%s %s ends: %d, sent %v, received %d", method, route, status, sent > 0, received)
			}
		}
	})
	for _, tt := range []struct {
		method, path string
		want         []string
	}{
		{http.MethodPut, "/v2/x", []string{"describe /v2/x", "PUT there begins", "handler", "PUT there ends: 201, sent true, received 3"}},
		{http.MethodPut, "/healthz", []string{"describe /healthz", "PUT healthz begins", "handler", "PUT healthz ends: 201, sent true, received 3"}},
		{http.MethodPost, "/v2/x", []string{"describe /v2/x", "POST there begins", "handler", "POST there ends: 500, sent true, received 0"}},
		{http.MethodGet, "/v2/x", []string{"describe /v2/x", "GET there begins", "handler", "GET there ends: 0, sent false, received 0"}},
	} {
		told = nil
		func() {
			defer func() { _ = recover() }() // as the server does, where there is no good end
			h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(tt.method, tt.path, strings.NewReader("123")))
		}()
		if !slices.Equal(told, tt.want) {
			t.Errorf("%s %s: %q, want %q", tt.method, tt.path, told, tt.want)
		}
	}
}
