package oci

// Origin says where content of an answer comes from. The zero Origin says nothing.
type Origin struct {
	State State
	// Upstream is the namespace ("docker.io") of the registry that has it; empty for
	// what is known only to be here.
	Upstream string
}

// State is how content has come to be here.
type State string

// The states.
const (
	Speculative State = "speculative" // a manifest that was pushed here
	Kept        State = "kept"        // a blob that is here: it is the same whether pushed or fetched
	Cached      State = "cached"      // fetched before, and as good as the upstream's word
	Fetched     State = "fetched"     // from the upstream, now
	Stale       State = "stale"       // fetched before; the upstream does not answer now
)
