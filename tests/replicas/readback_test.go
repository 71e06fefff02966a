package replicas

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"opendev.org/zuul/zuul-registry/tests/testbed"
)

// readBack reads from a replica all that was acknowledged: each manifest by its
// digest, with its blobs, whatever the tag is now; and what each tag is.
func (r *replica) readBack(t *testing.T, l *ledger, tally *tally) {
	t.Helper()
	var reading errgroup.Group
	reading.SetLimit(4)
	tags := map[string]bool{}
	for _, p := range l.acknowledged() {
		reading.Go(func() error { return r.readPush(p, tally) })
		if !tags[p.ref] {
			tags[p.ref] = true
			reading.Go(func() error { return r.readTag(p.ref, l) })
		}
	}
	if err := reading.Wait(); err != nil {
		t.Errorf("the replica at %s: %v", r.address, err)
	}
}

func (r *replica) readPush(p *push, tally *tally) error {
	repository, _ := split(p.ref)
	text, manifest, err := r.manifest(repository, p.digest)
	if err != nil {
		return err
	}
	if digest := testbed.Digest(text); digest != p.digest {
		return fmt.Errorf("%s@%s is the manifest %s", p.ref, p.digest, digest)
	}
	if id := manifest.Config.Digest.String(); id != p.image {
		return fmt.Errorf("%s@%s is the image %s, and not %s", p.ref, p.digest, id, p.image)
	}
	err = whole(manifest, func(d ocispec.Descriptor) ([]byte, error) {
		tally.add(bytesBack, d.Size)
		return r.get(repository + "/blobs/" + d.Digest.String())
	})
	if err != nil {
		return fmt.Errorf("%s@%s: %w", p.ref, p.digest, err)
	}
	return nil
}

func (r *replica) readTag(ref string, l *ledger) error {
	asked := time.Now()
	repository, tag := split(ref)
	_, manifest, err := r.manifest(repository, tag)
	if err != nil {
		return err
	}
	return l.check(ref, manifest.Config.Digest.String(), asked)
}

func (r *replica) manifest(repository, reference string) (text []byte, manifest ocispec.Manifest, err error) {
	if text, err = r.get(repository + "/manifests/" + reference); err != nil {
		return nil, manifest, err
	}
	return text, manifest, json.Unmarshal(text, &manifest)
}

// get reads something below /v2/ as nobody.
func (r *replica) get(path string) ([]byte, error) {
	request, err := http.NewRequest(http.MethodGet, r.URL()+"/v2/"+path, nil)
	if err != nil {
		return nil, err
	}
	request.Header["Accept"] = []string{ocispec.MediaTypeImageManifest, "application/vnd.docker.distribution.manifest.v2+json"}
	answer, err := r.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("GET %s: %s", path, answer.Status)
	}
	return io.ReadAll(answer.Body)
}

// split is a reference as a repository and a tag, without the host.
func split(ref string) (repository, tag string) {
	repository, tag, _ = strings.Cut(strings.TrimPrefix(ref, testbed.RegistryHost+"/"), ":")
	return repository, tag
}
