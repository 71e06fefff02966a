// Package report shows what happened: what was pulled and pushed, by whom, and where it
// came from. A Report is made of a running registry, and is JSON; the page and the
// table are made of a Report alone, so that one that was saved says the same.
package report

import (
	"encoding/json"
	"fmt"
	"time"

	"opendev.org/zuul/zuul-registry/server/oci"
	"opendev.org/zuul/zuul-registry/server/provenance"
)

// Schema is the version of the JSON. Fields may be added to one version, and are not
// renamed, removed or given another meaning.
const Schema = 1

// Report is what /report answers. Lists are never null.
type Report struct {
	Schema    int        `json:"schema"`
	Version   string     `json:"version"` // of the registry
	Time      time.Time  `json:"time"`    // when the report was made
	Begin     time.Time  `json:"begin"`   // since when the journal knows all; what was before may be missing
	Filter    Filter     `json:"filter"`
	Faults    []string   `json:"faults"` // what could not be found out, and why
	Pulls     []Pull     `json:"pulls"`
	Pushes    []Push     `json:"pushes"`
	Images    []Image    `json:"images"`
	More      bool       `json:"more"` // there are more images than Images has
	Upstreams []Upstream `json:"upstreams"`
	Uploads   []Upload   `json:"uploads"`
	Storage   Storage    `json:"storage"`
	// Journal is all that there is about pulls and pushes, blobs included.
	Journal []provenance.Entry `json:"journal"`
}

// Filter chooses a part of a Report. The zero Filter takes all.
type Filter struct {
	Since     time.Time `json:"since,omitzero"` // of pulls, pushes and the journal
	Until     time.Time `json:"until,omitzero"`
	Namespace string    `json:"namespace,omitempty"` // "docker.io"
	Origin    oci.State `json:"origin,omitempty"`
}

// Pull is that a client asked for a manifest. Where it resolved a tag and pulled the
// digest, that is one Pull, of the tag.
type Pull struct {
	Name      string     `json:"name"`      // "docker.io/library/alpine"
	Reference string     `json:"reference"` // a tag, or the digest if it was asked for without a tag
	Digest    oci.Digest `json:"digest,omitzero"`
	Origin    oci.State  `json:"origin"` // speculative, cached, fetched, stale; miss, refused, failed
	Upstream  string     `json:"upstream,omitempty"`
	Detail    string     `json:"detail,omitempty"` // what the client was told, if it did not get it
	provenance.Client
	Resolved int       `json:"resolved"` // how often it only asked what the reference is
	Pulled   int       `json:"pulled"`   // how often it got, or wanted, the manifest
	First    time.Time `json:"first"`
	Last     time.Time `json:"last"`
}

// pullOrigins are all that a Pull may be of.
var pullOrigins = []oci.State{
	oci.Speculative, oci.Cached, oci.Fetched, oci.Stale, provenance.Miss, provenance.Refused, provenance.Failed,
}

// Push is that a client stored or deleted a manifest, or could not.
type Push struct {
	Action    provenance.Action `json:"action"` // push or delete
	Name      string            `json:"name"`
	Reference string            `json:"reference"`
	Digest    oci.Digest        `json:"digest,omitzero"`
	Origin    oci.State         `json:"origin"` // speculative; miss, refused, failed
	Detail    string            `json:"detail,omitempty"`
	provenance.Client
	Count int       `json:"count"`
	First time.Time `json:"first"`
	Last  time.Time `json:"last"`
}

// Image is a tag that the registry has.
type Image struct {
	Name      string     `json:"name"`
	Tag       string     `json:"tag"`
	Digest    oci.Digest `json:"digest"`
	MediaType string     `json:"mediaType"`
	Platforms []string   `json:"platforms"` // "linux/arm64/v8"; none for what is no image
	Size      int64      `json:"size"`      // of its config and layers, in bytes; 0 for an index
	Origin    oci.State  `json:"origin"`    // speculative or cached
	Upstream  string     `json:"upstream,omitempty"`
	Time      time.Time  `json:"time"`               // when it was pushed, or the upstream last said so
	PushedBy  string     `json:"pushedBy,omitempty"` // as far as the journal knows
	Pulled    int        `json:"pulled"`             // of the Pulls of its name and tag or digest
}

// Upstream is how a registry does that images are fetched from, as this process has
// found. What it fetches is asked of it by clients alone.
type Upstream struct {
	Namespace   string     `json:"namespace"`
	URL         string     `json:"url"`
	State       Health     `json:"state"`
	Problem     string     `json:"problem,omitempty"` // why it is not well
	Asked       time.Time  `json:"asked,omitzero"`
	Answered    time.Time  `json:"answered,omitzero"`
	ClosedUntil time.Time  `json:"closedUntil,omitzero"` // it wants not to be asked before
	RateLimit   *RateLimit `json:"rateLimit,omitempty"`  // if it has said one
	Found       int64      `json:"found"`                // answers, since the process began
	Absent      int64      `json:"absent"`
	Refused     int64      `json:"refused"`
	Unavailable int64      `json:"unavailable"`
}

// Health is how an upstream does.
type Health string

// The healths.
const (
	Unasked Health = "unasked" // nobody has asked it yet
	Up      Health = "up"
	Waiting Health = "waiting" // it wants not to be asked now
	Down    Health = "down"    // its last answer was none, or of no use
)

// RateLimit is how often an upstream says that it may be asked.
type RateLimit struct {
	Limit     int       `json:"limit"`
	Remaining int       `json:"remaining"`
	Window    float64   `json:"window"` // in seconds
	Time      time.Time `json:"time"`   // when it said so
}

// Upload is a push of a blob that has begun, and has not been finished.
type Upload struct {
	Name  string    `json:"name"`
	Size  int64     `json:"size"` // bytes that have come
	Begun time.Time `json:"begun"`
	Last  time.Time `json:"last"` // when something came
}

// Storage is what the store holds, those of other uses included.
type Storage struct {
	Driver  string `json:"driver"` // filesystem or swift
	Bytes   int64  `json:"bytes"`
	Objects int64  `json:"objects"`
	Partial bool   `json:"partial"` // it is more: all could not be counted
}

// Parse reads a Report that was served or saved.
func Parse(text []byte) (Report, error) {
	var r Report
	err := json.Unmarshal(text, &r)
	if err == nil && r.Schema != Schema {
		err = fmt.Errorf("its schema is %d, and this program knows %d", r.Schema, Schema)
	}
	if err != nil {
		return Report{}, fmt.Errorf("it is no report of a registry: %w", err)
	}
	return r, nil
}
