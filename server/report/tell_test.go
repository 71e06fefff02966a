package report

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"opendev.org/zuul/zuul-registry/server/oci"
	"opendev.org/zuul/zuul-registry/server/provenance"
)

var (
	one   = oci.SHA256.Sum([]byte("one"))
	other = oci.SHA256.Sum([]byte("other"))
	noon  = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

	docker = provenance.Client{Tool: "docker/29.1", Address: "192.0.2.1"}
	podman = provenance.Client{Tool: "podman/5", Address: "192.0.2.2"}
	zuul   = provenance.Client{User: "zuul", Tool: "skopeo/1.2", Address: "192.0.2.3"}
)

// journal makes one, each entry a minute after the one before.
func journal(events ...provenance.Event) []provenance.Entry {
	var all []provenance.Entry
	for i, e := range events {
		at := noon.Add(time.Duration(i) * time.Minute)
		all = append(all, provenance.Entry{Time: at, Last: at, Count: 1, Event: e})
	}
	return all
}

func of(a provenance.Action, name, reference string, d oci.Digest, s oci.Origin, c provenance.Client) provenance.Event {
	e := provenance.Event{Action: a, Kind: provenance.Manifest, Name: name, Reference: reference, Digest: d, Origin: s, Client: c}
	switch s {
	case oci.Cached, oci.Fetched, oci.Stale:
		e.Upstream, _, _ = strings.Cut(name, "/")
	case oci.Miss:
		e.Detail = "it is not there"
	}
	return e
}

const app = "quay.io/org/app"

// told is a report of a journal.
func told(f Filter, events ...provenance.Event) Report {
	r := Report{Schema: Schema, Time: noon.Add(time.Hour), Filter: f, Journal: journal(events...)}
	r.tell()
	return r
}

// line is what matters of a pull.
func line(p Act) string {
	return fmt.Sprintf("%s %s %s %s %d/%d %d-%d", image(p.Name, p.Reference), p.Origin, p.Upstream, p.Tool, p.Resolved, p.Count,
		p.First.Sub(noon)/time.Minute, p.Last.Sub(noon)/time.Minute)
}

func lines(pulls []Act) []string {
	all := []string{}
	for _, p := range pulls {
		all = append(all, line(p))
	}
	return all
}

func TestPulls(t *testing.T) {
	const resolve, pull = provenance.Resolve, provenance.Pull
	for what, tt := range map[string]struct {
		events []provenance.Event
		want   []string
	}{
		"nothing": {nil, []string{}},
		"a tag, twice": {[]provenance.Event{
			of(pull, app, "1", one, oci.Speculative, docker), of(pull, app, "1", one, oci.Speculative, docker),
		}, []string{"quay.io/org/app:1 speculative  docker/29.1 0/2 0-1"}},
		"a tag that is resolved, and its digest": {[]provenance.Event{
			of(resolve, app, "1", one, oci.Speculative, docker), of(pull, app, one.String(), one, oci.Speculative, docker),
		}, []string{"quay.io/org/app:1 speculative  docker/29.1 1/1 0-1"}},
		"a digest that another client resolved": {[]provenance.Event{
			of(resolve, app, "1", one, oci.Speculative, docker), of(pull, app, one.String(), one, oci.Speculative, podman),
		}, []string{"quay.io/org/app@" + one.String() + " speculative  podman/5 0/1 1-1", "quay.io/org/app:1 speculative  docker/29.1 1/0 0-0"}},
		"one that logs in for the digest alone": {[]provenance.Event{
			of(resolve, app, "1", one, oci.Speculative, docker),
			of(pull, app, one.String(), one, oci.Speculative, provenance.Client{User: "a", Tool: docker.Tool, Address: docker.Address}),
		}, []string{"quay.io/org/app:1 speculative  docker/29.1 1/1 0-1"}},
		"a tag that moves": {[]provenance.Event{
			of(pull, app, "1", one, oci.Fetched, docker), of(pull, app, "1", other, oci.Speculative, docker),
		}, []string{"quay.io/org/app:1 speculative  docker/29.1 0/1 1-1", "quay.io/org/app:1 fetched quay.io docker/29.1 0/1 0-0"}},
		"a tag that comes from elsewhere later, and its digest twice": {[]provenance.Event{
			of(resolve, app, "1", one, oci.Fetched, docker), of(pull, app, one.String(), one, oci.Cached, docker),
			of(resolve, app, "1", one, oci.Stale, docker), of(pull, app, one.String(), one, oci.Cached, docker),
		}, []string{"quay.io/org/app:1 stale quay.io docker/29.1 1/1 2-3", "quay.io/org/app:1 fetched quay.io docker/29.1 1/1 0-0"}},
		"what is pushed after that": {[]provenance.Event{
			of(resolve, app, "1", oci.Digest{}, oci.Miss, zuul), of(provenance.Push, app, "1", one, "", zuul),
			of(resolve, app, "2", oci.Digest{}, oci.Miss, zuul), of(pull, app, "1", oci.Digest{}, oci.Miss, docker),
			of(provenance.Push, app, "1", one, "", docker),
		}, []string{"quay.io/org/app:1 miss  docker/29.1 0/1 3-3", "quay.io/org/app:2 miss  skopeo/1.2 1/0 2-2"}},
		"misses": {[]provenance.Event{
			of(pull, app, "1", oci.Digest{}, oci.Miss, docker), of(resolve, app, "1", oci.Digest{}, oci.Miss, docker),
		}, []string{"quay.io/org/app:1 miss  docker/29.1 1/1 0-1"}},
		"pushes and blobs are none": {[]provenance.Event{
			of(provenance.Push, app, "1", one, "", zuul),
			{Action: pull, Kind: provenance.Blob, Name: app, Reference: one.String(), Digest: one, Origin: oci.Kept},
		}, []string{}},
	} {
		if got := lines(told(Filter{}, tt.events...).Pulls); !slices.Equal(got, tt.want) {
			t.Errorf("%s:\n%s\nwant\n%s", what, strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
		}
	}
}

func TestPushes(t *testing.T) {
	r := told(Filter{},
		of(provenance.Push, app, "1", one, "", zuul),
		of(provenance.Pull, app, "1", one, oci.Speculative, docker),
		of(provenance.Delete, app, "1", oci.Digest{}, oci.Refused, docker))
	if len(r.Pushes) != 2 || r.Pushes[0].Action != provenance.Delete || r.Pushes[0].Origin != oci.Refused ||
		r.Pushes[1].User != "zuul" || r.Pushes[1].Digest != one || !r.Pushes[1].First.Equal(noon) {
		t.Errorf("%+v", r.Pushes)
	}
}

func TestImagesKnowTheirPushersAndPulls(t *testing.T) {
	r := Report{Images: []Image{
		{Name: app, Tag: "1", Digest: one, Origin: oci.Speculative},
		{Name: app, Tag: "2", Digest: other, Origin: oci.Speculative},
		{Name: app, Tag: "1", Digest: other, Origin: oci.Cached},
	}, Journal: journal(
		of(provenance.Push, app, "1", one, "", zuul),
		of(provenance.Push, app, "2", one, "", zuul), // and it was pushed again, which is forgotten
		of(provenance.Pull, app, "1", one, oci.Speculative, docker),
		of(provenance.Pull, app, one.String(), one, oci.Speculative, podman),
		of(provenance.Pull, app, "1", other, oci.Cached, docker),
	)}
	r.tell()
	for i, want := range []struct {
		by     string
		pulled int
	}{{"zuul", 2}, {"", 0}, {"", 1}} {
		if got := r.Images[i]; got.PushedBy != want.by || got.Pulled != want.pulled {
			t.Errorf("%s %s: pushed by %q and pulled %d times, want %q and %d", got.Tag, got.Origin, got.PushedBy, got.Pulled, want.by, want.pulled)
		}
	}
}

func TestFilter(t *testing.T) {
	events := []provenance.Event{
		of(provenance.Pull, app, "0", one, oci.Speculative, docker),
		of(provenance.Pull, "docker.io/library/alpine", "1", one, oci.Cached, docker),
		of(provenance.Pull, "docker.io/library/alpine", "2", one, oci.Speculative, docker),
		of(provenance.Pull, "docker.iot/x", "3", oci.Digest{}, oci.Miss, docker),
	}
	for query, want := range map[string]string{
		"":                              "3210",
		"namespace=docker.io":           "21",
		"origin=speculative":            "20",
		"origin=miss&namespace=quay.io": "",
		"since=2026-03-01T12:01:30Z":    "32",
		"until=2026-03-01T12:01:30Z":    "10",
		"since=2026-03-01T13:01:00%2b01:00&until=2026-03-01T12:02:00Z": "21",
		"since=1m": "",
		"more=x":   "3210",
	} {
		f, err := ParseFilter(query)
		if err != nil {
			t.Errorf("%s: %v", query, err)
		}
		r, got := told(f, events...), ""
		for _, p := range r.Pulls {
			got += p.Reference
		}
		if got != want || len(r.Journal) != len(want) || !r.Begin.Equal(noon) {
			t.Errorf("%s: pulls %s of %d entries since %v, want %s", query, got, len(r.Journal), r.Begin, want)
		}
	}
	for _, query := range []string{"since=1h&since=2h", "since=1h;origin=miss", "since=yesterday", "until=-1h", "origin=pushed", "since=2026-03-01"} {
		if _, err := ParseFilter(query); err == nil {
			t.Errorf("%s: %v, want what is allowed", query, err)
		}
	}
}

func TestUnmet(t *testing.T) {
	const pull = provenance.Pull
	for what, tt := range map[string]struct {
		required string
		events   []provenance.Event
		want     []string
	}{
		"it was pulled": {app + ":1", []provenance.Event{of(pull, app, "1", one, oci.Speculative, docker)}, nil},
		"by digest":     {app + "@" + one.String(), []provenance.Event{of(pull, app, "1", one, oci.Speculative, docker)}, nil},
		"in short": {"docker.io/alpine", []provenance.Event{
			of(pull, "docker.io/library/alpine", "latest", one, oci.Speculative, docker),
		}, nil},
		"nobody did":  {app + ":1", nil, []string{app + ":1: was not pulled at all: nobody asked this registry for it"}},
		"another tag": {app, []provenance.Event{of(pull, app, "1", one, oci.Speculative, docker)}, []string{app + ":latest: was not pulled at all: nobody asked this registry for it"}},
		"another image": {app + ":1", []provenance.Event{
			of(pull, app+"2", "1", one, oci.Speculative, docker), of(pull, "docker.io/org/app", "1", one, oci.Speculative, docker),
		}, []string{app + ":1: was not pulled at all: nobody asked this registry for it"}},
		"the released one": {app + ":1", []provenance.Event{
			of(pull, app, "1", one, oci.Fetched, docker), of(pull, app, "1", one, oci.Stale, podman),
		}, []string{app + ":1: podman/5 at 192.0.2.2 got it from quay.io (stale)", app + ":1: docker/29.1 at 192.0.2.1 got it from quay.io (fetched)"}},
		"the released one by one of two": {app + ":1", []provenance.Event{
			of(pull, app, "1", one, oci.Cached, docker), of(pull, app, "1", other, oci.Speculative, podman),
		}, []string{app + ":1: docker/29.1 at 192.0.2.1 got it from quay.io (cached)"}},
		"the released one, at one": {app + ":1", []provenance.Event{
			of(pull, app, "1", one, oci.Fetched, docker), of(pull, app, "1", other, oci.Speculative, docker),
		}, []string{app + ":1: docker/29.1 at 192.0.2.1 got it from quay.io (fetched)"}},
		"a miss, a minute before": {app + ":1", []provenance.Event{
			of(pull, app, "1", oci.Digest{}, oci.Miss, docker), of(pull, app, "1", one, oci.Speculative, docker),
		}, []string{app + ":1: docker/29.1 at 192.0.2.1 did not get it (miss): it is not there"}},
		"a miss, at last": {app + ":1", []provenance.Event{
			of(pull, app, "1", one, oci.Speculative, docker), of(pull, app, "1", oci.Digest{}, oci.Miss, docker),
		}, []string{app + ":1: docker/29.1 at 192.0.2.1 did not get it (miss): it is not there"}},
		"a miss of another client": {app + ":1", []provenance.Event{
			of(pull, app, "1", oci.Digest{}, oci.Miss, podman), of(pull, app, "1", one, oci.Speculative, docker),
		}, []string{app + ":1: podman/5 at 192.0.2.2 did not get it (miss): it is not there"}},
		"by what copies images": {app + ":1", []provenance.Event{
			of(pull, app, "1", one, oci.Speculative, provenance.Client{Tool: "zuul-registry-copy/1.0"}),
		}, []string{app + ":1: was not pulled at all: nobody asked this registry for it"}},
		"by a client that hides": {app + ":1", []provenance.Event{
			of(pull, app, "1", oci.Digest{}, oci.Miss, provenance.Client{Tool: "\x1b[2J"}),
		}, []string{app + ":1: ?[2J did not get it (miss): it is not there"}},
	} {
		q, err := ParseRequirement(tt.required)
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if got := told(Filter{}, tt.events...).Unmet(q); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", what, got, tt.want)
		}
	}
	for _, text := range []string{"", "alpine", "a b", app + ":-", app + "@sha256:1", "UPPER", "https://"} {
		if _, err := ParseRequirement(text); err == nil {
			t.Errorf("%q is an image", text)
		}
	}
}

// Where others pull from the same registry, they may be left out.
func TestReportOfSomeClients(t *testing.T) {
	r := told(Filter{},
		of(provenance.Pull, app, "1", one, oci.Fetched, provenance.Client{Tool: "a", Address: "10.0.0.1"}),
		of(provenance.Pull, app, "1", one, oci.Fetched, provenance.Client{Tool: "b", Address: "fd00::1"}),
		of(provenance.Pull, app, "1", one, oci.Fetched, provenance.Client{Tool: "c", Address: "::ffff:10.0.0.2"}),
		of(provenance.Pull, app, "1", one, oci.Fetched, provenance.Client{Tool: "d"}))
	for addresses, want := range map[string]string{
		"": "dcba", "10.0.0.1": "a", "10.0.0.2,node": "c", "fd00:0:0::1,10.0.0.1": "ba", "10.0.0.10": "",
	} {
		var all []string
		if addresses != "" {
			all = strings.Split(addresses, ",")
		}
		got := ""
		for _, p := range r.Of(all).Pulls {
			got += p.Tool
		}
		if got != want {
			t.Errorf("of %q there are %s, want %s", all, got, want)
		}
	}
	if len(r.Pulls) != 4 {
		t.Error("the report has changed")
	}
}

// What a client did not get at first is settled if it got it soon, or was to log in.
func TestSettled(t *testing.T) {
	const pull = provenance.Pull
	loggedIn := docker
	loggedIn.User = "zuul"
	elsewhere := docker
	elsewhere.Address = "192.0.2.9"
	for _, tt := range []struct {
		why     string
		then    provenance.Event
		after   time.Duration
		settles bool // a miss and a failure
	}{
		{"it got it", of(pull, app, "1", one, oci.Speculative, docker), time.Second, true},
		{"it got it at once", of(pull, app, "1", one, oci.Fetched, docker), 0, true},
		{"it got it, with a user", of(pull, app, "1", one, oci.Speculative, loggedIn), time.Second, true},
		{"it got it long after", of(pull, app, "1", one, oci.Speculative, docker), time.Hour, false},
		{"it resolved it", of(provenance.Resolve, app, "1", one, oci.Speculative, docker), time.Second, true},
		{"it had got it before", of(pull, app, "1", one, oci.Speculative, docker), -time.Second, false},
		{"it did not get it again", of(pull, app, "1", oci.Digest{}, oci.Failed, docker), time.Second, false},
		{"it got another tag", of(pull, app, "2", one, oci.Speculative, docker), time.Second, false},
		{"it pushed it", of(provenance.Push, app, "1", one, "", docker), time.Second, false},
		{"another tool got it", of(pull, app, "1", one, oci.Speculative, podman), time.Second, false},
		{"another machine got it", of(pull, app, "1", one, oci.Speculative, elsewhere), time.Second, false},
	} {
		for _, origin := range []oci.Origin{oci.Miss, oci.Refused, oci.Failed} {
			entry := func(e provenance.Event, after time.Duration) provenance.Entry {
				return provenance.Entry{Time: noon.Add(after), Last: noon.Add(after), Count: 1, Event: e}
			}
			r := Report{Journal: []provenance.Entry{
				entry(of(pull, app, "1", oci.Digest{}, origin, docker), 0), entry(tt.then, tt.after),
				entry(of(pull, app, "1", one, oci.Speculative, docker), 100*time.Hour), // and much later again
			}}
			r.tell()
			want := tt.settles
			if origin == oci.Refused {
				want = true // by the last one
			}
			for _, p := range r.Pulls {
				if p.Origin == origin && p.First.Equal(noon) && p.Last.Equal(noon) && p.Settled != want {
					t.Errorf("%s, and %s: settled is %v", origin, tt.why, p.Settled)
				}
			}
		}
	}
}

// A pull of a digest that fails is one of the tag that the client has resolved to it.
func TestPullsThatBreakOff(t *testing.T) {
	failed := of(provenance.Pull, app, one.String(), one, oci.Failed, docker)
	failed.Detail = "it broke"
	r := told(Filter{}, of(provenance.Resolve, app, "1", one, oci.Speculative, docker), failed)
	if got := lines(r.Pulls); len(got) != 2 || !strings.HasPrefix(got[0], "quay.io/org/app:1 failed") {
		t.Errorf("%q", got)
	}
	q, err := ParseRequirement(app + ":1")
	if got := r.Unmet(q); err != nil || len(got) != 1 || !strings.Contains(got[0], "it broke") {
		t.Errorf("%q, %v", got, err)
	}
}

// containerd logs in anew for the digest.
func TestRefusedByDigest(t *testing.T) {
	refused := of(provenance.Pull, app, one.String(), one, oci.Refused, docker)
	r := told(Filter{}, of(provenance.Resolve, app, "1", one, oci.Speculative, docker), refused,
		of(provenance.Pull, app, one.String(), one, oci.Speculative, docker))
	q, err := ParseRequirement(app + ":1")
	if got := r.Unmet(q); err != nil || got != nil {
		t.Errorf("%q, %v", got, err)
	}
}

func TestReaches(t *testing.T) {
	for _, tt := range []struct {
		cut          bool
		begin, since time.Time
		want         bool
	}{
		{false, noon, time.Time{}, true},
		{true, noon, time.Time{}, false},
		{true, noon, noon.Add(-time.Second), false},
		{true, noon, noon.Add(time.Second), true},
	} {
		if got := (Report{Cut: tt.cut, Begin: tt.begin, Filter: Filter{Since: tt.since}}).Reaches(); got != tt.want {
			t.Errorf("%+v: %v", tt, got)
		}
	}
}

func TestTable(t *testing.T) {
	var out strings.Builder
	r := told(Filter{},
		of(provenance.Pull, app, "1", one, oci.Fetched, docker),
		of(provenance.Pull, app, other.String(), other, oci.Fetched, docker),
		of(provenance.Pull, app, "1", other, oci.Speculative, provenance.Client{Tool: "x\x1b[31m\u202e"}),
		of(provenance.Pull, app, "2", oci.Digest{}, oci.Miss, podman))
	r.Faults = []string{"images cannot be listed"}
	if err := r.Table(&out); err != nil {
		t.Fatal(err)
	}
	const want = `IMAGE                                 ORIGIN             CLIENT       ADDRESS    TIMES  LAST
quay.io/org/app:1                     fetched (quay.io)  docker/29.1  192.0.2.1  1      2026-03-01T12:00:00Z
quay.io/org/app@sha256:d9298a10d1b0…  fetched (quay.io)  docker/29.1  192.0.2.1  1      2026-03-01T12:01:00Z
quay.io/org/app:1                     speculative        x?[31m?                 1      2026-03-01T12:02:00Z
quay.io/org/app:2                     miss               podman/5     192.0.2.2  1      2026-03-01T12:03:00Z  it is not there
images cannot be listed
2 pulls: 1 speculative, 1 fetched; not got: 1 miss; not counted: 1 part of an image
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
	out.Reset()
	if err := (Report{}).Table(&out); err != nil || out.String() != "0 pulls\n" {
		t.Errorf("%q, %v", out.String(), err)
	}
}

func TestParse(t *testing.T) {
	for text, want := range map[string]string{
		`{"schema":1,"pulls":[{"name":"a","new":1}],"news":2}`: "",
		`{"schema":2}`: "its schema is 2",
		`{}`:           "its schema is 0",
		`<html>`:       "this is no report",
		``:             "this is no report",
	} {
		_, err := Parse([]byte(text))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}
