package conformance

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// answer is what a request got. Its methods that assert return it again.
type answer struct {
	t        *testing.T
	request  string // method and URL, for messages
	response *http.Response
	status   int
	body     []byte
}

// readAnswer reads a response to its end. An answer that breaks a rule without
// exception is an error.
func readAnswer(t *testing.T, s *server, response *http.Response) (*answer, error) {
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	a := &answer{t: t, response: response, status: response.StatusCode, body: body}
	a.request = response.Request.Method + " " + response.Request.URL.String()
	if err != nil {
		return nil, fmt.Errorf("%s: %s, cut short: %w", a.request, a.summary(), err)
	}
	if err := a.wellFormed(); err != nil {
		return nil, fmt.Errorf("%s: %s: %w", a.request, a.summary(), err)
	}
	if response.Request.URL.Path == "/auth/token" && a.status == http.StatusOK {
		s.keepSecret(a.token())
	}
	return a, nil
}

// wellFormed holds the answer against what is true of every answer: it names
// the API's version, it is no redirect (which net/http's mux would make of an
// unclean path), and an error has OCI's form.
func (a *answer) wellFormed() error {
	switch version := a.response.Header.Get("Docker-Distribution-Api-Version"); {
	case version != "registry/2.0":
		return fmt.Errorf("Docker-Distribution-Api-Version is %q, want registry/2.0", version)
	case a.status >= 300 && a.status < 400 && a.status != http.StatusNotModified:
		return fmt.Errorf("a redirect to %q", a.response.Header.Get("Location"))
	case a.status == http.StatusUnauthorized && a.response.Header.Get("WWW-Authenticate") == "":
		return fmt.Errorf("no challenge")
	case a.status == http.StatusMethodNotAllowed && a.response.Header["Allow"] == nil:
		return fmt.Errorf("no Allow header, which RFC 9110 demands of a 405")
	case a.response.Request.URL.Path == "/readyz": // read by people and probes
		return nil
	case a.status >= 400 && a.response.Request.Method != http.MethodHead:
		_, err := a.codes()
		return err
	}
	return nil
}

// errorCode is the form of an error code in the specification ("Error Codes").
var errorCode = regexp.MustCompile(`^[A-Z_]+$`)

// codes reads the error codes of a refusal.
func (a *answer) codes() ([]string, error) {
	if kind := a.response.Header.Get("Content-Type"); !strings.HasPrefix(kind, "application/json") {
		return nil, fmt.Errorf("the error's Content-Type is %q, want application/json", kind)
	}
	var refusal struct {
		Errors []struct{ Code, Message string }
	}
	if err := json.Unmarshal(a.body, &refusal); err != nil {
		return nil, fmt.Errorf("the error's body: %w", err)
	}
	var codes []string
	for _, e := range refusal.Errors {
		if !errorCode.MatchString(e.Code) || e.Message == "" {
			return nil, fmt.Errorf("error with code %q and message %q", e.Code, e.Message)
		}
		codes = append(codes, e.Code)
	}
	if codes == nil {
		return nil, fmt.Errorf("an error body without errors")
	}
	return codes, nil
}

// named reports an answer without any of the error codes, separated by "|".
func (a *answer) named(codes string) error {
	if a.response.Request.Method == http.MethodHead {
		return nil
	}
	got, err := a.codes()
	if err != nil {
		return err
	}
	for _, code := range strings.Split(codes, "|") {
		if slices.Contains(got, code) {
			return nil
		}
	}
	return fmt.Errorf("%s: %s, want %s", a.request, a.summary(), codes)
}

// summary is the status and the beginning of a text body, for messages.
func (a *answer) summary() string {
	body := a.body
	if len(body) > 300 {
		body = body[:300]
	}
	return fmt.Sprintf("%s %q", a.response.Status, body)
}

// get is a header.
func (a *answer) get(header string) string { return a.response.Header.Get(header) }

// has asserts a header.
func (a *answer) has(header, want string) *answer {
	a.t.Helper()
	if got := a.get(header); got != want {
		a.t.Errorf("%s: %s is %q, want %q", a.request, header, got, want)
	}
	return a
}

// lacks asserts that there is no such header.
func (a *answer) lacks(header string) *answer {
	a.t.Helper()
	if got := a.response.Header.Values(header); len(got) > 0 {
		a.t.Errorf("%s: %s is %q, want none", a.request, header, got)
	}
	return a
}

// holds asserts the body, to the byte, and that its length was announced.
func (a *answer) holds(content []byte) *answer {
	a.t.Helper()
	if !bytes.Equal(a.body, content) {
		a.t.Errorf("%s: the body has %d bytes, other than the %d expected", a.request, len(a.body), len(content))
	}
	return a.has("Content-Length", fmt.Sprint(len(content)))
}

// json reads the body.
func (a *answer) json(into any) {
	a.t.Helper()
	if err := json.Unmarshal(a.body, into); err != nil {
		a.t.Fatalf("%s: %s: %v", a.request, a.summary(), err)
	}
}

// location is where the answer points, made absolute, on the host that was
// asked.
func (a *answer) location() string {
	a.t.Helper()
	where, err := a.response.Location()
	if err != nil {
		a.t.Fatalf("%s: %s: %v", a.request, a.summary(), err)
	}
	if asked := a.response.Request.URL.Host; where.Host != asked {
		a.t.Errorf("%s: Location is %s, want it on %s", a.request, where, asked)
	}
	return where.String()
}
