package upstream

import (
	"crypto/tls"
	"errors"
	"net/http"
	"time"

	"oras.land/oras-go/v2/registry/remote/retry"
)

// retrying tries GET and HEAD again that failed by accident, which is soon over or
// not: the client waits.
func retrying(base http.RoundTripper) http.RoundTripper {
	policy := &retry.GenericPolicy{
		Retryable: retryable,
		Backoff:   retry.ExponentialBackoff(250*time.Millisecond, 2, 0.1),
		MaxWait:   time.Second,
		MaxRetry:  2,
	}
	again := &retry.Transport{Base: base, Policy: func() retry.Policy { return policy }}
	return roundTripper(func(req *http.Request) (*http.Response, error) {
		if req.Method == http.MethodGet || req.Method == http.MethodHead {
			return again.RoundTrip(req)
		}
		return base.RoundTrip(req)
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

// RoundTrip is the function itself.
func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// retryable says whether another try may do better. What has a Retry-After is
// left to the gate.
func retryable(resp *http.Response, err error) (bool, error) {
	if err != nil {
		var closed *closedError
		var untrusted *tls.CertificateVerificationError
		return !errors.As(err, &closed) && !errors.As(err, &untrusted), nil
	}
	transient := resp.StatusCode >= 500 && resp.StatusCode != http.StatusNotImplemented
	return transient && resp.Header.Get("Retry-After") == "", nil
}
