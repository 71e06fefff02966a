package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"mime"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/errcode"

	"opendev.org/zuul/zuul-registry/server/oci"
	"opendev.org/zuul/zuul-registry/server/peer"
)

// about is what an operation asks for, in the words of its errors.
type about struct {
	repository string
	what       string   // "manifest latest"
	unknown    oci.Code // for what is not there
}

// absentError is about what cannot be there, and so is not asked for.
type absentError struct{ error }

// complaint is about an answer that is of no use. Its words follow the upstream's
// name, and are for the client's user.
type complaint struct {
	words string
	cause error // for the log; may be nil
}

// Error is for the log. What cause is made of is of no concern: it may be an
// oci.Error of another code.
func (c *complaint) Error() string {
	if c.cause == nil {
		return c.words
	}
	return c.words + ": " + c.cause.Error()
}

// settle notes how an operation asked with ctx has ended, and is what to say about its
// error; nil for nil. Each operation comes here once, but for a blob that breaks off.
func (r *Registry) settle(ctx context.Context, err error, a about) error {
	var never *absentError
	switch {
	case err == nil:
		r.outcomes.add(found, "")
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case isAbsent(err):
		if !errors.As(err, &never) {
			r.outcomes.add(absent, "")
		}
		return &oci.Error{Code: a.unknown, Cause: peer.Censored(err),
			Message: fmt.Sprintf("%s/%s has no %s", r.namespace, a.repository, a.what)}
	case peer.IsRefusal(err):
		r.outcomes.add(refused, "")
		r.logRefusal(ctx, err, a)
		return &oci.Error{Code: a.unknown, Cause: peer.Censored(err),
			Message: fmt.Sprintf("%s does not let this registry have %s of %s", r.namespace, a.what, a.repository)}
	}
	words := r.words(err)
	r.outcomes.add(unavailable, words)
	return &oci.Error{Code: oci.Unavailable, Message: r.namespace + " " + words, Cause: peer.Censored(err)}
}

// explain is what an error means that oras made of a good answer: it could make
// nothing of it, unless we have said more already.
func (d *document) explain(err error) error {
	var said *complaint
	if err == nil || errors.As(err, &said) || d.header == nil || errors.Is(err, errdef.ErrTooManyPages) {
		return err
	}
	return &complaint{"answers with something that a registry does not say", err}
}

// isAbsent says whether the upstream does not have what it was asked for.
func isAbsent(err error) bool {
	var token *tokenError
	var never *absentError
	var refusal *errcode.ErrorResponse
	switch {
	case errors.As(err, &token):
		return false
	case errors.Is(err, errdef.ErrNotFound), errors.As(err, &never):
		return true
	case !errors.As(err, &refusal):
		return false
	}
	switch refusal.StatusCode {
	case http.StatusNotFound, http.StatusGone:
		return true
	case http.StatusBadRequest:
		return slices.ContainsFunc(refusal.Errors, func(e errcode.Error) bool {
			switch oci.Code(e.Code) {
			case oci.NameInvalid, oci.NameUnknown, oci.TagInvalid, oci.DigestInvalid, oci.ManifestUnknown, oci.BlobUnknown:
				return true
			}
			return false
		})
	}
	return false
}

// logRefusal says which credentials would help. Docker Hub refuses also what is not
// there.
func (r *Registry) logRefusal(ctx context.Context, err error, a about) {
	key := peer.Keys(r.address.Host())[0]
	hint := fmt.Sprintf("if it is there, it needs credentials for %q, and ZUUL_REGISTRY_UPSTREAM_AUTH_FILE is not set", key)
	if r.credentials != nil {
		hint = fmt.Sprintf("if it is there, it needs credentials for %q, and ZUUL_REGISTRY_UPSTREAM_AUTH_FILE has none", key)
		ctx, cancel := context.WithTimeout(ctx, r.timeout)
		defer cancel()
		if c, err := r.credential(ctx, r.credentials.store(), r.address.Host()); err == nil && c != auth.EmptyCredential {
			hint = fmt.Sprintf("if it is there, it needs other credentials for %q than ZUUL_REGISTRY_UPSTREAM_AUTH_FILE has", key)
		}
	}
	r.log.WarnContext(ctx, "upstream refuses", "name", r.namespace+"/"+a.repository, "wanted", a.what,
		"hint", hint, "error", peer.Censored(err))
}

// words say what is wrong with an upstream, after its name.
func (r *Registry) words(err error) string {
	var said *complaint
	var closed *closedError
	var refusal *errcode.ErrorResponse
	switch {
	case errors.As(err, &said):
		return said.words
	case errors.As(err, &closed):
		return "wants not to be asked before " + closed.until.UTC().Format(time.RFC3339)
	case errors.Is(err, peer.ErrSilent):
		return fmt.Sprintf("does not answer within %s", r.timeout)
	case errors.As(err, &refusal):
		return r.wordsOfStatus(refusal)
	case errors.Is(err, peer.ErrRedirects):
		return "redirects too many times"
	case errors.Is(err, peer.ErrAstray):
		return "redirects to where it is not followed"
	case errors.Is(err, errdef.ErrTooManyPages):
		return fmt.Sprintf("has more than the %d pages that are read", maxPages)
	}
	return wordsOfConnection(err)
}

func (r *Registry) wordsOfStatus(refusal *errcode.ErrorResponse) string {
	if until := r.gate.until(refusal.URL.Host); !until.IsZero() {
		return "wants not to be asked before " + until.UTC().Format(time.RFC3339)
	}
	if refusal.StatusCode == http.StatusTooManyRequests {
		return "has been asked too often"
	}
	return fmt.Sprintf("answers with status %d", refusal.StatusCode)
}

func wordsOfConnection(err error) string {
	var untrusted *tls.CertificateVerificationError
	var unknown *net.DNSError
	var broken *net.OpError
	var token *tokenError
	switch {
	case errors.As(err, &untrusted):
		return "does not answer: its certificate is not trusted"
	case errors.As(err, &unknown):
		return "does not answer: its host is not known"
	case errors.As(err, &broken) && broken.Op == "dial":
		return "does not answer: it cannot be connected to"
	case errors.As(err, &token):
		return "gives no token"
	}
	return "does not answer: the connection breaks"
}

// isMediaType accepts what can be told to clients: a type and a subtype, without
// parameters.
func isMediaType(text string) bool {
	t, parameters, err := mime.ParseMediaType(text)
	return err == nil && len(parameters) == 0 && strings.Contains(t, "/") && len(t) == len(text) && len(text) < 256
}
