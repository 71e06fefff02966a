package oci

import (
	"errors"
	"fmt"
)

// Code is an error code of the distribution specification ("Error Codes"), or
// of Docker's older registry API where the former has none. It is an error
// itself, so that errors.Is(err, oci.BlobUnknown) asks for the code.
type Code string

// Error says nothing but the code.
func (c Code) Error() string { return string(c) }

// The codes. How they become HTTP statuses is decided in package api.
const (
	BlobUnknown         Code = "BLOB_UNKNOWN"          // blob not in the registry
	BlobUploadInvalid   Code = "BLOB_UPLOAD_INVALID"   // malformed request of an upload
	BlobUploadUnknown   Code = "BLOB_UPLOAD_UNKNOWN"   // no such upload, or it has ended
	RangeInvalid        Code = "RANGE_INVALID"         // chunk out of order; from Docker's API
	DigestInvalid       Code = "DIGEST_INVALID"        // malformed, or not that of the content
	ManifestBlobUnknown Code = "MANIFEST_BLOB_UNKNOWN" // manifest refers to what is not there
	ManifestInvalid     Code = "MANIFEST_INVALID"      // not a manifest of its media type
	ManifestUnknown     Code = "MANIFEST_UNKNOWN"      // no manifest of that tag or digest
	NameInvalid         Code = "NAME_INVALID"          // malformed repository name
	NameUnknown         Code = "NAME_UNKNOWN"          // no such repository
	SizeInvalid         Code = "SIZE_INVALID"          // too large, or not as long as announced
	TagInvalid          Code = "TAG_INVALID"           // malformed tag; from Docker's API
	Unauthorized        Code = "UNAUTHORIZED"          // credentials are needed
	Denied              Code = "DENIED"                // the credentials do not suffice
	Unsupported         Code = "UNSUPPORTED"           // operation not offered, or not now
	ParameterInvalid    Code = "PARAMETER_INVALID"     // a bad query parameter of /report, which is ours and not the specification's
	PaginationInvalid   Code = "PAGINATION_NUMBER_INVALID"
	Unavailable         Code = "UNAVAILABLE" // somebody else's registry does not answer, or not well; from Docker's API
)

// Error is what every layer reports to the one above; any other error is a
// fault of the server.
type Error struct {
	Code    Code
	Message string // for the client's user: what was wrong and what is allowed
	Detail  any    // for programs, JSON; may be nil
	Cause   error  // for the log, never sent; may be nil
}

// Errorf makes an Error with a message.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Error is the code and the message, and the cause if there is one.
func (e *Error) Error() string {
	if e.Cause != nil {
		return fmt.Sprintf("%s: %s: %v", e.Code, e.Message, e.Cause)
	}
	return fmt.Sprintf("%s: %s", e.Code, e.Message)
}

// Is compares with a Code.
func (e *Error) Is(target error) bool { return e.Code == target }

// Unwrap is the cause.
func (e *Error) Unwrap() error { return e.Cause }

// AsError finds the Error in a chain.
func AsError(err error) (*Error, bool) {
	var e *Error
	return e, errors.As(err, &e)
}
