package oci

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
)

// Mentions are the digests that a manifest names, whatever its type is: for those who
// must not lose what a type that nobody here knows needs.
type Mentions struct {
	Needed   []Digest // of descriptors at any depth, and the layers of Docker's schema 1
	Children []Digest // those of Needed that the field manifests has
	Subject  Digest   // zero if there is none; the manifest does not need it
}

// ParseMentions reads what a manifest names. What is not JSON, or nested too deep, is
// MANIFEST_INVALID; what is no digest of ours names nothing.
func ParseMentions(content []byte) (Mentions, error) {
	r := mentionReader{decoder: json.NewDecoder(bytes.NewReader(content))}
	r.decoder.UseNumber() // or one that Go cannot hold would be an error
	err := r.value("", "", 0)
	if err == nil {
		err = r.end()
	}
	if err != nil {
		return Mentions{}, Errorf(ManifestInvalid, "manifest cannot be read: %v", err)
	}
	return r.found, nil
}

// mentionReader goes through a manifest without keeping it.
type mentionReader struct {
	decoder *json.Decoder
	found   Mentions
}

// end asserts that there is nothing more.
func (r *mentionReader) end() error {
	if _, err := r.decoder.Token(); err != io.EOF {
		return errors.New("there is more after its end")
	}
	return nil
}

// deepest is how deep encoding/json reads, which every manifest that was pushed has
// passed.
const deepest = 10_000

// value reads one of the field called name, within the manifest's field called top.
func (r *mentionReader) value(top, name string, depth int) error {
	token, err := r.decoder.Token()
	if err != nil {
		return err
	}
	switch token := token.(type) {
	case string:
		r.mention(top, name, token, depth)
	case json.Delim:
		if depth >= deepest {
			return errors.New("it is nested too deep")
		}
		return r.inside(token, top, name, depth+1)
	}
	return nil
}

// inside reads an object or array up to its end.
func (r *mentionReader) inside(begin json.Delim, top, name string, depth int) error {
	for r.decoder.More() {
		if begin == '{' {
			key, err := r.decoder.Token()
			if err != nil {
				return err
			}
			name, _ = key.(string)
		}
		field := top
		if depth == 1 {
			field = name
		}
		if err := r.value(field, name, depth); err != nil {
			return err
		}
	}
	_, err := r.decoder.Token()
	return err
}

// mention notes a digest at a depth: the subject's own is in the field, and not further down.
func (r *mentionReader) mention(top, name, text string, depth int) {
	if !strings.EqualFold(name, "digest") && !strings.EqualFold(name, "blobSum") {
		return
	}
	d, err := ParseDigest(text)
	switch {
	case err != nil:
	case top == "subject" && depth == 2 && strings.EqualFold(name, "digest"):
		r.found.Subject = d
	default:
		r.found.Needed = append(r.found.Needed, d)
		if top == "manifests" {
			r.found.Children = append(r.found.Children, d)
		}
	}
}
