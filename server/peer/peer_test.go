package peer

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"oras.land/oras-go/v2/registry/remote/errcode"
)

// The log has neither what URLs may hide nor what an upstream repeats of what it was
// sent.
func TestErrorsForTheLog(t *testing.T) {
	signed, err := url.Parse("https://bob:SECRET@cdn.example.com/blob?Signature=SECRET")
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		&errcode.ErrorResponse{Method: http.MethodGet, URL: signed, StatusCode: 403,
			Errors: errcode.Errors{{Code: "DENIED", Message: "you sent Basic SECRET"}, {Code: "Basic SECRET"}}},
		&url.Error{Op: "Get", URL: signed.String(), Err: errors.New("refused")},
		errors.New(`GET "https://example.com/token?password=SECRET": empty token returned`),
	} {
		if got := Censored(err).Error(); strings.Contains(got, "SECRET") || !strings.Contains(got, "example.com/") {
			t.Errorf("%v is logged as %s", err, got)
		}
	}
}

func TestRedirectsThatAreNotFollowed(t *testing.T) {
	for _, tt := range []struct {
		from, to string
		body     bool
		want     error
		keeps    bool // the credentials
	}{
		{"https://a.example/x", "https://a.example/y", false, nil, true},
		{"https://a.example/x", "https://A.example:443/y", false, nil, true},
		{"https://a.example/x", "https://a.example:444/y", false, nil, false},
		{"https://a.example/x", "https://cdn.example/y", false, nil, false},
		{"http://a.example/x", "https://a.example/y", false, nil, false},
		{"https://a.example/x", "http://a.example/y", false, ErrAstray, false},
		{"https://a.example/x", "https://a.example/y", true, nil, true},
		{"https://a.example/x", "https://b.example/y", true, ErrAstray, false},
		{"https://a.example/x", "https://169.254.169.254/y", false, ErrAstray, false},
		{"https://a.example/x", "https://127.0.0.1/y", false, ErrAstray, false},
		{"https://a.example/x", "https://localhost/y", false, ErrAstray, false},
		{"https://a.example/x", "https://localhost./y", false, ErrAstray, false},
		{"https://a.example/x", "https://[fd00::1]/y", false, ErrAstray, false},
		{"https://a.example/x", "https://[::ffff:0.0.0.0]/y", false, ErrAstray, false},
		{"https://a.example/x", "https://100.100.100.200/y", false, ErrAstray, false},
		{"https://a.example/x", "https://8.8.8.8/y", false, nil, false},
		{"http://127.0.0.1:1/x", "http://127.0.0.1:2/y", false, nil, false},
	} {
		request := func(text string) *http.Request {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, text, nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Authorization", "Basic x")
			return r
		}
		first, next := request(tt.from), request(tt.to)
		if tt.body {
			first.Body = http.NoBody
		}
		err := CheckRedirect(next, []*http.Request{first})
		if !errors.Is(err, tt.want) || err == nil && (next.Header.Get("Authorization") != "") != tt.keeps {
			t.Errorf("from %s to %s, body %t: %v, credentials %q", tt.from, tt.to, tt.body, err, next.Header.Get("Authorization"))
		}
	}
}
