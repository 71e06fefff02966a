package transfer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"
	"oras.land/oras-go/v2/content"

	"opendev.org/zuul/zuul-registry/server/oci"
)

// survey is what there is to copy of an image: its manifests and theirs, those that
// refer to any of these, and their blobs.
type survey struct {
	root  ocispec.Descriptor
	tops  []ocispec.Descriptor // the root, and then what refers to something before it
	nodes map[digest.Digest]node
	blobs map[digest.Digest]int64 // sizes
}

// node is a manifest.
type node struct {
	names     []ocispec.Descriptor // its manifests and blobs, but for those that stay with their vendor
	referrers []ocispec.Descriptor
	refers    bool // to another one
}

// finding is a manifest to be looked at.
type finding struct {
	ocispec.Descriptor
	top bool
}

// survey reads all manifests of the image.
func (s *source) survey(ctx context.Context) (*survey, error) {
	root, err := s.resolve(ctx)
	if err != nil {
		return nil, err
	}
	all := &survey{root: root, nodes: map[digest.Digest]node{}, blobs: map[digest.Digest]int64{}}
	for level := []finding{{root, true}}; len(level) > 0; {
		nodes, err := s.look(ctx, level)
		if err != nil {
			return nil, err
		}
		level = all.add(level, nodes)
	}
	return all, nil
}

// look reads several manifests at once. The node of one that is listed as referring
// to another, but is not there, is nil: lists may be old.
func (s *source) look(ctx context.Context, level []finding) ([]*node, error) {
	nodes := make([]*node, len(level))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(blobsAtOnce)
	for i, f := range level {
		group.Go(func() error {
			n, err := s.node(ctx, f.Descriptor)
			var fault *Fault
			if f.top && errors.As(err, &fault) && fault.absent {
				s.image.patience.log.Warn("what is listed as referring to the image is not there", "digest", f.Digest.String())
				return nil
			}
			nodes[i] = n
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return nodes, nil
}

// node reads one manifest.
func (s *source) node(ctx context.Context, d ocispec.Descriptor) (*node, error) {
	names, err := content.Successors(ctx, s, d)
	if err != nil {
		return nil, s.fault(ctx, err, describe(d))
	}
	var fields struct{ Subject *ocispec.Descriptor }
	if err := json.Unmarshal(s.kept(d), &fields); err != nil {
		return nil, s.fault(ctx, err, describe(d))
	}
	// What the image itself refers to is not part of it, and need not be there.
	n := &node{refers: fields.Subject != nil}
	for _, name := range names {
		switch {
		case name.Digest.Validate() != nil || name.Size < 0:
			return nil, s.fault(ctx, complaint(fmt.Sprintf("has a malformed %s", describe(d))), "")
		case slices.Contains(schema1, name.MediaType):
			return nil, s.fault(ctx, checkType(name.MediaType), "")
		case fields.Subject != nil && content.Equal(name, *fields.Subject):
		case oci.Descriptor{MediaType: name.MediaType}.IsNonDistributable():
		default:
			n.names = append(n.names, name)
		}
	}
	n.referrers, err = s.referrers(ctx, d)
	return n, err
}

// add notes what was found out about manifests, and gives those that are new.
func (s *survey) add(level []finding, nodes []*node) []finding {
	var next []finding
	reached := map[digest.Digest]bool{}
	reach := func(d ocispec.Descriptor, top bool) {
		if _, known := s.nodes[d.Digest]; !known && !reached[d.Digest] {
			reached[d.Digest] = true
			next = append(next, finding{d, top})
		}
	}
	for i, n := range nodes {
		if n == nil {
			s.nodes[level[i].Digest] = node{} // not to be looked for again
			continue
		}
		s.nodes[level[i].Digest] = *n
		if level[i].top {
			s.tops = append(s.tops, level[i].Descriptor)
		}
	}
	for _, n := range nodes {
		if n == nil {
			continue
		}
		for _, name := range n.names {
			if isManifest(name) {
				reach(name, false)
			} else {
				s.blobs[name.Digest] = name.Size
			}
		}
		for _, referrer := range n.referrers {
			if isManifest(referrer) { // what else there is in a list, no specification says
				reach(referrer, true)
			}
		}
	}
	return next
}

// successors are for oras.CopyGraph.
func (s *survey) successors(_ context.Context, _ content.Fetcher, d ocispec.Descriptor) ([]ocispec.Descriptor, error) {
	return s.nodes[d.Digest].names, nil
}

// refers says whether a manifest refers to another one.
func (s *survey) refers(d ocispec.Descriptor) bool { return s.nodes[d.Digest].refers }
