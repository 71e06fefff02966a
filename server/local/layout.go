package local

import (
	"context"
	"iter"
	"path"
	"regexp"
	"strings"

	"opendev.org/zuul/zuul-registry/server/oci"
)

// Every name in the store is made here, but for those of the journal. The tree is that of Python
// zuul-registry, which may have written the store and may read it again, but for
// referrers, uploads, segments and upstream, which are ours:
//
//	_prune                                              who prunes now and then: LeasePrune
//	_journal/                                           what was served and stored: package provenance
//	<area>/
//	    blobs/<digest>/data                             blobs, and the bodies of manifests
//	    repos/<repository>/manifests/<tag>              {"<media type>": "<digest>"}
//	    repos/<repository>/manifests/<digest>           the same
//	    referrers/<repository>/<subject>/<digest>       the descriptor of a manifest with that subject
//	    uploads/<id>                                    an upload's state between two requests; when it is being
//	                                                    finished, its parts may be a blob's
//	    segments/…                                      its content
//	    upstream/repos/<repository>/manifests/<tag>     as above, of what was not pushed but fetched, since when
//	                                                    the upstream last said so
//	    upstream/repos/<repository>/manifests/<digest>  the same, since when somebody last wanted it
//	    upstream/sources/<digest>                       where to fetch what a pushed manifest refers to
//	    quarantine/<digest>                             what check has found in the place of that blob
const (
	blobsDirectory      = "blobs"
	reposDirectory      = "repos"
	referrersDirectory  = "referrers"
	uploadsDirectory    = "uploads"
	segmentsDirectory   = "segments"
	recordsDirectory    = "manifests"
	upstreamDirectory   = "upstream"
	sourcesDirectory    = "sources"
	quarantineDirectory = "quarantine"
	dataObject          = "data"
)

func blobName(area string, d oci.Digest) string {
	return path.Join(area, blobsDirectory, d.String(), dataObject)
}

// recordsOf is the directory of a repository's tags and digests.
func recordsOf(n oci.Name) string { return recordsIn(treeOf(oci.Speculative), n) }

// recordsIn is that of a tree of an area.
func recordsIn(tree string, n oci.Name) string {
	return path.Join(n.Area, tree, escape(n.Repository), recordsDirectory)
}

// treeOf is where the records are of what was pushed, or fetched.
func treeOf(o oci.Origin) string {
	if o == oci.Speculative {
		return reposDirectory
	}
	return path.Join(upstreamDirectory, reposDirectory)
}

func tagName(n oci.Name, t oci.Tag) string { return path.Join(recordsOf(n), t.String()) }

func digestName(n oci.Name, d oci.Digest) string { return path.Join(recordsOf(n), d.String()) }

func recordName(n oci.Name, ref oci.Reference) string {
	if ref.IsDigest() {
		return digestName(n, ref.Digest)
	}
	return tagName(n, ref.Tag)
}

// fetchedName is the record of what was fetched.
func fetchedName(n oci.Name, ref oci.Reference) string {
	return path.Join(recordsIn(treeOf(oci.Cached), n), ref.String())
}

func sourceName(area string, d oci.Digest) string {
	return path.Join(area, upstreamDirectory, sourcesDirectory, d.String())
}

// referrersOf is the directory of what refers to a subject.
func referrersOf(n oci.Name, subject oci.Digest) string {
	return path.Join(n.Area, referrersDirectory, n.Repository, subject.String())
}

func referrerName(n oci.Name, subject, d oci.Digest) string {
	return path.Join(referrersOf(n, subject), d.String())
}

func uploadName(area, id string) string { return path.Join(area, uploadsDirectory, id) }

func quarantineName(area string, d oci.Digest) string {
	return path.Join(area, quarantineDirectory, d.String())
}

func segmentsOf(area string) string { return path.Join(area, segmentsDirectory) }

// A repository's component "manifests" would be taken for the directory of
// records. No component begins with "_".
const escapedRecords = "_" + recordsDirectory

func escape(repository string) string {
	components := strings.Split(repository, "/")
	for i, c := range components {
		if c == recordsDirectory {
			components[i] = escapedRecords
		}
	}
	return strings.Join(components, "/")
}

// unescape is the inverse of escape for one component.
func unescape(component string) string {
	if component == escapedRecords {
		return recordsDirectory
	}
	return component
}

// What an area is called: LocalArea or a host, maybe with a port.
var areaPattern = regexp.MustCompile(`^(` + oci.LocalArea + `|[a-z0-9][a-z0-9._-]*(:[0-9]+)?)$`)

// areas yields the parts of the store that share nothing.
func (r *Registry) areas(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for e, err := range r.driver.List(ctx, ".", "") {
			if err != nil {
				yield("", err)
				return
			}
			if !areaPattern.MatchString(e.Name) {
				continue // as lost+found, which is not ours to look into
			}
			if e.Directory && !yield(e.Name, nil) {
				return
			}
		}
	}
}
