package transfer

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/errcode"

	"opendev.org/zuul/zuul-registry/server/peer"
)

// Fault is why an image could not be copied, and what to do about it, in one line
// that begins with the image at whose side it is. It holds no secret.
type Fault struct {
	text   string
	absent bool // what was asked for is not there
}

// Error is the line.
func (f *Fault) Error() string { return f.text }

// complaint is about what a registry has or sends, in words that follow its name.
type complaint string

func (c complaint) Error() string { return string(c) }

// fault is what to say about an error of an operation on something; nil for nil.
// The error of ctx stays what it is.
func (e *endpoint) fault(ctx context.Context, err error, what string) error {
	var told *Fault
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &told):
		return told
	}
	return &Fault{e.ref.String() + ": " + e.words(ctx, err, what), isAbsent(err)}
}

func isAbsent(err error) bool {
	var refusal *errcode.ErrorResponse
	return errors.Is(err, errdef.ErrNotFound) || errors.As(err, &refusal) && refusal.StatusCode == http.StatusNotFound
}

func (e *endpoint) words(ctx context.Context, err error, what string) string {
	var said complaint
	var malformed *json.SyntaxError
	var refusal *errcode.ErrorResponse
	switch {
	case errors.As(err, &said):
		return "the registry " + string(said)
	case peer.IsRefusal(err):
		return e.wordsOfRefusal(ctx, err)
	case isAbsent(err) && what == "image":
		return "image not found: the registry has no such repository or tag"
	case errors.As(err, &refusal):
		return wordsOfStatus(refusal)
	case isAbsent(err):
		return what + " not found: the registry has only a part of the image"
	case errors.Is(err, content.ErrMismatchedDigest), errors.Is(err, content.ErrTrailingData), errors.As(err, &malformed):
		return "the registry sends something else than the " + what
	case isSilence(err):
		return fmt.Sprintf("the registry has not answered, or sent or taken a byte, for %s: is it well? ZUUL_REGISTRY_COPY_TIMEOUT is how long it may take", e.image.run.options.Timeout.Round(time.Millisecond))
	}
	return e.wordsOfConnection(err)
}

// wordsOfRefusal say where there are, or could be, credentials. Some registries also
// refuse what is not there.
func (e *endpoint) wordsOfRefusal(ctx context.Context, err error) string {
	key := peer.Keys(e.ref.host())[0]
	status := "access refused"
	var refusal *errcode.ErrorResponse
	if errors.As(err, &refusal) {
		status = fmt.Sprintf("access refused (status %d)", refusal.StatusCode)
	}
	found, file, err := e.side.find(ctx, e.ref)
	switch {
	case err != nil:
		return fmt.Sprintf("%s, and %s", status, peer.Censored(err))
	case found != auth.EmptyCredential:
		return fmt.Sprintf("%s: the credentials for %q in %s are not accepted, or not good for this repository", status, key, file)
	}
	return fmt.Sprintf("%s: there are no credentials for %q in %s; a file that has them, in the format of Docker's config.json, can be named by %s",
		status, key, strings.Join(e.side.AuthFiles, ", "), e.side.AuthVariable)
}

func wordsOfStatus(refusal *errcode.ErrorResponse) string {
	hint := ""
	switch {
	case refusal.StatusCode == http.StatusTooManyRequests:
		hint = ": it has been asked too often, try again later"
	case refusal.StatusCode == http.StatusMethodNotAllowed && refusal.Method != http.MethodGet && refusal.Method != http.MethodHead:
		hint = ": nothing can be pushed at this address"
	case refusal.StatusCode == http.StatusBadRequest && refusal.URL.Scheme == "http" && len(refusal.Errors) == 0:
		hint = ": if it speaks HTTPS, leave out http://"
	}
	return "the registry answers " + peer.Censored(refusal).Error() + hint
}

func (e *endpoint) wordsOfConnection(err error) string {
	var untrusted *tls.CertificateVerificationError
	var unknown *net.DNSError
	var broken *net.OpError
	switch {
	case errors.As(err, &untrusted):
		return e.wordsOfTrust(untrusted)
	case errors.Is(err, http.ErrSchemeMismatch):
		return "the registry speaks HTTP and not HTTPS: if that is meant, write http:// before its name"
	case errors.As(err, &unknown):
		return fmt.Sprintf("the host %s is not known", unknown.Name)
	case errors.As(err, &broken) && broken.Op == "dial":
		return "the registry cannot be connected to: " + broken.Error()
	}
	return peer.Censored(err).Error()
}

// wordsOfTrust say where a certificate could be put.
func (e *endpoint) wordsOfTrust(err *tls.CertificateVerificationError) string {
	var stranger x509.UnknownAuthorityError
	switch {
	case !errors.As(err, &stranger):
		return "the registry's certificate is not good for it: " + err.Err.Error()
	case len(e.side.CertificateDirectories) == 0:
		return "the registry's certificate is not trusted: name a file with that of who signed it by " + e.side.AuthoritiesVariable
	}
	return fmt.Sprintf("the registry's certificate is not trusted: put that of who signed it into %s/%s/ca.crt, or name its file by %s",
		e.side.CertificateDirectories[0], e.ref.Registry, e.side.AuthoritiesVariable)
}
