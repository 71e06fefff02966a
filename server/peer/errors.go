package peer

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"

	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/errcode"
)

// What URLs may have that is nobody's business: users, and signatures in queries.
var (
	urlUser  = regexp.MustCompile(`(https?://)[^/?#\s"]*@`)
	urlQuery = regexp.MustCompile(`(https?://[^?\s"]*)\?[^\s"]*`)
	codeText = regexp.MustCompile(`^[A-Z_]{1,50}$`)
)

// Censored is the text of an error without that, and without what the registry's
// own words may repeat of what we sent. It is no error of a context: that was not
// the caller's.
func Censored(err error) error {
	text := err.Error()
	var refusal *errcode.ErrorResponse
	if errors.As(err, &refusal) {
		text = fmt.Sprintf("%s %s: status %d", refusal.Method, refusal.URL, refusal.StatusCode)
		for _, e := range refusal.Errors {
			if codeText.MatchString(e.Code) {
				text += " " + e.Code
			}
		}
	}
	return errors.New(urlQuery.ReplaceAllString(urlUser.ReplaceAllString(text, "$1"), "$1"))
}

// IsNotOffered says whether a registry knows nothing of a method, or of what was
// asked by it.
func IsNotOffered(err error, method string) bool {
	var refusal *errcode.ErrorResponse
	if !errors.As(err, &refusal) || refusal.Method != method {
		return false
	}
	switch refusal.StatusCode {
	case http.StatusBadRequest, http.StatusMethodNotAllowed, http.StatusNotImplemented:
		return true
	}
	return false
}

// IsRefusal says whether a registry wants to see credentials, or others.
func IsRefusal(err error) bool {
	var refusal *errcode.ErrorResponse
	return errors.Is(err, auth.ErrBasicCredentialNotFound) || errors.As(err, &refusal) &&
		(refusal.StatusCode == http.StatusUnauthorized || refusal.StatusCode == http.StatusForbidden)
}
