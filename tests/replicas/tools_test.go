package replicas

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"testing"
	"time"

	"opendev.org/zuul/zuul-registry/tests/testbed"
)

// programs are those that Debian does not have.
var programs = []testbed.Tool{testbed.Crane, testbed.Regctl}

// A tool is one of people's. What it does is written for sh, which has $ref, and
// $tool if Debian has none.
type tool struct {
	name    string
	program string // or one of Debian's
	// prepare gives it an image, of which there are a $layout, an $archive and an
	// $id, the digest of its config; push pushes it. If it makes other layers of it,
	// push prints the digest of the manifest at the end.
	prepare, push string
	// pull pulls into the folder $dir, or into a store of the tool's own. Then look
	// prints the id, and forget empties the store.
	pull, look, forget string
}

var tools = []tool{
	{
		name:    "docker",
		prepare: `docker load --quiet --input "$archive" && docker tag "$id" "$ref"`,
		push:    `docker push "$ref"`,
		pull:    `docker pull --quiet "$ref"`,
		look:    `docker image inspect --format '{{.Id}}' "$ref"`,
		forget:  `docker image rm --force "$ref"`,
	},
	containersTool("podman", `image inspect --format 'sha256:{{.ID}}' "$ref"`),
	containersTool("buildah", `inspect --type image --format 'sha256:{{.FromImageID}}' "$ref"`),
	{
		name: "skopeo",
		push: `skopeo copy --quiet "oci:$layout:latest" "docker://$ref"`,
		pull: `mkdir "$dir" && skopeo copy --quiet "docker://$ref" "dir:$dir"`,
	},
	{
		name:    "ctr",
		prepare: ctr + `images import --no-unpack --base-name "localhost/${id#*:}" "$archive"`,
		push:    ctr + `images push ` + hosts + `--user "$login" "$ref" "localhost/${id#*:}:latest" >/dev/null`,
		pull:    ctr + `images pull ` + hosts + `"$ref"`,
		look: `digest=$(` + ctr + `images list "name==$ref" | sed -n 's/.* \(sha256:[0-9a-f]*\) .*/\1/p')
			` + ctr + `content get "$digest" | tr -d '[:space:]' | sed 's/.*"config":{[^}]*"digest":"\([^"]*\).*/\1/'`,
		forget: ctr + `images remove --sync "$ref"`,
	},
	{
		name:    "crane",
		program: "crane",
		push:    `"$tool" push "$layout" "$ref"`,
		pull:    `"$tool" pull --format oci "$ref" "$dir"`,
	},
	{
		name:    "regctl",
		program: "regctl",
		push:    `"$tool" image copy "ocidir://$layout:latest" "$ref"`,
		pull:    `"$tool" image copy "$ref" "ocidir://$dir:latest"`,
	},
	{
		name:    "oras-go",
		program: "artifact",
		push:    `"$tool" push "$layout" "$ref"`,
		pull:    `"$tool" pull "$ref" "$dir"`,
	},
}

// ctr speaks to the containerd that Docker's daemon brings along.
const ctr = "ctr --address /run/docker/containerd/containerd.sock "

const hosts = "--hosts-dir " + testbed.HostsDir + " "

// containersTool gives Podman or Buildah a store of its own: one that they share
// would spare each what it should pull.
func containersTool(name, look string) tool {
	run := name + " --root /var/lib/containers/" + name + " --runroot /run/" + name + " "
	return tool{
		name:    name,
		prepare: run + `pull --quiet "oci:$layout:latest"`,
		push:    run + `push --quiet --digestfile "$layout/digest" "${id#*:}" "docker://$ref" && cat "$layout/digest"`,
		pull:    run + `pull --quiet "$ref"`,
		look:    run + look,
		forget:  run + `rmi --all --force`,
	}
}

// tooLong is when a tool hangs.
const tooLong = 90 * time.Second

var errHangs = errors.New("it hangs")

// worker is a tool on a host.
type worker struct {
	tool
	bench *bench
	env   []string
	tally *tally
}

// workers are all tools on a host.
func (p *place) workers(t *testing.T, b *bench) (all []*worker) {
	t.Helper()
	for _, tool := range tools {
		env := append([]string{"login=" + username + ":" + password}, b.env...)
		if tool.program != "" {
			env = append(env, "tool="+p.bed.Tool(t, tool.program))
		}
		all = append(all, &worker{tool, b, env, p.tally})
	}
	return all
}

// run runs one of the tool's commands, with further variables.
func (w *worker) run(ctx context.Context, command string, variables ...string) (string, error) {
	ctx, release := context.WithTimeoutCause(ctx, tooLong, errHangs)
	defer release()
	begin := time.Now()
	said, err := testbed.Run(w.bench.Command(ctx, append(variables, w.env...), "sh", "-euc", command))
	w.tally.took(w.name, time.Since(begin))
	if err != nil && errors.Is(context.Cause(ctx), errHangs) {
		return "", fmt.Errorf("%w: %w", errHangs, err)
	}
	return said, err
}

// load prepares the tool to push an image.
func (w *worker) load(ctx context.Context, i *image, ref string) error {
	if w.prepare == "" {
		return nil
	}
	_, err := w.run(ctx, w.prepare, i.variables(ref)...)
	return err
}

var lastDigest = regexp.MustCompile(`(?s)^.*(sha256:[0-9a-f]{64})`)

// send pushes it, and returns the digest of the manifest.
func (w *worker) send(ctx context.Context, i *image, ref string) (string, error) {
	said, err := w.run(ctx, w.push, i.variables(ref)...)
	if found := lastDigest.FindStringSubmatch(said); found != nil {
		return found[1], err
	}
	return i.digest, err
}

func (i *image) variables(ref string) []string {
	return []string{"ref=" + ref, "id=" + i.id, "layout=" + i.layout, "archive=" + i.archive}
}

// receive pulls, and returns the id of what came. A store of the tool's own has
// verified it.
func (w *worker) receive(ctx context.Context, ref, dir string) (id string, err error) {
	variables := []string{"ref=" + ref, "dir=" + dir}
	if _, err := w.run(ctx, w.pull, variables...); err != nil {
		return "", errors.Join(err, os.RemoveAll(dir))
	}
	if w.look == "" {
		id, err = readPulled(dir)
		return id, errors.Join(wrongContent(err), os.RemoveAll(dir))
	}
	id, err = w.run(ctx, w.look, variables...)
	_, forgotten := w.run(ctx, w.forget, variables...)
	return id, cmp.Or(err, forgotten)
}

// errWrong is for content that is not what it is called.
var errWrong = errors.New("wrong content")

func wrongContent(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", errWrong, err)
}
