package oci_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"opendev.org/zuul/zuul-registry/server/oci"
)

var digest = oci.SHA256.Sum([]byte("{}"))

// What a parser accepts it prints, and accepts again.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"org/app", "a__b/c-d.e", "latest", digest.String(), oci.SHA512.Sum(nil).String(), "sha256:", "..", "A", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if n, err := oci.ParseName(s); err == nil && n.String() != s {
			t.Errorf("name %q is printed as %q", s, n)
		}
		ref, err := oci.ParseReference(s)
		if err != nil {
			return
		}
		again, err := oci.ParseReference(ref.String())
		if ref.String() != s || err != nil || again != ref {
			t.Errorf("reference %q is printed as %q, which is %v, %v", s, ref, again, err)
		}
	})
}

func TestParseRefuses(t *testing.T) {
	long := strings.Repeat("a", 300)
	for _, tt := range []struct {
		parse func(string) error
		code  oci.Code
		bad   []string
	}{
		{func(s string) error { _, err := oci.ParseName(s); return err }, oci.NameInvalid,
			[]string{"", "/", "a/", "/a", "a//b", "A", "a..b", "a/../b", "_a", "a-", "a___b", "a:b", "ä", "a\n", long}},
		{func(s string) error { _, err := oci.ParseTag(s); return err }, oci.TagInvalid,
			[]string{"", ".a", "-a", "a/b", "a:b", "a b", "a\n", long}},
		{func(s string) error { _, err := oci.ParseDigest(s); return err }, oci.DigestInvalid,
			[]string{"", "sha256", "sha256:", "md5:00", "sha256:" + long, digest.String() + "0", strings.ToUpper(digest.String()), digest.String() + "\n"}},
	} {
		for _, s := range tt.bad {
			err := tt.parse(s)
			if !errors.Is(err, tt.code) {
				t.Errorf("%q: %v, want %s", s, err, tt.code)
			}
			if err != nil && len(err.Error()) > 300 {
				t.Errorf("an error of %d characters repeats what was sent", len(err.Error()))
			}
		}
	}
}

func TestDigestInJSON(t *testing.T) {
	text, err := json.Marshal(map[string]oci.Digest{"x": digest})
	if err != nil || string(text) != `{"x":"`+digest.String()+`"}` {
		t.Errorf("%s, %v", text, err)
	}
	var back map[string]oci.Digest
	if err := json.Unmarshal(text, &back); err != nil || back["x"] != digest {
		t.Errorf("%v, %v", back, err)
	}
	if err := json.Unmarshal([]byte(`{"x":"latest"}`), &back); err == nil {
		t.Error("a tag is taken for a digest")
	}
}

func descriptor(mediaType string) string {
	return fmt.Sprintf(`{"mediaType":%q,"size":2,"digest":%q}`, mediaType, digest)
}

func TestManifestsAreWhatTheyAreCalled(t *testing.T) {
	d := descriptor("x")
	for _, tt := range []struct {
		what, mediaType, content string
		good                     bool
	}{
		{"an image", oci.MediaTypeImageManifest, `{"config":` + d + `,"layers":[]}`, true},
		{"an image that says so", "", `{"mediaType":"` + oci.MediaTypeDockerManifest + `","config":` + d + `}`, true},
		{"an index", oci.MediaTypeImageIndex, `{"manifests":[` + d + `]}`, true},
		{"an empty index", oci.MediaTypeDockerList, `{"manifests":[]}`, true},
		{"something unknown", "application/x", `{"blobs":[` + d + `]}`, true},
		{"of a type that is none", "json", `{}`, false},
		{"of a type without end", "application/" + strings.Repeat("x", 1<<16), `{}`, false},
		{"of no type at all", "", `{"config":` + d + `}`, false},
		{"of two types", oci.MediaTypeImageManifest, `{"mediaType":"` + oci.MediaTypeDockerManifest + `","config":` + d + `}`, false},
		{"an image without config", oci.MediaTypeImageManifest, `{"layers":[]}`, false},
		{"an image that is an index, too", oci.MediaTypeImageManifest, `{"config":` + d + `,"manifests":[]}`, false},
		{"an index with layers", oci.MediaTypeImageIndex, `{"manifests":[],"layers":[]}`, false},
		{"an index with a config", oci.MediaTypeDockerList, `{"manifests":[],"config":` + d + `}`, false},
		{"of schema 1", "application/vnd.docker.distribution.manifest.v1+prettyjws", `{"fsLayers":[]}`, false},
		{"no JSON", oci.MediaTypeImageManifest, `config`, false},
		{"no object", oci.MediaTypeImageManifest, `[]`, false},
		{"null", oci.MediaTypeImageManifest, `null`, false},
		{"empty", oci.MediaTypeImageManifest, ``, false},
		{"two objects", oci.MediaTypeImageManifest, `{"config":` + d + `}{}`, false},
		{"with a field of other case", oci.MediaTypeImageManifest, `{"config":` + d + `,"layers":[],"LAYERS":[` + d + `]}`, false},
		{"with a negative size", oci.MediaTypeImageManifest, `{"config":{"size":-1,"digest":"` + digest.String() + `"}}`, false},
		{"with fields unheard of", oci.MediaTypeImageManifest, `{"config":` + d + `,"x":{"Config":1},"annotations":{"Config":"y"}}`, true},
		{"with null layers", oci.MediaTypeImageManifest, `{"config":` + d + `,"layers":null}`, true},
		{"with a null layer", oci.MediaTypeImageManifest, `{"config":` + d + `,"layers":[null]}`, false},
		{"with a bad digest", oci.MediaTypeImageManifest, `{"config":{"digest":"sha256:x"}}`, false},
		{"with a descriptor of nothing", oci.MediaTypeImageManifest, `{"config":{}}`, false},
	} {
		m, err := oci.NewManifest(tt.mediaType, []byte(tt.content), oci.SHA256)
		if (err == nil) != tt.good || err != nil && !errors.Is(err, oci.ManifestInvalid) {
			t.Errorf("%s: %v", tt.what, err)
		}
		if err == nil && (m.Digest != oci.SHA256.Sum([]byte(tt.content)) || m.Size != int64(len(tt.content)) || m.MediaType == "") {
			t.Errorf("%s is described as %+v", tt.what, m.Descriptor)
		}
	}
}

func TestReferences(t *testing.T) {
	content := `{"config":` + descriptor("config") + `,"layers":[` + descriptor("layer") + `],"blobs":[` + descriptor("blob") + `],` +
		`"manifests":[` + descriptor("child") + `],"subject":` + descriptor("subject") + `}`
	refs, err := oci.ParseReferences([]byte(content))
	if err != nil {
		t.Fatal(err)
	}
	var types []string
	for _, d := range append(refs.Blobs, append(refs.Manifests, *refs.Subject)...) {
		types = append(types, d.MediaType)
	}
	if refs.ArtifactType != "config" {
		t.Errorf("the artifact type is %q, want the config's", refs.ArtifactType)
	}
	if got := strings.Join(types, " "); got != "config layer blob child subject" {
		t.Errorf("the manifest names %s", got)
	}
}

func TestErrors(t *testing.T) {
	cause := errors.New("the disk")
	err := fmt.Errorf("pulling: %w", &oci.Error{Code: oci.BlobUnknown, Message: "gone", Cause: cause})
	if !errors.Is(err, oci.BlobUnknown) || errors.Is(err, oci.ManifestUnknown) || !errors.Is(err, cause) {
		t.Errorf("%v is not what it is made of", err)
	}
	if fault, ok := oci.AsError(err); !ok || fault.Message != "gone" {
		t.Errorf("AsError gives %v", fault)
	}
	if err.Error() != "pulling: BLOB_UNKNOWN: gone: the disk" {
		t.Errorf("it reads %q", err)
	}
}
