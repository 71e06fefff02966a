package oci

import "errors"

// Origin is where content of an answer comes from, or why there is none. The empty Origin
// says nothing.
type Origin string

// The origins, and what takes the place of one.
const (
	Speculative Origin = "speculative" // a manifest that was pushed here
	Cached      Origin = "cached"      // fetched before, and as good as the upstream's word
	Fetched     Origin = "fetched"     // from the upstream, now
	Stale       Origin = "stale"       // fetched before; the upstream does not answer now
	Kept        Origin = "kept"        // a blob that is here: it is the same whether pushed or fetched

	Miss    Origin = "miss"    // it is not here, and the upstream does not have it, or does not give it to us
	Refused Origin = "refused" // the client may not have it, or do it
	Failed  Origin = "failed"  // neither the registry nor the upstream can tell, or what was pushed is not right
)

// Origins are all of them, in the order in which people read them.
var Origins = []Origin{Speculative, Cached, Fetched, Stale, Kept, Miss, Refused, Failed}

// Wanting says whether a client did not get what it wanted.
func (o Origin) Wanting() bool { return o == Miss || o == Refused || o == Failed }

// OriginOf is what an answer says, of an origin or an error.
func OriginOf(o Origin, err error) Origin {
	switch {
	case err == nil:
		return o
	case errors.Is(err, ManifestUnknown), errors.Is(err, BlobUnknown), errors.Is(err, NameUnknown):
		return Miss
	case errors.Is(err, Unauthorized), errors.Is(err, Denied):
		return Refused
	}
	return Failed
}
