package clients

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"opendev.org/zuul/zuul-registry/tests/testbed"
)

// told is the part of a report that tells what happened.
type told struct {
	Pulls, Pushes []struct {
		Name, Reference, Digest, Origin, Upstream, Detail string
		User, Tool, Address                               string
		Resolved, Count                                   int
		Settled                                           bool
	}
}

// tells reads the report. Its lines are in no order, and leave out versions of tools, and
// how a tool came to get something that it did not get at first.
func (p *place) tells(t *testing.T) (pulls, pushes []string) {
	t.Helper()
	var all told
	must(t, json.Unmarshal(p.registry.Report(t), &all))
	for _, e := range all.Pulls {
		tool, _, _ := strings.Cut(e.Tool, "/")
		said := line(tool, e.Address, e.User, e.Name, e.Reference, e.Digest, e.Origin, e.Upstream, max(e.Resolved, e.Count))
		if e.Settled {
			said = line(tool, e.Address, e.User, e.Name, "got later", e.Origin)
		}
		if !e.Settled || !slices.Contains(pulls, said) {
			pulls = append(pulls, said)
		}
	}
	for _, e := range all.Pushes {
		tool, _, _ := strings.Cut(e.Tool, "/")
		pushes = append(pushes, line(tool, e.Address, e.User, e.Name, e.Reference, e.Digest, e.Detail, e.Count))
	}
	return pulls, pushes
}

// line is one with a dash for what there is not.
func line(words ...any) string {
	for n := range words {
		if words[n] == "" {
			words[n] = "-"
		}
	}
	return strings.TrimSuffix(fmt.Sprintln(words...), "\n")
}

// sameLines finds the lines that are to be there, and no others.
func sameLines(t *testing.T, what string, got, want []string) {
	t.Helper()
	slices.Sort(got)
	slices.Sort(want)
	for _, line := range got {
		if !slices.Contains(want, line) {
			t.Errorf("of the %s there is too much: %s", what, line)
		}
	}
	for _, line := range want {
		if !slices.Contains(got, line) {
			t.Errorf("of the %s is missing: %s", what, line)
		}
	}
	if len(got) != len(want) {
		t.Errorf("there are %d %s, want %d", len(got), what, len(want))
	}
}

// calledThemselves is what the tools tell a registry that they are, without a version:
// Podman names its library.
var calledThemselves = map[string]string{
	"docker": "docker", "moby": "docker", "podman": "containers", "buildah": "Buildah", "skopeo": "skopeo",
	"ctr": "containerd", "ctr 2": "containerd", "crane": "crane", "regctl": "regclient", "oras-go": "Go-http-client",
}

// who is the tool as the registry sees it.
func (w *world) who() (tool, address string) {
	return calledThemselves[w.tool], w.client.(interface{ address() string }).address()
}

func (c command) address() string { return c.host.IPv4 }

// split is a public name without its tag or digest, and that.
func split(ref string) (name, reference string) {
	name, reference, ok := strings.Cut(ref, "@")
	if !ok {
		colon := strings.LastIndex(ref, ":")
		return ref[:colon], ref[colon+1:]
	}
	return name, reference
}

// reported is what a tool has to do with, in one namespace.
type reported struct {
	*world
	pushed, released, nowhere string // public names
	firstToAsk                bool   // for the released one
}

// TestReport has tools that know nothing of it pull a mix of what was pushed, what
// the upstream has, what it had, and what nobody has, all by public names. The report
// tells exactly which was which, and nothing of what tools ask before they push.
func TestReport(t *testing.T) {
	bed := testbed.Open(t)
	p := open(t, bed, bed.StartEngine(t))
	released := bed.From(t, "a release")
	asked := map[string]bool{}
	var all []reported
	for _, tool := range tools {
		if calledThemselves[tool.name] == "" {
			continue // who builds asks as one of the others
		}
		w := p.with(t, tool)
		// Docker's only namespace, and quay.io for the others.
		name := func(repository string) string {
			names := w.publicly(repository)
			return names[len(names)-1]
		}
		r := reported{world: w, pushed: name(w.tag() + ":pushed"), released: name("released:latest"), nowhere: name("nowhere:latest")}
		if r.firstToAsk = !asked[r.released]; r.firstToAsk {
			p.upstreams.Publish(t, released, r.released)
		}
		asked[r.released] = true
		all = append(all, r)
	}
	for _, r := range all {
		image := bed.From(t, r.tool)
		r.publish(t, image, r.registry.Host+"/"+r.pushed)
		r.obtain(t, image, r.asked(r.pushed))
		r.obtain(t, released, r.asked(r.released))
		refused(t, r.try(t.Context(), r.asked(r.nowhere)), missing...)
	}
	p.upstreams.Stop(t)
	for _, r := range all {
		r.obtain(t, released, r.asked(r.released))
	}
	pulls, pushes := p.tells(t)
	t.Run("the command", func(t *testing.T) { demand(t, p, all) })

	// Last, because it pulls: what the digests are.
	var wantPulls, wantPushes []string
	for _, r := range all {
		gotten, pushed := r.want(t)
		wantPulls, wantPushes = append(wantPulls, gotten...), append(wantPushes, pushed)
	}
	sameLines(t, "pulls", pulls, wantPulls)
	sameLines(t, "pushes", pushes, wantPushes)
	t.Run("where reading needs a user", func(t *testing.T) { reportRefusals(t, p, all) })
}

// demand has the command itself say whether what was to be pulled was.
func demand(t *testing.T, p *place, all []reported) {
	require := func(images ...string) (printed, complaints string, status int) {
		return p.registry.Run(t, []string{"ZUUL_REGISTRY_REPORT_REQUIRE_SPECULATIVE=" + strings.Join(images, ",")}, "report")
	}
	var pushed, others, complaints []string
	for _, r := range all {
		pushed, others = append(pushed, r.pushed), append(others, r.released, r.nowhere)
		tool, address := r.who()
		upstream, _, _ := strings.Cut(r.released, "/")
		origin := "cached"
		if r.firstToAsk {
			origin = "fetched"
		}
		for _, came := range []string{origin, "stale"} {
			complaints = append(complaints, fmt.Sprintf("%s: %s/… at %s got it from %s (%s)", r.released, tool, address, upstream, came))
		}
		complaints = append(complaints, fmt.Sprintf("%s: %s/… at %s did not get it (miss)", r.nowhere, tool, address))
	}
	if printed, said, status := require(pushed...); status != 0 || said != "" {
		t.Errorf("what was pushed was pulled, but the command ends with %d:\n%s%s", status, printed, said)
	}
	slices.Sort(others)
	printed, said, status := require(append(slices.Compact(others), pushed...)...)
	if status != 1 {
		t.Errorf("something else was pulled, and the command ends with %d:\n%s%s", status, printed, said)
	}
	var got []string
	version := regexp.MustCompile(`(: \S+/)\S+( at .*\((?:cached|fetched|stale|miss)\)).*`)
	for line := range strings.Lines(said) {
		if complaint, ok := strings.CutPrefix(line, "zuul-registry: "); ok {
			got = append(got, version.ReplaceAllString(strings.TrimSuffix(complaint, "\n"), "$1…$2"))
		}
	}
	sameLines(t, "complaints", got, complaints)
}

// reportRefusals has tools pull where only users may. ctr asks for an image as nobody
// first, whoever it is, and Podman asks who it is to be.
func reportRefusals(t *testing.T, p *place, all []reported) {
	p.restart(t, "ZUUL_REGISTRY_UPSTREAMS=none", "ZUUL_REGISTRY_ANONYMOUS_READ=false")
	podman, ctr := using(all, "podman"), using(all, "ctr")
	user := p.registry.Username
	digests := map[string]string{}
	for _, r := range []reported{podman, ctr} {
		image := p.bed.From(t, r.tool)
		r.publish(t, image, p.registry.Host+"/"+r.pushed)
		account := r.client.(account)
		must(t, account.login(t.Context(), p.registry.Host, user, p.registry.Password))
		must(t, r.client.(store).pull(t.Context(), r.pushed))
		must(t, account.logout(t.Context(), p.registry.Host))
		digests[r.tool] = the(r.client.(store).digest(t.Context(), r.pushed))(t)
		r.recognise(t, image, r.pushed)
	}
	refused(t, ctr.try(t.Context(), podman.pushed), denied...)

	pulls, pushes := p.tells(t)
	tool, address := ctr.who()
	name, _ := split(ctr.pushed)
	sameLines(t, "pulls", pulls, []string{
		podman.pulled(podman.pushed, user, digests["podman"], "speculative", "", 1),
		ctr.pulled(ctr.pushed, user, digests["ctr"], "speculative", "", 1),
		line(tool, address, "", name, "got later", "refused"),
		ctr.pulled(podman.pushed, "", "", "refused", "", 1),
	})
	sameLines(t, "pushes", pushes, []string{
		podman.hasPushed(podman.pushed, user, digests["podman"]), ctr.hasPushed(ctr.pushed, user, digests["ctr"]),
	})
}

// using is what one of the tools has to do with.
func using(all []reported, tool string) reported {
	return all[slices.IndexFunc(all, func(r reported) bool { return r.tool == tool })]
}

// pulled is a line of what the report tells of the tool, for the name of an image with a
// tag or a digest.
func (r reported) pulled(ref, user, digest, origin, upstream string, times int) string {
	tool, address := r.who()
	name, reference := split(ref)
	return line(tool, address, user, name, reference, digest, origin, upstream, times)
}

func (r reported) hasPushed(ref, user, digest string) string {
	tool, address := r.who()
	name, tag := split(ref)
	return line(tool, address, user, name, tag, digest, "", 1)
}

// want is what the report has to tell of the tool. All of the upstream's images are in
// a list, from which each tool takes what it needs by digest.
func (r reported) want(t *testing.T) (pulls []string, push string) {
	t.Helper()
	upstream, _, _ := strings.Cut(r.released, "/")
	add := func(ref, digest, origin string, times int) {
		from := upstream
		if origin == "speculative" || origin == "miss" {
			from = ""
		}
		pulls = append(pulls, r.pulled(ref, "", digest, origin, from, times))
	}
	digest := r.registry.Digest(t, r.pushed)
	add(r.pushed, digest, "speculative", 1)
	add(r.nowhere, "", "miss", 1)

	list, _ := r.registry.Manifest(t, r.released)
	var manifest imageManifest
	must(t, json.Unmarshal(list, &manifest))
	own, ok := manifest.own()
	if !ok {
		t.Fatalf("%s is no list: %s", r.released, list)
	}
	name, _ := split(r.released)
	part := name + "@" + own.Digest
	add(r.released, testbed.Digest(list), "stale", 1)
	if r.firstToAsk {
		add(r.released, testbed.Digest(list), "fetched", 1)
		add(part, own.Digest, "fetched", 1)
		add(part, own.Digest, "cached", 1)
	} else {
		add(r.released, testbed.Digest(list), "cached", 1)
		add(part, own.Digest, "cached", 2)
	}
	return pulls, r.hasPushed(r.pushed, r.registry.Username, digest)
}
