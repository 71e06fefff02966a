package conformance

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// badRequest is a request line, and the codes that may refuse it.
type badRequest struct{ method, target, codes string }

func badNames() []badRequest {
	const code = "NAME_INVALID"
	var bad []badRequest
	for _, name := range []string{
		"UPPER/case", "-begins/so", "ends-/so", "ends./so", ".begins/so", "_begins/so", "a/b.", "a..b/c", "a___b/c",
		"a._b/c", "a+b/c", "a~b/c", "a@b/c", "a:1/c", "%C3%BC/c", "a%20b", "a%00b", "a%0Ab", "a%3Fb", "a%23b", "a%5Cb",
		"..", ".", "a/../b", "a/./b", "../../etc", "a/..", "a/%2e%2e/b", "%2e%2e/b", "a/.%2e/b",
		"/a/b", "a//b", "a/b/", "//", "a%2Fb", "a%2fb", "..%2f..%2fetc", "%2Fetc",
		strings.Repeat("n", 256), strings.Repeat("n/", 128) + "n",
	} {
		for _, route := range []string{
			"/manifests/latest", "/tags/list", "/blobs/" + sha256Of(nil), "/referrers/" + sha256Of(nil),
		} {
			bad = append(bad, badRequest{http.MethodGet, "/v2/" + name + route, code})
		}
		bad = append(bad,
			badRequest{http.MethodPut, "/v2/" + name + "/manifests/latest", code},
			badRequest{http.MethodDelete, "/v2/" + name + "/manifests/latest", code},
			badRequest{http.MethodPost, "/v2/" + name + "/blobs/uploads/", code},
			badRequest{http.MethodPost, "/v2/" + name + "/blobs/uploads/?digest=" + sha256Of(nil), code})
	}
	return append(bad,
		badRequest{http.MethodPost, "/v2/conformance/app/blobs/uploads/?mount=" + sha256Of(nil) + "&from=UPPER/case", code},
		badRequest{http.MethodPost, "/v2/conformance/app/blobs/uploads/?mount=" + sha256Of(nil) + "&from=../../etc", code})
}

func badTags() []badRequest {
	var bad []badRequest
	for _, tag := range []string{
		"-begins", ".begins", "..", ".", "%2e%2e", "a+b", "a~b", "a%20b", "a%00b", "a%0Ab", "a%2Fb", "..%2Fb", "%C3%BC",
		strings.Repeat("t", 129),
	} {
		for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete} {
			// Where the tag looks like a part of the path, the name may be blamed.
			bad = append(bad, badRequest{method, "/v2/conformance/app/manifests/" + tag, "TAG_INVALID|NAME_INVALID"})
		}
	}
	return bad
}

func badDigests() []badRequest {
	const code = "DIGEST_INVALID"
	var bad []badRequest
	for _, digest := range []string{
		"sha256:", "sha256:0", "sha256:baddigeststring", "sha256:" + strings.Repeat("A", 64), "sha256:" + strings.Repeat("g", 64),
		"sha256:" + strings.Repeat("0", 63), "sha256:" + strings.Repeat("0", 65), "sha512:" + strings.Repeat("0", 64),
		"md5:d41d8cd98f00b204e9800998ecf8427e", "sha1:" + strings.Repeat("0", 40), ":" + strings.Repeat("0", 64),
		"SHA256:" + strings.Repeat("0", 64), "sha256:..", "sha256:%2e%2e",
	} {
		const own = "/v2/conformance/app"
		bad = append(bad,
			badRequest{http.MethodGet, own + "/manifests/" + digest, code},
			badRequest{http.MethodPut, own + "/manifests/" + digest, code},
			badRequest{http.MethodDelete, own + "/manifests/" + digest, code},
			badRequest{http.MethodGet, own + "/blobs/" + digest, code},
			badRequest{http.MethodDelete, own + "/blobs/" + digest, code},
			badRequest{http.MethodGet, own + "/referrers/" + digest, code},
			badRequest{http.MethodPost, own + "/blobs/uploads/?digest=" + digest, code},
			badRequest{http.MethodPost, own + "/blobs/uploads/?mount=" + digest + "&from=conformance/other", code})
	}
	for _, text := range []string{"nonsense", "..", "%2e%2e", "sha256:%2e%2e%2fetc", "sha256", strings.Repeat("0", 64)} {
		bad = append(bad, badRequest{http.MethodGet, "/v2/conformance/app/blobs/" + text, code + "|NAME_INVALID"},
			badRequest{http.MethodGet, "/v2/conformance/app/referrers/" + text, code + "|NAME_INVALID"})
	}
	return append(bad, badRequest{http.MethodPost, "/v2/conformance/app/blobs/uploads/?digest-algorithm=md5", code})
}

// What is malformed is refused as such: it is not cleaned, not redirected, not
// looked up, and leaves nothing behind, inside the store or out of it.
func TestBadRequests(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	image := s.repository(t, "conformance/app").image("image")
	before := tree(t, s.root)
	for _, bad := range slices.Concat(badNames(), badTags(), badDigests()) {
		t.Run(bad.method+" "+bad.target, func(t *testing.T) {
			w := s.dial(t)
			if bad.method == http.MethodPut {
				w.begin(bad.method, bad.target, "Content-Type: "+ociImage, length(len(image.content))).write(image.content)
			} else {
				w.begin(bad.method, bad.target, length(0))
			}
			a := w.answer(bad.method, bad.target)
			if a.status != http.StatusBadRequest {
				t.Fatalf("%s: %s, want 400", a.request, a.summary())
			}
			if err := a.named(bad.codes); err != nil {
				t.Error(err)
			}
		})
	}
	if after := tree(t, s.root); !slices.Equal(before, after) {
		t.Errorf("bad requests have changed the registry's files\nbefore: %q\nafter:  %q", before, after)
	}
	wantList(t, s.request(t, http.MethodGet, "/v2/_catalog").as(asWriter()), "repositories", []string{})
}

// tree lists all files under a directory, but for the journal, in which there is a line of
// whatever was asked for.
func tree(t *testing.T, root string) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(root, func(path string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && filepath.Base(filepath.Dir(path)) != "_journal" {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
