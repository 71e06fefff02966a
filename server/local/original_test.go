package local_test

import (
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
	"testing"

	"opendev.org/zuul/zuul-registry/server/oci"
	"opendev.org/zuul/zuul-registry/server/storage"
	"opendev.org/zuul/zuul-registry/server/storage/swift"
)

// original lays out a store as Python zuul-registry does. Make it with newOriginal.
type original struct {
	*testing.T
	store   storage.Driver
	area    string
	uploads int
	records map[string][]string // what each has, `"<media type>": "<digest>"`
}

func newOriginal(t *testing.T, store storage.Driver) *original {
	return &original{T: t, store: store, area: oci.LocalArea, records: map[string][]string{}}
}

func (o *original) put(object, content string) {
	o.Helper()
	if err := o.store.Put(o.Context(), object, strings.NewReader(content), storage.Durable); err != nil {
		o.Fatal(err)
	}
}

// blob stores a blob that came in some chunks. In Swift these remain where they are
// moved to, with an empty one, of the last request, that is no segment.
func (o *original) blob(chunks ...string) oci.Digest {
	o.Helper()
	content := strings.Join(chunks, "")
	d := oci.SHA256.Sum([]byte(content))
	directory := path.Join(o.area, "blobs", d.String())
	if _, ok := o.store.(*swift.Driver); !ok {
		o.put(path.Join(directory, "data"), content)
		return d
	}
	var parts []storage.Part
	for i, chunk := range append(chunks, "") {
		part := storage.Part{Name: path.Join(directory, fmt.Sprint(i+1)), Size: int64(len(chunk))}
		o.put(part.Name, chunk)
		if chunk != "" {
			parts = append(parts, part)
		}
	}
	if err := o.store.Concat(o.Context(), path.Join(directory, "data"), parts); err != nil {
		o.Fatal(err)
	}
	return d
}

// manifest pushes a manifest to a repository, by a tag or else, if that is empty, by its
// digest. What a tag names under other media types remains.
func (o *original) manifest(repository, tag, mediaType, content string) oci.Digest {
	o.Helper()
	d := oci.SHA256.Sum([]byte(content))
	o.put(path.Join(o.area, "blobs", d.String(), "data"), content)
	ref := tag
	if tag == "" {
		ref = d.String()
	}
	object := o.record(repository, ref)
	var kept []string
	for _, one := range o.records[object] {
		if !strings.HasPrefix(one, `"`+mediaType+`":`) {
			kept = append(kept, one)
		}
	}
	o.records[object] = append(kept, fmt.Sprintf(`"%s": "%s"`, mediaType, d))
	o.put(object, "{"+strings.Join(o.records[object], ", ")+"}")
	return d
}

// record is the object of a tag or digest.
func (o *original) record(repository, ref string) string {
	return path.Join(o.area, "repos", repository, "manifests", ref)
}

// image is a manifest of Docker's, of which the blobs are stored. Different contents make
// different images.
func (o *original) image(content string) string {
	o.Helper()
	return imageOf(oci.MediaTypeDockerManifest, o.blob(`{"config": "`+content+`"}`), o.blob("layer ", "of "+content))
}

func imageOf(mediaType string, config oci.Digest, layers ...oci.Digest) string {
	var all []string
	for _, l := range layers {
		all = append(all, fmt.Sprintf(`{"mediaType": "application/vnd.oci.image.layer.v1.tar", "size": 1, "digest": "%s"}`, l))
	}
	return fmt.Sprintf(`{"schemaVersion": 2, "mediaType": "%s", "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "size": 1, "digest": "%s"}, "layers": [%s]}`,
		mediaType, config, strings.Join(all, ", "))
}

// child is a manifest in an index.
type child struct {
	mediaType string
	digest    oci.Digest
}

// indexOf is a manifest list of Docker's.
func indexOf(children ...child) string {
	var all []string
	for _, c := range children {
		all = append(all, fmt.Sprintf(`{"mediaType": "%s", "size": 1, "digest": "%s"}`, c.mediaType, c.digest))
	}
	return fmt.Sprintf(`{"schemaVersion": 2, "mediaType": "%s", "manifests": [%s]}`, oci.MediaTypeDockerList, strings.Join(all, ", "))
}

// body stores the content of a manifest that no record of this repository names.
func (o *original) body(content string) oci.Digest {
	o.Helper()
	d := oci.SHA256.Sum([]byte(content))
	o.put(path.Join(o.area, "blobs", d.String(), "data"), content)
	return d
}

// upload leaves an upload behind that was never finished, and returns its directory.
func (o *original) upload(chunks ...string) (directory string) {
	o.Helper()
	o.uploads++
	directory = path.Join(o.area, "uploads", fmt.Sprintf("%032x", o.uploads))
	type chunk struct {
		Size int    `json:"size"`
		MD5  string `json:"md5"`
	}
	all := []chunk{}
	for i, c := range chunks {
		sum := md5.Sum([]byte(c))
		all = append(all, chunk{len(c), hex.EncodeToString(sum[:])})
		o.put(path.Join(directory, fmt.Sprint(i+1)), c)
	}
	state := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("state of the hash ", 7)))
	metadata, err := json.Marshal(map[string]any{"chunks": all, "hash_state": map[string]any{"name": "sha256", "md_data": state}})
	if err != nil {
		o.Fatal(err)
	}
	o.put(path.Join(directory, "metadata"), string(metadata))
	return directory
}

// content is that of an object.
func (o *original) content(object string) string {
	o.Helper()
	f, _, err := o.store.Open(o.Context(), object)
	if errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	if err != nil {
		o.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	content, err := io.ReadAll(f)
	if err != nil {
		o.Fatal(err)
	}
	return string(content)
}
