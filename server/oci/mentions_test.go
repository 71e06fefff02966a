package oci_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"opendev.org/zuul/zuul-registry/server/oci"
)

// The digests of which the manifests of these tests are made.
var (
	one   = oci.SHA256.Sum([]byte("one"))
	two   = oci.SHA256.Sum([]byte("two"))
	three = oci.SHA512.Sum([]byte("three"))
)

// fill writes a manifest in which 1, 2 and 3 in angle brackets stand for the digests.
func fill(text string) []byte {
	return []byte(strings.NewReplacer("<1>", one.String(), "<2>", two.String(), "<3>", three.String()).Replace(text))
}

func TestMentions(t *testing.T) {
	for what, tt := range map[string]struct {
		content          string
		needed, children []oci.Digest
		subject          oci.Digest
	}{
		"an image needs its config and layers": {
			content: `{"config":{"digest":"<1>"},"layers":[{"digest":"<2>"},{"size":1,"digest":"<3>"}]}`,
			needed:  []oci.Digest{one, two, three}},
		"an index needs its children": {
			content: `{"manifests":[{"digest":"<1>","platform":{"os":"linux"}},{"digest":"<2>"}]}`,
			needed:  []oci.Digest{one, two}, children: []oci.Digest{one, two}},
		"an index may have layers": {
			content: `{"layers":[{"digest":"<3>"}],"manifests":[{"digest":"<1>"}],"config":{"digest":"<2>"}}`,
			needed:  []oci.Digest{three, one, two}, children: []oci.Digest{one}},
		"a subject is not needed": {
			content: `{"subject":{"digest":"<1>"},"blobs":[{"digest":"<2>"}]}`,
			needed:  []oci.Digest{two}, subject: one},
		"what a subject's annotations say is not the subject": {
			content: `{"subject":{"digest":"<1>","annotations":{"digest":"<2>"}}}`,
			needed:  []oci.Digest{two}, subject: one},
		"what is called a subject further down is": {
			content: `{"layers":[{"subject":{"digest":"<1>"},"digest":"<2>"}]}`,
			needed:  []oci.Digest{one, two}},
		"a child's own fields are the child's": {
			content: `{"manifests":[{"digest":"<1>","subject":{"digest":"<2>"}}]}`,
			needed:  []oci.Digest{one, two}, children: []oci.Digest{one, two}},
		"the layers of schema 1": {
			content: `{"schemaVersion":1,"fsLayers":[{"blobSum":"<1>"},{"blobSum":"<2>"}],"history":[{"v1Compatibility":"{\"digest\":\"<3>\"}"}]}`,
			needed:  []oci.Digest{one, two}},
		"a type that nobody knows": {
			content: `{"mediaType":"application/x","x":[[{"y":{"digest":"<1>"}}],{"digest":"<3>","z":{"digest":"<2>"}}]}`,
			needed:  []oci.Digest{one, three, two}},
		"one that is a descriptor itself":   {content: `{"digest":"<1>"}`, needed: []oci.Digest{one}},
		"one that is a list":                {content: `[{"digest":"<1>"}]`, needed: []oci.Digest{one}},
		"one with a list of digests":        {content: `{"digest":["<1>",["<2>"]]}`, needed: []oci.Digest{one, two}},
		"a digest that is named twice":      {content: `{"config":{"digest":"<1>"},"layers":[{"digest":"<1>"}]}`, needed: []oci.Digest{one, one}},
		"a name in capitals, as Go has it":  {content: `{"Config":{"Digest":"<1>"},"fsLayers":[{"BLOBSUM":"<2>"}]}`, needed: []oci.Digest{one, two}},
		"digests in annotations":            {content: `{"annotations":{"base":"<1>","x":"digest <2>"},"config":{"digest":"<3>","annotations":{"y":"<1>"}}}`, needed: []oci.Digest{three}},
		"digests as names":                  {content: `{"<1>":{"<2>":1}}`},
		"an algorithm that nobody supports": {content: `{"config":{"digest":"md5:d41d8cd98f00b204e9800998ecf8427e"},"layers":[{"digest":"<1>"}]}`, needed: []oci.Digest{one}},
		"digests that are none":             {content: `{"layers":[{"digest":"sha256:x"},{"digest":""},{"digest":7},{"digest":null},{"digest":{}},{"digest":true}]}`},
		"an unusable subject":               {content: `{"subject":{"digest":"sha1:x"},"manifests":null}`},
		"nothing":                           {content: `{}`},
		"neither object nor list":           {content: `"digest"`},
	} {
		got, err := oci.ParseMentions(fill(tt.content))
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if !slices.Equal(got.Needed, tt.needed) || !slices.Equal(got.Children, tt.children) || got.Subject != tt.subject {
			t.Errorf("%s: %+v, want %v, of these %v as children, and %v as subject", what, got, tt.needed, tt.children, tt.subject)
		}
	}
}

// What cannot be read may need anything: it must not look as if it needed nothing.
func TestGarbageMentionsNothingForCertain(t *testing.T) {
	for _, content := range []string{"", " ", "{", "[", "}", `{"config":{"digest":"<1>"}`, `{"layers":[{"digest":"<1>"},`, `{"digest":<1>}`,
		`{"digest" "<1>"}`, `{1:2}`, "\x00", "config", `{"layers":[{"digest":"<1>"}]`, `{"a":[}`, `{"digest":"`, `[{"a":]}`, `{}{"digest":"<1>"}`, `{} x`} {
		if got, err := oci.ParseMentions(fill(content)); !errors.Is(err, oci.ManifestInvalid) {
			t.Errorf("%q: %+v, %v; want MANIFEST_INVALID", content, got, err)
		}
	}
}

// Each manifest that could be pushed can be read, and no other one ends the process.
func TestDeepMentions(t *testing.T) {
	const deepest = 10_000 // as in encoding/json
	for _, shape := range []struct{ begin, end string }{{"[", "]"}, {`{"a":`, "}"}, {`[{"x":[`, "]}]"}} {
		levels := strings.Count(shape.begin, "[") + strings.Count(shape.begin, "{")
		for _, tt := range []struct {
			depth int
			good  bool
		}{{deepest, true}, {deepest + 1, false}, {1_000_000, false}} {
			n := (tt.depth - 1) / levels // and the descriptor
			inner := `{"digest":"<1>"}`
			for range tt.depth - 1 - n*levels {
				inner = "[" + inner + "]"
			}
			content := fill(strings.Repeat(shape.begin, n) + inner + strings.Repeat(shape.end, n))
			got, err := oci.ParseMentions(content)
			if tt.good && (err != nil || !slices.Equal(got.Needed, []oci.Digest{one})) {
				t.Errorf("%s, %d deep: %+v, %v; want its digest", shape.begin, tt.depth, got, err)
			}
			if !tt.good && !errors.Is(err, oci.ManifestInvalid) {
				t.Errorf("%s, %d deep: %v, want MANIFEST_INVALID", shape.begin, tt.depth, err)
			}
		}
		if _, err := oci.ParseMentions([]byte(strings.Repeat(shape.begin, 2_000_000))); !errors.Is(err, oci.ManifestInvalid) {
			t.Errorf("%s without end: %v, want MANIFEST_INVALID", shape.begin, err)
		}
	}
}

// Nothing that a push asks for is overlooked by prune.
func FuzzMentionsHaveAllReferences(f *testing.F) {
	for _, text := range []string{
		`{"config":{"digest":"<1>"},"layers":[{"digest":"<2>"}],"subject":{"digest":"<3>"}}`,
		`{"manifests":[{"digest":"<1>"},{"digest":"<3>"}],"blobs":[{"digest":"<2>","annotations":{"digest":"<1>"}}]}`,
		`{"config":{"Digest":"<1>"},"config":{"digest":"<2>"}}`, `{"subject":{"digest":"<1>","annotations":{"digest":"<2>"}}}`, `{"manifests":null,"layers":[]}`, `{"a":[{"digest":"<1>"}]}{`,
	} {
		f.Add(fill(text))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		refs, err := oci.ParseReferences(content)
		if err != nil {
			return
		}
		mentions, err := oci.ParseMentions(content)
		if err != nil {
			t.Fatalf("it can be pushed, and not be read again: %v", err)
		}
		for _, d := range refs.Blobs {
			if !slices.Contains(mentions.Needed, d.Digest) {
				t.Errorf("the blob %s is overlooked", d.Digest)
			}
		}
		for _, d := range refs.Manifests {
			if !slices.Contains(mentions.Needed, d.Digest) || !slices.Contains(mentions.Children, d.Digest) {
				t.Errorf("the child %s is overlooked", d.Digest)
			}
		}
		if refs.Subject != nil && mentions.Subject != refs.Subject.Digest {
			t.Errorf("the subject is %s, want %s", mentions.Subject, refs.Subject.Digest)
		}
	})
}
