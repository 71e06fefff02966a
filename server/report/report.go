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
	Schema  int       `json:"schema"`
	Version string    `json:"version"` // of the registry
	Time    time.Time `json:"time"`    // when the report was made
	Begin   time.Time `json:"begin"`   // of the first entry that the journal has
	Cut     bool      `json:"cut"`     // there were entries before that, which are removed
	Lost    bool      `json:"lost"`    // a part of the journal is not known for other reasons
	Filter  Filter    `json:"filter"`
	Faults  []string  `json:"faults"` // what could not be found out, and why
	// Pulls are of manifests, the last first. Where a client resolved a tag and pulled the
	// digest, that is one pull, of the tag.
	Pulls     []Act      `json:"pulls"`
	Pushes    []Act      `json:"pushes"` // of manifests, deletions included, the last first
	Blobs     []Act      `json:"blobs"`  // that a client wanted and did not get, the last first
	Images    []Image    `json:"images"`
	More      bool       `json:"more"` // there are more images than Images has
	Upstreams []Upstream `json:"upstreams"`
	Uploads   []Upload   `json:"uploads"`
	Storage   Storage    `json:"storage"`
	// Journal is all that there is about pulls and pushes, blobs included.
	Journal []provenance.Entry `json:"journal"`

	clients []string // of whom alone Pulls are; nil for all: see Of
}

// Filter chooses a part of a Report. The zero Filter takes all.
type Filter struct {
	Since     time.Time  `json:"since,omitzero"` // of pulls, pushes and the journal
	Until     time.Time  `json:"until,omitzero"`
	Namespace string     `json:"namespace,omitempty"` // "docker.io"
	Origin    oci.Origin `json:"origin,omitempty"`
}

// Act is what a client did, or wanted to do: all that it did alike.
type Act struct {
	provenance.Event           // Size is that of the manifest or blob
	Count            int       `json:"count"`              // how often
	Resolved         int       `json:"resolved,omitempty"` // of a pull: how often it asked only what the tag is
	First            time.Time `json:"first"`
	Last             time.Time `json:"last"`
	// Settled: it did not get it, and got it later.
	Settled bool `json:"settled,omitempty"`
	// Part: it was pulled by digest, by a client that pulled a tag of that name, too:
	// mostly one platform of an index.
	Part bool `json:"part,omitempty"`
}

// Image is a tag that the registry has.
type Image struct {
	Name      string     `json:"name"`
	Tag       string     `json:"tag"`
	Digest    oci.Digest `json:"digest"`
	MediaType string     `json:"mediaType"`
	Platforms []string   `json:"platforms"` // "linux/arm64/v8"; none for what is no image
	Size      int64      `json:"size"`      // of its config and layers, in bytes; 0 for an index
	Origin    oci.Origin `json:"origin"`    // speculative or cached
	Upstream  string     `json:"upstream,omitempty"`
	Time      time.Time  `json:"time"`               // when it was pushed, or the upstream last said so
	PushedBy  string     `json:"pushedBy,omitempty"` // as far as the journal knows
	Pulled    int        `json:"pulled"`             // of the Pulls of its name and tag or digest
}

// Upstream is the state of a registry that images are fetched from, as this process knows
// it: it is asked only when a client asks.
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

// Reaches says whether the Report has all that its Filter asks for, as far as is known.
func (r Report) Reaches() bool { return !r.Cut || r.Begin.Before(r.Filter.Since) }

// Parse reads a Report that was served or saved.
func Parse(text []byte) (Report, error) {
	var r Report
	err := json.Unmarshal(text, &r)
	if err == nil && r.Schema != Schema {
		err = fmt.Errorf("its schema is %d, and this program knows %d", r.Schema, Schema)
	}
	if err != nil {
		return Report{}, fmt.Errorf("this is no report of a registry: %w", err)
	}
	return r, nil
}
