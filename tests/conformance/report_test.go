package conformance

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// story is the part of a report that tells what happened.
type story struct {
	Schema        int
	Pulls, Pushes []struct {
		Action, Name, Reference, Digest, Origin, Upstream, Detail, User, Tool, Address string
		Resolved, Count                                                                int
	}
	Images []struct {
		Name, Tag, Digest, Origin, Upstream, PushedBy string
		Platforms                                     []string
		Pulled                                        int
	}
	Upstreams []struct {
		Namespace, State, Problem  string
		Found, Absent, Unavailable int
	}
	Uploads []struct {
		Name string
		Size int
	}
	Storage struct {
		Driver         string
		Bytes, Objects int
	}
	Journal []struct{ Action, Kind, Origin, Digest string }
	Faults  []string
}

// tells reads the report, as it is served for a query.
func (s *server) tells(t *testing.T, query string) (r story) {
	t.Helper()
	s.request(t, http.MethodGet, "/report"+query).expect(http.StatusOK).has("Content-Type", "application/json").json(&r)
	if r.Schema != 1 || len(r.Faults) > 0 {
		t.Errorf("schema %d, faults %q", r.Schema, r.Faults)
	}
	return r
}

// pulls are lines, the first pull first.
func (r story) pulls() []string {
	all := []string{}
	for _, p := range slices.Backward(r.Pulls) {
		all = append(all, strings.TrimSpace(fmt.Sprintf("%s %s:%s %s %s", p.Tool, p.Name, p.Reference, p.Origin, p.Upstream)))
	}
	return all
}

func wantPulls(t *testing.T, r story, want ...string) {
	t.Helper()
	if got := r.pulls(); !slices.Equal(got, want) {
		t.Errorf("pulls:\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// by says which tool a request comes from.
func (q *request) by(tool string) *request { return q.header("User-Agent", tool+" (linux)") }

// What is pulled is told, with where it came from, and so is what is not got.
func TestReport(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	theirs := up.tagged("library/alpine", "3")
	s := shadow(t, up, "UPSTREAM_TAG_TTL", "0")
	mine := s.pusher(t, "quay.io/org/app").pushes("latest")

	app, alpine := s.reader(t, "quay.io/org/app"), s.reader(t, "alpine")
	app.head("/manifests/latest").by("containerd/2.1").expect(http.StatusOK)
	app.get("/manifests/" + mine.digest).by("containerd/2.1").expect(http.StatusOK)
	app.get("/manifests/latest").by("docker/20.10").expect(http.StatusOK)
	alpine.get("/manifests/3").by("docker/20.10").expect(http.StatusOK)
	alpine.get("/manifests/3").by("podman/4").expect(http.StatusOK)
	alpine.get("/manifests/nowhere").by("podman/4").expect(http.StatusNotFound)
	alpine.get("/blobs/" + theirs.layer.digest).by("podman/4").expect(http.StatusOK)
	up.down()
	alpine.get("/manifests/3").by("skopeo/1").expect(http.StatusOK)
	alpine.get("/manifests/other").by("skopeo/1").unavailable()
	s.pusher(t, "quay.io/org/app").startUpload()

	told := s.tells(t, "")
	wantPulls(t, told,
		"containerd/2.1 quay.io/org/app:latest speculative",
		"docker/20.10 quay.io/org/app:latest speculative",
		"docker/20.10 docker.io/library/alpine:3 fetched docker.io",
		"podman/4 docker.io/library/alpine:3 cached docker.io",
		"podman/4 docker.io/library/alpine:nowhere miss",
		"skopeo/1 docker.io/library/alpine:3 stale docker.io",
		"skopeo/1 docker.io/library/alpine:other failed",
	)
	first := told.Pulls[len(told.Pulls)-1]
	if first.Resolved != 1 || first.Count != 1 || first.Digest != mine.digest || first.Address != "127.0.0.1" {
		t.Errorf("the first pull is %+v", first)
	}
	if miss := told.Pulls[2]; miss.Detail != "docker.io/library/alpine has no manifest nowhere" || miss.Digest != "" {
		t.Errorf("the miss is %+v", miss)
	}
	if len(told.Pushes) != 1 || told.Pushes[0].User != writerName || told.Pushes[0].Digest != mine.digest {
		t.Errorf("pushes: %+v", told.Pushes)
	}
	told.hasImages(t, "docker.io/library/alpine:3 cached docker.io 3", "quay.io/org/app:latest speculative "+writerName+" 2")
	if u := told.Upstreams; len(u) != 1 || u[0].State != "down" || u[0].Found < 2 || u[0].Absent != 1 || u[0].Unavailable != 2 ||
		u[0].Problem != "does not answer: it cannot be connected to" {
		t.Errorf("upstreams: %+v", u)
	}
	if told.Storage.Driver != "filesystem" || told.Storage.Objects < 8 || told.Storage.Bytes < len(theirs.layer.content) {
		t.Errorf("storage: %+v", told.Storage)
	}
	if !slices.ContainsFunc(told.Journal, func(e struct{ Action, Kind, Origin, Digest string }) bool {
		return e.Kind == "blob" && e.Action == "pull" && e.Origin == "fetched" && e.Digest == theirs.layer.digest
	}) {
		t.Errorf("the journal has nothing of the blob: %+v", told.Journal)
	}
	wantPulls(t, s.tells(t, "?namespace=quay.io&origin=speculative"),
		"containerd/2.1 quay.io/org/app:latest speculative", "docker/20.10 quay.io/org/app:latest speculative")
	wantPulls(t, s.tells(t, "?until=1h"))
}

// hasImages asserts what there is, as lines.
func (r story) hasImages(t *testing.T, want ...string) {
	t.Helper()
	var all []string
	for _, i := range r.Images {
		all = append(all, fmt.Sprintf("%s:%s %s %s%s %d", i.Name, i.Tag, i.Origin, i.Upstream, i.PushedBy, i.Pulled))
	}
	if !slices.Equal(all, want) {
		t.Errorf("images: %q, want %q", all, want)
	}
}

// What clients ask before they push is no pull, and what is read where nobody pulls is none.
func TestReportOfPushes(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	pulls, pushes := dual(t, up)
	image := pushes.pusher(t, "org/app").pushes("latest")
	here := pushes.reader(t, "org/app")
	here.serves("latest", image)
	here.lacks("other")
	pulls.request(t, http.MethodHead, "/v2/org/app/manifests/new").as(pulls.granted(t, asWriter(), "repository:org/app:pull,push")).expect(http.StatusNotFound)
	told := pulls.tells(t, "")
	wantPulls(t, told)
	if len(told.Pushes) != 1 || len(pushes.tells(t, "").Pushes) != 1 {
		t.Errorf("pushes: %+v", told.Pushes)
	}
	pushes.pusher(t, "org/app").startUpload()
	if u := pulls.tells(t, "").Uploads; len(u) != 1 || u[0].Name != "docker.io/org/app" {
		t.Errorf("uploads: %+v", u)
	}
}

// What happened is still known after a restart.
func TestReportOutlivesTheServer(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	repo := s.pusher(t, "org/app")
	image := repo.pushes("latest")
	s.reader(t, "org/app").get("/manifests/latest").by("podman/4").expect(http.StatusOK)
	s.stop(t)
	again := s.installation.startFor(t)
	told := again.tells(t, "")
	wantPulls(t, told, "podman/4 docker.io/org/app:latest speculative")
	if len(told.Pushes) != 1 || told.Pushes[0].Digest != image.digest {
		t.Errorf("pushes: %+v", told.Pushes)
	}
}

// The page is for those who may read, and a browser is told to ask for a password.
func TestReportIsPrivate(t *testing.T) {
	t.Parallel()
	repo, _ := private(t)
	for _, path := range []string{"/", "/report"} {
		ask := func(who identity) *request { return repo.server.request(t, http.MethodGet, path).as(who) }
		for _, who := range []identity{nobody, basic(readerName, "a wrong password")} {
			if _, err := ask(who).refused("UNAUTHORIZED", http.StatusUnauthorized).challenge("Basic"); err != nil {
				t.Error(err)
			}
		}
		ask(basic(readerName, readerPassword)).expect(http.StatusOK)
		ask(asWriter()).expect(http.StatusOK)
		// A token that is for one repository is for no more.
		ask(repo.server.granted(t, asWriter(), "repository:"+repo.name+":pull")).refused("UNAUTHORIZED", http.StatusUnauthorized)
	}
}

func TestReportRequests(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/", "/report"} {
		public.request(t, http.MethodHead, path).expect(http.StatusOK).has("Cache-Control", "no-store")
		public.request(t, http.MethodPost, path).refused("UNSUPPORTED", http.StatusMethodNotAllowed).has("Allow", "GET, HEAD")
		for _, query := range []string{"?since=yesterday", "?origin=pushed", "?until=-1h"} {
			public.request(t, http.MethodGet, path+query).refused("PARAMETER_INVALID", http.StatusBadRequest)
		}
	}
	page := public.request(t, http.MethodGet, "/").expect(http.StatusOK).has("Content-Type", "text/html; charset=utf-8")
	policy := page.get("Content-Security-Policy")
	for _, part := range []string{"default-src 'none'", "style-src 'sha256-", "script-src 'sha256-", "frame-ancestors 'none'", "base-uri 'none'"} {
		if !strings.Contains(policy, part) {
			t.Errorf("the policy is %s, without %s", policy, part)
		}
	}
	public.request(t, http.MethodGet, "/elsewhere").refused("NAME_UNKNOWN", http.StatusNotFound)
}

// reports runs the command.
func (c *courier) reports(args ...string) *trip {
	c.t.Helper()
	command, stdout, stderr := c.command(append([]string{"report"}, args...)...)
	_ = command.Run() // its state says more
	return c.ended(command, stdout, stderr, time.Now())
}

// prints asserts that the command has succeeded, and printed all the words.
func (r *trip) prints(words ...string) *trip {
	r.t.Helper()
	r.succeeds()
	for _, word := range words {
		if !strings.Contains(r.stdout, word) {
			r.t.Errorf("%q is not in\n%s", word, r.stdout)
		}
	}
	return r
}

// The command prints a report, saves it, reads it again, and says what is not as it should be.
func TestReportCommand(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	up.tagged("library/alpine", "3")
	s := shadow(t, up)
	s.pusher(t, "quay.io/org/app").pushes("latest")
	s.reader(t, "quay.io/org/app").get("/manifests/latest").by("docker/20.10").expect(http.StatusOK)
	s.reader(t, "alpine").get("/manifests/3").by("podman/4").expect(http.StatusOK)

	c := newCourier(t).trusts(s)
	saved, page := filepath.Join(c.home, "report.json"), filepath.Join(c.home, "report.html")
	c.sets("REPORT_JSON", saved, "REPORT_PAGE", page)
	c.reports(s.base()).prints("quay.io/org/app:latest", "docker/20.10", "fetched (docker.io)", "2 pulls: 1 speculative, 1 fetched")
	for _, file := range []string{saved, page} {
		if text, err := os.ReadFile(file); err != nil || !strings.Contains(string(text), "podman/4") {
			t.Errorf("%s: %v, %.100q", file, err, text)
		}
	}
	for _, source := range []string{saved, s.base(), s.base() + "/report?since=1h"} {
		c.sets("REPORT_REQUIRE_SPECULATIVE", "quay.io/org/app")
		c.reports(source).prints("2 pulls", "quay.io/org/app:latest: speculative, as required")
		c.sets("REPORT_REQUIRE_SPECULATIVE", "quay.io/org/app, docker.io/library/alpine:3,docker.io/org/none")
		c.reports(source).fails(1, "docker.io/library/alpine:3: podman/4 at 127.0.0.1 got it from docker.io (fetched)").
			fails(1, "docker.io/org/none:latest: was not pulled at all")
	}
	c.reports(s.base()+"/report?namespace=quay.io").fails(1, "of a part of the pulls")
	c.sets("REPORT_REQUIRE_SPECULATIVE", "a b")
	c.reports(s.base()).fails(2, "ZUUL_REGISTRY_REPORT_REQUIRE_SPECULATIVE")
	c.sets("REPORT_REQUIRE_SPECULATIVE", "")
	c.reports("https://user:secret@"+s.address).fails(2, "file of credentials")
	c.reports("one", "two").fails(2, "one argument")
	c.reports(filepath.Join(c.home, "none")).fails(1, "there is no file", "named by its URL")
	c.reports(s.base()+"/report?since=x").fails(1, "400", "since is")
	c.reports(s.base()+"/v2/").fails(2, "a report is at /report")
	c.sets("REPORT_JSON", "/nowhere/report.json")
	c.reports(s.base()).fails(2, "ZUUL_REGISTRY_REPORT_JSON")
}

// A registry that not everybody may read is read with what podman login has left.
func TestReportCommandLogsIn(t *testing.T) {
	t.Parallel()
	repo, _ := private(t)
	s := repo.server
	c := newCourier(t).trusts(s)
	c.reports(s.base()).fails(1, "ZUUL_REGISTRY_REPORT_AUTH_FILE")
	c.knows(s.address, readerName, "a wrong password")
	c.reports(s.base()).fails(1, "refuses the user", readerName)
	c.knows(s.address, readerName, readerPassword)
	c.reports(s.base()).prints("0 pulls")
	c.sets("ADDRESS", s.address)
	c.reports().fails(1, s.address, "name the registry by its URL")
	c.sets("ADDRESS", "127.0.0.1:1")
	c.reports().fails(1, "the registry at 127.0.0.1:1 (ZUUL_REGISTRY_ADDRESS) does not answer")
	newCourier(t).reports(s.base()).fails(1, "ZUUL_REGISTRY_REPORT_CA_FILE")
	newCourier(t).reports("http://"+s.address).fails(1, "HTTPS server")
}

// A demand fails where nobody can know whether it is met, and for no other reason.
func TestReportDemandsKnowledge(t *testing.T) {
	t.Parallel()
	c := newCourier(t).sets("REPORT_REQUIRE_SPECULATIVE", "quay.io/org/app")
	const pull = `"schema":1,"begin":"2026-01-01T12:00:00Z","pulls":[{"action":"pull","kind":"manifest","name":"quay.io/org/app","reference":"latest","origin":"speculative","count":1}]`
	reports := func(more string) *trip { return c.reports(c.write("report.json", []byte("{"+pull+more+"}"))) }
	reports("").prints("speculative, as required")
	reports(`,"faults":["images cannot be listed"]`).prints("images cannot be listed", "speculative, as required")
	reports(`,"cut":true,"filter":{"since":"2026-01-01T13:00:00Z"}`).prints("speculative, as required")
	reports(`,"lost":true`).fails(1, "a part of the journal is lost")
	reports(`,"cut":true`).fails(1, "the journal begins at 2026-01-01T12:00:00Z")
	reports(`,"cut":true,"filter":{"since":"2026-01-01T11:00:00Z"}`).fails(1, "the journal begins at")
	reports(`,"filter":{"origin":"speculative"}`).fails(1, "of a part of the pulls")
}
