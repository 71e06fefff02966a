package transfer

import (
	"context"
	"net/http"

	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"

	"opendev.org/zuul/zuul-registry/server/oci"
)

// manifestTypes are those of what is asked for as a manifest, and not as a blob.
// The last was that of OCI artifacts before version 1.1 of the specification.
var manifestTypes = []string{
	oci.MediaTypeImageIndex, oci.MediaTypeImageManifest, oci.MediaTypeDockerList, oci.MediaTypeDockerManifest,
	"application/vnd.oci.artifact.manifest.v1+json",
}

// maxPages is the most pages of a listing of referrers.
const maxPages = 1000

// endpoint is a repository, as the copying of one image speaks to it.
type endpoint struct {
	image  *image
	side   *Side
	ref    Reference
	client *auth.Client
	repo   *remote.Repository
}

func (i *image) endpoint(side *Side, ref Reference) (*endpoint, error) {
	e := &endpoint{image: i, side: side, ref: ref}
	o := i.run.options
	transport, err := i.run.hosts.transport(side, ref)
	if err != nil {
		return nil, &Fault{text: ref.String() + ": authorities cannot be read: " + err.Error()}
	}
	e.client = &auth.Client{
		Client: i.patience.client(transport, o.Timeout), Cache: auth.NewCache(), ClientID: "zuul-registry", Credential: e.credential,
	}
	if o.UserAgent != "" {
		e.client.Header = http.Header{"User-Agent": {o.UserAgent}}
	}
	e.repo = &remote.Repository{
		Client: e.client, Reference: ref.repository(), PlainHTTP: ref.Plain, ManifestMediaTypes: manifestTypes,
		ReferrerListMaxPages: maxPages, MaxMetadataBytes: oci.MaxManifestSize,
		SkipReferrersGC: true, // many registries let nobody delete
	}
	return e, nil
}

// credential is what to log in to the registry with, and to no other host.
func (e *endpoint) credential(ctx context.Context, host string) (auth.Credential, error) {
	if host != e.ref.host() {
		return auth.EmptyCredential, nil
	}
	found, _, err := e.side.find(ctx, e.ref)
	return found, err
}
