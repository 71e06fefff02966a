package local

import (
	"context"
	"errors"
	"io/fs"
	"slices"

	"opendev.org/zuul/zuul-registry/server/oci"
)

// pushed looks at the record of a manifest that was pushed: at the manifest under its
// digest, and not again under each of its tags.
func (s search) pushed(name oci.Name, object string, ref oci.Reference) {
	s.found(func(ctx context.Context) {
		d, ok := s.target(ctx, object, ref)
		if !ok {
			return
		}
		if !ref.IsDigest() {
			if known, ok := s.isThere(ctx, object, digestName(name, d)); known || !ok {
				return
			}
		}
		s.manifest(ctx, name, object, d, ref.IsDigest(), map[oci.Digest]bool{})
	})
}

// fetched looks at the record of a manifest that was fetched. One that has lost its body
// is fetched again.
func (s search) fetched(_ oci.Name, object string, ref oci.Reference) {
	s.found(func(ctx context.Context) { s.target(ctx, object, ref) })
}

// target is what a record points at. Of several media types that is the newest: the
// original keeps the older ones, and its prune takes their manifests.
func (s search) target(ctx context.Context, object string, ref oci.Reference) (d oci.Digest, ok bool) {
	t, err := s.registry.target(ctx, s.area, object)
	switch {
	case errors.Is(err, fs.ErrNotExist): // deleted meanwhile
	case err != nil:
		s.fault(ctx, object, "%v", err)
	case ref.IsDigest() && t.Digest != ref.Digest:
		s.fault(ctx, object, "names another manifest, %s", t.Digest)
	default:
		return t.Digest, true
	}
	return oci.Digest{}, false
}

// isThere says whether what object depends on is there, if that can be known.
func (s search) isThere(ctx context.Context, object, other string) (there, ok bool) {
	_, err := s.registry.driver.Stat(ctx, other)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.fault(ctx, object, "depends on %s, which cannot be looked for: %v", other, err)
		return false, false
	}
	return err == nil, true
}

// manifest compares a manifest with what it refers to. If it is recorded, its children
// have to be, unless they are the upstream's. If it is not, as in what the original has
// stored, they need not be, and are compared with what they refer to.
func (s search) manifest(ctx context.Context, name oci.Name, object string, d oci.Digest, isRecorded bool, seen map[oci.Digest]bool) {
	seen[d] = true
	refs, ok := s.references(ctx, object, d)
	if !ok {
		return
	}
	for _, b := range distinct(refs.Blobs) {
		s.needs(ctx, object, b)
	}
	for _, child := range distinct(refs.Manifests) {
		if !s.needs(ctx, object, child) || seen[child.Digest] {
			continue
		}
		_, err := s.registry.recorded(ctx, name, oci.Reference{Digest: child.Digest})
		switch {
		case !errors.Is(err, oci.ManifestUnknown): // what is wrong with it is found there
		case isRecorded:
			s.isElsewhere(ctx, object, child.Digest, "is no manifest of the repository")
		default:
			s.manifest(ctx, name, object, child.Digest, false, seen)
		}
	}
}

// distinct are those of all that say something new.
func distinct(all []oci.Descriptor) []oci.Descriptor {
	type claim struct {
		digest oci.Digest
		size   int64
	}
	known := map[claim]bool{}
	return slices.DeleteFunc(all, func(d oci.Descriptor) bool {
		said := claim{d.Digest, d.Size}
		before := known[said]
		known[said] = true
		return before
	})
}

// references reads what the manifest of a record refers to.
func (s search) references(ctx context.Context, object string, d oci.Digest) (refs oci.References, ok bool) {
	content, _, err := s.registry.read(ctx, blobName(s.area, d), oci.MaxManifestSize)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		s.fault(ctx, object, "its manifest is not there: %s", d)
	case err != nil:
		s.fault(ctx, object, "its manifest, %s, cannot be read: %v", d, err)
	case len(content) > oci.MaxManifestSize:
		s.fault(ctx, object, "its manifest, %s, has more than %d bytes", d, oci.MaxManifestSize)
	default:
		if refs, err = oci.ParseReferences(content); err != nil {
			s.fault(ctx, object, "its manifest, %s, is none: %v", d, err)
		}
		return refs, err == nil
	}
	return refs, false
}

// needs compares what a manifest says of a blob or child, and says whether that is here.
func (s search) needs(ctx context.Context, object string, said oci.Descriptor) bool {
	info, err := s.registry.driver.Stat(ctx, blobName(s.area, said.Digest))
	switch {
	case err == nil && info.Size != said.Size:
		s.fault(ctx, object, "says that %s has %d bytes: it has %d", said.Digest, said.Size, info.Size)
	case err == nil, errors.Is(err, fs.ErrNotExist) && said.IsNonDistributable():
	case errors.Is(err, fs.ErrNotExist):
		s.isElsewhere(ctx, object, said.Digest, "is not there")
	default:
		s.fault(ctx, object, "refers to %s, which cannot be looked for: %v", said.Digest, err)
	}
	return err == nil
}

// isElsewhere finds fault with what a manifest refers to unless it can be fetched.
func (s search) isElsewhere(ctx context.Context, object string, d oci.Digest, problem string) {
	_, err := s.registry.Source(ctx, s.area, d)
	switch {
	case errors.Is(err, oci.BlobUnknown):
		s.fault(ctx, object, "refers to %s, which %s", d, problem)
	case err != nil:
		s.fault(ctx, object, "refers to %s, which cannot be looked for: %v", d, err)
	}
}

// referrer looks at what lists a manifest as referring to a subject. It counts only where
// the manifest has a record: there what is wrong with the manifest is found.
func (s search) referrer(name oci.Name, subject, object string, d oci.Digest) {
	s.found(func(ctx context.Context) {
		entry, err := s.registry.referrer(ctx, object)
		switch {
		case errors.Is(err, fs.ErrNotExist): // deleted meanwhile
			return
		case err != nil:
			s.fault(ctx, object, "%v", err)
			return
		case entry.Digest != d:
			s.fault(ctx, object, "describes another manifest than %s", d)
			return
		}
		if there, _ := s.isThere(ctx, object, digestName(name, d)); !there {
			return
		}
		refs, err := s.registry.references(ctx, s.area, d)
		if err == nil && (refs.Subject == nil || refs.Subject.Digest.String() != subject) {
			s.fault(ctx, object, "lists a manifest that has another subject, or none")
		}
	})
}

// source looks at the record of where something can be fetched.
func (s search) source(object string, _ oci.Digest) {
	s.found(func(ctx context.Context) {
		text, _, err := s.registry.read(ctx, object, maxTargetSize)
		var from source
		if err == nil {
			err = decode(object, text, &from)
		}
		switch {
		case errors.Is(err, fs.ErrNotExist): // deleted meanwhile
		case err != nil:
			s.fault(ctx, object, "%v", err)
		case from.Namespace == "" || from.Repository == "":
			s.fault(ctx, object, "names no repository")
		}
	})
}

// upload looks at the record of an unfinished upload.
func (s search) upload(ctx context.Context, object string) {
	if _, _, err := s.registry.readState(ctx, object); err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.fault(ctx, object, "%v", err)
	}
}
