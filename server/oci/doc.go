// Package oci is the vocabulary of the registry: names, references, digests,
// manifests, errors, and the Registry interface that every layer of the server
// implements. Terms are those of the OCI image and distribution specifications.
//
// The types that come out of a Parse function cannot be wrong: code that holds
// one does not validate again.
package oci
