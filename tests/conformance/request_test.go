package conformance

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// request is one HTTP request in the making. The methods that add to it return
// it, so that a test reads in the order of the wire.
type request struct {
	t       *testing.T
	context context.Context
	server  *server
	who     identity
	method  string
	url     string
	host    string // instead of the server's address, if not empty
	headers http.Header
	open    func() io.Reader // makes the body, anew for each try
	length  int64            // of the body; -1 sends it chunked
}

// request begins a request for a path of the server, or for an absolute
// location that it gave. It carries no credentials.
func (s *server) request(t *testing.T, method, target string) *request {
	if strings.HasPrefix(target, "/") {
		target = s.base() + target
	}
	return &request{
		t: t, context: context.Background(), server: s, who: nobody,
		method: method, url: target, headers: http.Header{},
		open: func() io.Reader { return http.NoBody },
	}
}

// as says who asks.
func (q *request) as(who identity) *request {
	q.who = who
	return q
}

// query adds a parameter to those that the URL has, which an upload's location
// may need.
func (q *request) query(name, value string) *request {
	separator := "?"
	if strings.Contains(q.url, "?") {
		separator = "&"
	}
	q.url += separator + url.QueryEscape(name) + "=" + url.QueryEscape(value)
	return q
}

// header sets a header; all values together.
func (q *request) header(name string, values ...string) *request {
	q.headers[http.CanonicalHeaderKey(name)] = values
	return q
}

// at names another host than the one connected to, as a proxy passes it on.
func (q *request) at(host string) *request {
	q.host = host
	return q
}

// content is a body whose length is announced.
func (q *request) content(body []byte) *request {
	q.length = int64(len(body))
	q.open = func() io.Reader { return bytes.NewReader(body) }
	return q
}

// stream is a body whose length nobody knows before its end.
func (q *request) stream(body []byte) *request {
	q.length = -1
	q.open = func() io.Reader { return io.MultiReader(bytes.NewReader(body)) }
	return q
}

// form is the body of a submitted form.
func (q *request) form(fields url.Values) *request {
	return q.header("Content-Type", "application/x-www-form-urlencoded").content([]byte(fields.Encode()))
}

// attempt sends the request, once more after a challenge that the identity
// can meet, and holds the answer against the rules without exception. It may
// be called beside the test's own goroutine.
func (q *request) attempt() (*answer, error) {
	a, err := q.once()
	if err != nil || a.status != http.StatusUnauthorized {
		return a, err
	}
	if again, err := q.who.challenged(q.server, a); err != nil || !again {
		return a, err
	}
	return q.once()
}

func (q *request) once() (*answer, error) {
	response, err := q.send()
	if err != nil {
		return nil, err
	}
	return readAnswer(q.t, q.server, response)
}

// send returns when the header of the answer is there.
func (q *request) send() (*http.Response, error) {
	r, err := http.NewRequestWithContext(q.context, q.method, q.url, q.open())
	if err != nil {
		return nil, err
	}
	r.Header, r.Host, r.ContentLength = q.headers.Clone(), q.host, q.length
	if authorization := q.who.authorization(); authorization != "" {
		q.server.overhear(authorization)
		r.Header.Set("Authorization", authorization)
	}
	return q.server.client.Do(r)
}

// check is expect for goroutines beside the test's own.
func (q *request) check(statuses ...int) (*answer, error) {
	a, err := q.attempt()
	if err == nil && !slices.Contains(statuses, a.status) {
		err = fmt.Errorf("%s: %s, want %v", a.request, a.summary(), statuses)
	}
	return a, err
}

// expect sends the request and wants one of the statuses.
func (q *request) expect(statuses ...int) *answer {
	q.t.Helper()
	a, err := q.check(statuses...)
	if err != nil {
		q.t.Fatal(err)
	}
	return a
}

// refused sends the request and wants it refused with one of the error codes
// (alternatives are separated by "|") and of the statuses.
func (q *request) refused(codes string, statuses ...int) *answer {
	q.t.Helper()
	a := q.expect(statuses...)
	if err := a.named(codes); err != nil {
		q.t.Fatal(err)
	}
	return a
}

// forbidden sends the request and wants it refused for who asks. Whether the
// client is told to get better credentials or that there is no hope is left
// open: clients treat both as final.
func (q *request) forbidden() *answer {
	q.t.Helper()
	return q.refused("UNAUTHORIZED|DENIED", http.StatusUnauthorized, http.StatusForbidden)
}
