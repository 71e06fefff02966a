package report

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"opendev.org/zuul/zuul-registry/server/oci"
)

// fixture is a report with one of everything.
func fixture(t *testing.T) Report {
	t.Helper()
	text, err := os.ReadFile("testdata/page.json")
	if err != nil {
		t.Fatal(err)
	}
	r, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func page(t *testing.T, r Report, live bool) string {
	t.Helper()
	text, err := r.Page(live)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// plainly is what somebody reads of markup.
func plainly(markup string) string {
	for _, tag := range []string{"script", "style"} {
		markup = regexp.MustCompile(`(?s)<`+tag+`>.*?</`+tag+`>`).ReplaceAllString(markup, "")
	}
	return strings.Join(strings.Fields(regexp.MustCompile(`<[^>]*>`).ReplaceAllString(markup, "")), " ")
}

// section is the part of a page below a heading.
func section(markup, id string) string {
	_, part, _ := strings.Cut(markup, `<h2 id="`+id+`">`)
	part, _, _ = strings.Cut(part, "</section>")
	return part
}

// rowsOf are the images that the rows of a part of a page are about.
func rowsOf(markup string) []string {
	var all []string
	for _, m := range regexp.MustCompile(`(?s)<th role="rowheader"[^>]*>(.*?)</th>`).FindAllStringSubmatch(markup, -1) {
		all = append(all, plainly(m[1]))
	}
	return all
}

func TestPageAnswersInOneSentence(t *testing.T) {
	text := plainly(page(t, fixture(t), true))
	want := "15 pulls: 8 speculative, 4 cached from docker.io, 2 fetched, 1 stale from docker.io; not got: 2 misses, 3 failed."
	if !strings.Contains(text, want) {
		t.Errorf("the page does not say %q", want)
	}
}

func TestPageHasWhatIsWantingOnTop(t *testing.T) {
	markup := page(t, fixture(t), true)
	var ids []string
	for _, m := range regexp.MustCompile(`<h2 id="(\w+)">`).FindAllStringSubmatch(markup, -1) {
		ids = append(ids, m[1])
	}
	if want := []string{"attention", "pulls", "images", "pushes", "upstreams", "uploads", "storage"}; !slices.Equal(ids, want) {
		t.Errorf("the sections are %v, want %v", ids, want)
	}
	want := []string{
		"docker.io/org/web:3.2", "quay.io/org/metrics:v1", "a layer of quay.io/org/base",
		"registry.example.com/org/app-worker:nightly", "docker.io/library/postgres:16",
	}
	if got := rowsOf(section(markup, "attention")); !slices.Equal(got, want) {
		t.Errorf("to look at are %q, want %q", got, want)
	}
	pulls, folded, _ := strings.Cut(section(markup, "pulls"), "<details class=\"folded\"")
	if got := rowsOf(pulls); len(got) != 9 || got[0] != "registry.example.com/org/app:latest" || got[8] != "docker.io/library/busybox:latest" {
		t.Errorf("pulled are %q", got)
	}
	if got := rowsOf(folded); len(got) != 5 {
		t.Errorf("folded away are %q, want three parts and two that are over", got)
	}
}

func TestPageEmpty(t *testing.T) {
	now := time.Date(2026, 7, 30, 12, 0, 0, 0, time.UTC)
	empty := Report{Time: now, Begin: now}
	text := plainly(page(t, empty, true))
	for _, want := range []string{
		"Nothing was pulled yet.", "Make this registry a mirror", "There is no image here yet. Push one",
		"Nothing was pushed yet", "what was not pushed here is a miss", "nothing is being pushed",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("an empty page does not say %q", want)
		}
	}
	if strings.Contains(text, "To look at") {
		t.Error("an empty page wants to be looked at")
	}
	empty.Filter.Namespace = "quay.io"
	if text := plainly(page(t, empty, true)); strings.Contains(text, "yet") {
		t.Errorf("a filtered page says that there is nothing yet: %s", text)
	}
}

func TestPageEscapes(t *testing.T) {
	const evil = `"><script>alert(1)</script><img src=x onerror='alert(2)'>{{.}}` + "\u202e"
	r := fixture(t)
	p := r.Pulls[0]
	p.Name, p.Reference, p.Tool, p.Address, p.User, p.Detail, p.Upstream = evil, evil, evil, evil, evil, evil, evil
	p.Origin = oci.Origin(evil)
	r.Pulls = append(r.Pulls, p)
	r.Version, r.Filter.Namespace, r.Filter.Origin = evil, evil, oci.Origin(evil)
	r.Faults = append(r.Faults, evil)
	r.Images[0].Platforms = []string{evil}
	r.Upstreams[0].URL, r.Upstreams[0].Problem, r.Upstreams[0].State = "javascript:alert(3)", evil, Health(evil)
	r.Storage.Driver = evil
	for _, live := range []bool{true, false} {
		markup := page(t, r, live)
		for _, never := range []string{"<script>alert", "<img", `onerror='`, `href="javascript`} {
			if strings.Contains(markup, never) {
				t.Errorf("live %v: the page has %s", live, never)
			}
		}
		if !strings.Contains(markup, "&lt;script&gt;alert(1)") {
			t.Errorf("live %v: the page does not show what it was told", live)
		}
	}
}

func TestPageHasBounds(t *testing.T) {
	r := fixture(t)
	long := r.Pulls[1]
	long.Tool = strings.Repeat("ö", 10_000)
	missed := r.Pulls[0]
	for i := range 5000 {
		long.Reference, missed.Reference = fmt.Sprint("t", i), fmt.Sprint("t", i)
		r.Pulls = append(r.Pulls, long, missed)
		r.Images = append(r.Images, r.Images[0])
		r.Pushes = append(r.Pushes, r.Pushes[0])
		r.Uploads = append(r.Uploads, r.Uploads[0])
	}
	markup := page(t, r, true)
	if most := 1 << 20; len(markup) > most {
		t.Errorf("the page is of %d bytes, want at most %d", len(markup), most)
	}
	text := plainly(markup)
	for _, want := range []string{"And 4809 more, in the JSON", "And 4805 more", "And 4708 more", "And 4901 more"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
}

// TestPageIsWhole: it needs nothing beside itself, and a saved one nobody.
func TestPageIsWhole(t *testing.T) {
	linked := regexp.MustCompile(`(?:src|href|action|srcset|poster|data)="([^"]*)"`)
	for live, allowed := range map[bool]*regexp.Regexp{
		true:  regexp.MustCompile(`^(#\w+|\./|report(\?.*)?|data:image/svg.*)$`),
		false: regexp.MustCompile(`^(#\w+|data:image/svg.*)$`),
	} {
		markup := page(t, fixture(t), live)
		for _, m := range linked.FindAllStringSubmatch(markup, -1) {
			if !allowed.MatchString(m[1]) {
				t.Errorf("live %v: it leads to %q", live, m[1])
			}
		}
		for _, never := range []string{"@import", "url(", " style=", " onclick="} {
			if strings.Contains(markup, never) {
				t.Errorf("live %v: it has %q", live, never)
			}
		}
		if got := strings.Contains(markup, "<script"); got != live {
			t.Errorf("live %v: has it a script? %v", live, got)
		}
		if got := strings.Contains(markup, "<form"); got != live {
			t.Errorf("live %v: has it a form? %v", live, got)
		}
		if got := strings.Contains(markup, "Saved at"); got == live {
			t.Errorf("live %v: does it say when it was saved? %v", live, got)
		}
	}
}

func TestPagePolicy(t *testing.T) {
	for _, live := range []bool{true, false} {
		markup, policy, all := page(t, fixture(t), live), PagePolicy(), []string{"default-src 'none'", "base-uri 'none'", "frame-ancestors 'none'"}
		if !live { // which says it itself, and there frame-ancestors means nothing
			policy, all = savedPolicy(), all[:2]
		}
		for _, want := range all {
			if !strings.Contains(policy, want) {
				t.Errorf("live %v: the policy lacks %s", live, want)
			}
		}
		if strings.Contains(policy, "unsafe") {
			t.Errorf("live %v: the policy is %s", live, policy)
		}
		for _, m := range regexp.MustCompile(`(?s)<(style|script)>(.*?)</(?:style|script)>`).FindAllStringSubmatch(markup, -1) {
			sum := sha256.Sum256([]byte(m[2]))
			if want := m[1] + "-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"; !strings.Contains(policy, want) {
				t.Errorf("live %v: the policy lacks %s", live, want)
			}
		}
	}
	if !strings.Contains(page(t, fixture(t), false), `http-equiv="Content-Security-Policy"`) {
		t.Error("a saved page has no policy")
	}
}

// TestPageLinksToItsJSON: to that of the same filter.
func TestPageLinksToItsJSON(t *testing.T) {
	r := fixture(t)
	r.Filter = Filter{Namespace: "docker.io", Origin: oci.Cached, Since: r.Time.Add(-time.Hour)}
	const want = `href="report?namespace=docker.io&amp;origin=cached&amp;since=2026-07-30T13%3A22%3A05Z"`
	if !strings.Contains(page(t, r, true), want) {
		t.Errorf("the page has not %s", want)
	}
}

func TestPageSizesAndTimes(t *testing.T) {
	for n, want := range map[int64]string{0: "0 bytes", 999: "999 bytes", 1000: "1 kB", 2216042: "2.22 MB", 151288341: "151 MB", 999_999_999: "1 GB"} {
		if got := size(n); got != want {
			t.Errorf("%d is %q, want %q", n, got, want)
		}
	}
	now := time.Date(2026, 7, 30, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		live        bool
		away        time.Duration
		clock, tell string
	}{
		{true, 0, "12:00:00", "a moment ago"},
		{true, -90 * time.Second, "11:58:30", "1 min ago"},
		{false, -5 * time.Second, "11:59:55", "5 s earlier"},
		{true, 5 * time.Minute, "12:05:00", "5 min from now"},
		{true, -30 * time.Hour, "29 Jul 06:00", "30 h ago"},
		{false, -400 * 24 * time.Hour, "25 Jun 2025", "400 days earlier"},
	} {
		got := clock{now, c.live}.At(now.Add(c.away))
		if got.Clock != c.clock || got.Ago != c.tell {
			t.Errorf("%v from now is %q, %q; want %q, %q", c.away, got.Clock, got.Ago, c.clock, c.tell)
		}
	}
}
