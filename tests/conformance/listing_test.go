package conformance

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// wantTags sends the request and wants these tags.
func wantTags(t *testing.T, q *request, want []string) *answer {
	t.Helper()
	return wantList(t, q, "tags", want)
}

// wantList sends the request and wants a list of names in a field: never null,
// which clients that range over it do not expect.
func wantList(t *testing.T, q *request, field string, want []string) *answer {
	t.Helper()
	a := q.expect(http.StatusOK)
	var list map[string]any
	a.json(&list)
	names, isList := list[field].([]any)
	got := []string{}
	for _, name := range names {
		got = append(got, fmt.Sprint(name))
	}
	if !isList || !slices.Equal(got, want) {
		t.Errorf("%s: %s, want the %s %q", a.request, a.summary(), field, want)
	}
	return a
}

// A Link header to the next page (RFC 5988).
var linkPattern = regexp.MustCompile(`^<([^>]+)>\s*;\s*rel="?next"?$`)

// next is the request of the page after an answer, or nil. It is a page of the
// same list: clients do not expect to be led elsewhere.
func (a *answer) next(s *server) *request {
	a.t.Helper()
	link := a.get("Link")
	if link == "" {
		return nil
	}
	found := linkPattern.FindStringSubmatch(link)
	if found == nil {
		a.t.Fatalf("%s: Link is %q, want <…>; rel=\"next\"", a.request, link)
	}
	here := a.response.Request.URL
	there, err := here.Parse(found[1])
	if err != nil || there.Host != here.Host || there.Path != here.Path {
		a.t.Fatalf("%s: Link is %q, %v; want a page of %s", a.request, link, err, here.Path)
	}
	return s.request(a.t, http.MethodGet, there.String())
}

// pages follows the Link headers from a request on, and asserts that the
// pages, of the size asked for but for the last, make the whole list.
func pages(t *testing.T, q *request, field string, size int, want []string) {
	t.Helper()
	for rest := want; ; {
		end := min(size, len(rest))
		a := wantList(t, q, field, rest[:end])
		rest = rest[end:]
		who := q.who
		if q = a.next(q.server); q == nil {
			if len(rest) > 0 {
				t.Errorf("%s: no Link header, although %q follow", a.request, rest)
			}
			return
		}
		if end == 0 {
			t.Fatalf("%s: a Link header after the last page", a.request)
		}
		q.as(who)
	}
}

func TestTagsAreListed(t *testing.T) {
	t.Parallel()
	repo := newRepository(t, public)
	image := repo.image("image")
	all := []string{"latest", "1.0", "1.10", "1.2", "Upper", "_low", "z", "lower", "v1", "V1"}
	for _, tag := range all {
		repo.tag(tag, image)
	}
	slices.Sort(all) // "ASCIIbetical", as the specification has it
	list := func() *request { return repo.get("/tags/list") }

	var named struct{ Name string }
	wantTags(t, list(), all).lacks("Link").json(&named)
	if named.Name != repo.name {
		t.Errorf("the list is of %q, want %s", named.Name, repo.name)
	}
	for size := 1; size <= len(all)+1; size++ {
		pages(t, list().query("n", fmt.Sprint(size)), "tags", size, all)
	}
	for i, tag := range all {
		wantTags(t, list().query("last", tag), all[i+1:])
		pages(t, list().query("last", tag).query("n", "3"), "tags", 3, all[i+1:])
	}
	wantTags(t, list().query("last", "lz"), []string{"v1", "z"}) // which is no tag
	wantTags(t, list().query("n", "0"), []string{}).lacks("Link")
	wantTags(t, list().query("n", "1000000"), all).lacks("Link")
}

// A list of tags holds tags, not the digests that are stored beside them, and
// may be empty.
func TestNoTags(t *testing.T) {
	t.Parallel()
	repo := newRepository(t, public)
	repo.get("/tags/list").refused("NAME_UNKNOWN", http.StatusNotFound)
	repo.keep(repo.image("image"))
	repo.keep(repo.image("another image").by512())
	wantTags(t, repo.get("/tags/list"), []string{})
}

func TestBadPage(t *testing.T) {
	t.Parallel()
	repo := newRepository(t, public)
	repo.tag("latest", repo.image("image"))
	for _, n := range []string{"-1", "x", "1.5"} {
		repo.get("/tags/list").query("n", n).expect(http.StatusBadRequest)
		public.request(t, http.MethodGet, "/v2/_catalog").as(asWriter()).query("n", n).expect(http.StatusBadRequest)
	}
}

// The catalog lists the repositories that there are. Names are compared whole:
// by components, "alpha-beta" would come after "alpha/beta".
func TestCatalog(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	catalog := func() *request { return s.request(t, http.MethodGet, "/v2/_catalog").as(asWriter()) }
	wantList(t, catalog(), "repositories", []string{}).lacks("Link")
	all := []string{
		"conformance/alpha", "conformance/alpha-beta", "conformance/alpha.beta", "conformance/alpha/beta",
		"conformance/alpha/beta/gamma", "conformance/alpha_beta", "conformance/manifests/app",
		"other/alpha", "other/manifests",
	}
	for _, name := range []int{3, 0, 5, 8, 2, 4, 1, 7, 6} {
		repo := s.repository(t, all[name])
		repo.tag("latest", repo.image("image"))
	}
	slices.Sort(all)
	wantList(t, catalog(), "repositories", all).lacks("Link")
	for size := 1; size <= len(all)+1; size++ {
		pages(t, catalog().query("n", fmt.Sprint(size)), "repositories", size, all)
	}
	for i, name := range all {
		pages(t, catalog().query("last", name).query("n", "2"), "repositories", 2, all[i+1:])
	}
	// crane asks with a token, and everybody may read here.
	wantList(t, catalog().as(s.granted(t, asWriter(), "registry:catalog:*")), "repositories", all)
	wantList(t, catalog().as(s.granted(t, nobody, "registry:catalog:*")), "repositories", all)
}

// A Link is what a client behind a proxy asked for, not where the proxy asked.
func TestLinkBehindProxy(t *testing.T) {
	t.Parallel()
	repo := newRepository(t, public)
	image := repo.image("image")
	repo.tag("one", image)
	repo.tag("two", image)
	link := repo.get("/tags/list").query("n", "1").at("registry.example").expect(http.StatusOK).get("Link")
	found := linkPattern.FindStringSubmatch(link)
	if found == nil {
		t.Fatalf("Link is %q", link)
	}
	where, err := url.Parse(found[1])
	if err != nil || where.Host != "" && where.Host != "registry.example" || !strings.HasSuffix(where.Path, repo.name+"/tags/list") {
		t.Errorf("Link is %q, %v", link, err)
	}
}
