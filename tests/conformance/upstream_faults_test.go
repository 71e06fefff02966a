package conformance

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
)

// fault is a way to misbehave: what an upstream does in place of its honest
// answer, or with it.
type fault func(w http.ResponseWriter, r *http.Request, honest http.HandlerFunc)

// fails has the upstream misbehave when it is asked for something of these
// kinds, or for anything.
func (u *upstream) fails(f fault, kinds ...callKind) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(kinds) == 0 {
		kinds = []callKind{anyCall}
	}
	for _, kind := range kinds {
		u.faults[kind] = f
	}
}

// recovers has the upstream be honest again.
func (u *upstream) recovers() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.faults = map[callKind]fault{}
}

// with is the fault, where another takes the place of the honest answer.
func (f fault) with(inner fault) fault {
	return func(w http.ResponseWriter, r *http.Request, honest http.HandlerFunc) {
		f(w, r, func(w http.ResponseWriter, r *http.Request) { inner(w, r, honest) })
	}
}

// times is the fault for that many calls, and honesty after that.
func (f fault) times(n int64) fault {
	var calls atomic.Int64
	return func(w http.ResponseWriter, r *http.Request, honest http.HandlerFunc) {
		if calls.Add(1) > n {
			honest(w, r)
			return
		}
		f(w, r, honest)
	}
}

// answers is a refusal, with headers by name and value.
func answers(status int, headers ...string) fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.HandlerFunc) {
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		refuse(w, status, "TOOMANYREQUESTS")
	}
}

// showsPage answers with a page for people, as proxies do that want a login.
func showsPage(w http.ResponseWriter, _ *http.Request, _ http.HandlerFunc) {
	w.Header().Set("Content-Type", "text/html")
	_, _ = io.WriteString(w, "<!DOCTYPE html><title>Log in</title><p>Please log in to the network.")
}

// hangsUp closes the connection without an answer.
func hangsUp(http.ResponseWriter, *http.Request, http.HandlerFunc) { panic(http.ErrAbortHandler) }

// holds does not answer before the test says so, or the client has gone.
func holds(until <-chan struct{}) fault {
	return func(w http.ResponseWriter, r *http.Request, honest http.HandlerFunc) {
		pause(r, until)
		honest(w, r)
	}
}

// hangs never answers.
func hangs(w http.ResponseWriter, r *http.Request, honest http.HandlerFunc) { holds(nil)(w, r, honest) }

func pause(r *http.Request, until <-chan struct{}) {
	select {
	case <-until:
	case <-r.Context().Done():
		panic(http.ErrAbortHandler)
	}
}

// holdsAfter sends so many bytes of the body, and the rest when the test says
// so: never, if until is nil.
func holdsAfter(n int, until <-chan struct{}) fault {
	return func(w http.ResponseWriter, r *http.Request, honest http.HandlerFunc) {
		honest(&tap{ResponseWriter: w, left: n, then: func() { pause(r, until) }}, r)
	}
}

// cutsAfter sends so many bytes of the body, and closes the connection.
func cutsAfter(n int) fault {
	return func(w http.ResponseWriter, r *http.Request, honest http.HandlerFunc) {
		honest(&tap{ResponseWriter: w, left: n, then: func() { panic(http.ErrAbortHandler) }}, r)
	}
}

// tap sends the first bytes of a body, and does something before the rest.
type tap struct {
	http.ResponseWriter
	left int
	then func()
}

func (w *tap) Write(p []byte) (int, error) {
	if w.then == nil || len(p) < w.left {
		n, err := w.ResponseWriter.Write(p)
		w.left -= n
		return n, err
	}
	before, err := w.ResponseWriter.Write(p[:w.left])
	if err != nil {
		return before, err
	}
	if err := http.NewResponseController(w.ResponseWriter).Flush(); err != nil {
		return before, err
	}
	w.then()
	w.then = nil
	after, err := w.ResponseWriter.Write(p[before:])
	return before + after, err
}

// ignoresRange sends the whole of what a part was asked of.
func ignoresRange(w http.ResponseWriter, r *http.Request, honest http.HandlerFunc) {
	whole := r.Clone(r.Context())
	whole.Header.Del("Range")
	honest(w, whole)
}

// alters changes the honest answer.
func alters(change func(a *httptest.ResponseRecorder)) fault {
	return func(w http.ResponseWriter, r *http.Request, honest http.HandlerFunc) {
		a := httptest.NewRecorder()
		honest(a, r)
		change(a)
		for name, values := range a.Header() {
			w.Header()[name] = values
		}
		w.WriteHeader(a.Code)
		if a.Header().Get("Content-Length") == "" {
			_ = http.NewResponseController(w).Flush() // else the length is found out
		}
		_, _ = w.Write(a.Body.Bytes())
	}
}

// sends has other content in place of the right one, and says how long it is.
func sends(content []byte) fault {
	return alters(func(a *httptest.ResponseRecorder) {
		a.Header().Set("Content-Length", strconv.Itoa(len(content)))
		a.Body.Reset()
		a.Body.Write(content)
	})
}

// scrambles has wrong bytes in place of some.
func scrambles() fault {
	return alters(func(a *httptest.ResponseRecorder) {
		for i := range a.Body.Bytes() {
			a.Body.Bytes()[i] ^= 0xff
		}
	})
}

// says has another header than the honest answer; none, if the value is empty.
func says(header, value string) fault {
	return alters(func(a *httptest.ResponseRecorder) {
		if a.Header().Del(header); value != "" {
			a.Header().Set(header, value)
		}
	})
}

// neverEnds sends a body for as long as somebody reads it.
func neverEnds(status int, mediaType, begin string) fault {
	return func(w http.ResponseWriter, r *http.Request, _ http.HandlerFunc) {
		w.Header().Set("Content-Type", mediaType)
		w.WriteHeader(status)
		_, err := io.WriteString(w, begin)
		for filling := strings.Repeat("and so on ", 10_000); err == nil; {
			_, err = io.WriteString(w, filling)
		}
	}
}

// leadsTo redirects to the same path elsewhere.
func leadsTo(base string) fault {
	return func(w http.ResponseWriter, r *http.Request, _ http.HandlerFunc) {
		http.Redirect(w, r, base+r.URL.RequestURI(), http.StatusTemporaryRedirect)
	}
}

// leadsAstray redirects for ever.
func leadsAstray(w http.ResponseWriter, r *http.Request, _ http.HandlerFunc) {
	step, _ := strconv.Atoi(r.URL.Query().Get("step"))
	http.Redirect(w, r, fmt.Sprintf("%s?step=%d", r.URL.Path, step+1), http.StatusTemporaryRedirect)
}
