package conformance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// upstreams are the upstreams of a server by their namespaces.
type upstreams map[string]*upstream

// setting is the value of UPSTREAMS.
func (u upstreams) setting() string {
	var all []string
	for _, namespace := range slices.Sorted(maps.Keys(u)) {
		all = append(all, namespace+"="+u[namespace].server.URL)
	}
	return strings.Join(all, ",")
}

// shadow starts a registry that shadows an upstream, which it has for docker.io.
// Settings are names and values.
func shadow(t *testing.T, u *upstream, settings ...string) *server {
	t.Helper()
	return shadowAll(t, upstreams{"docker.io": u}, settings...)
}

// shadowAll starts a registry that shadows several upstreams.
func shadowAll(t *testing.T, u upstreams, settings ...string) *server {
	t.Helper()
	return start(t, paired(append([]string{"UPSTREAMS", u.setting()}, settings...)))
}

// paired is the map of names and values.
func paired(settings []string) map[string]string {
	all := map[string]string{}
	for i := 0; i < len(settings); i += 2 {
		all[settings[i]] = settings[i+1]
	}
	return all
}

// reader is a repository as clients see it that only pull: they need no
// credentials and have none.
func (s *server) reader(t *testing.T, name string) *repository {
	return s.repository(t, name).as(nobody)
}

// pusher is a repository as clients see it that push: all that they ask goes
// with a token for that.
func (s *server) pusher(t *testing.T, name string) *repository {
	t.Helper()
	return s.repository(t, name).as(s.granted(t, asWriter(), "repository:"+name+":pull,push"))
}

// servesAll asserts that the repository answers an image with all its parts.
func (r *repository) servesAll(reference string, p picture) {
	r.t.Helper()
	r.serves(reference, p.manifest)
	r.serves(p.digest, p.manifest)
	r.servesBlob(p.config)
	r.servesBlob(p.layer)
}

// delivers pushes an image with all its parts, in the way that every registry
// takes blobs.
func (r *repository) delivers(tag string, m manifest, blobs ...blob) {
	r.t.Helper()
	for _, b := range blobs {
		r.startUpload().commit(b.digest).content(b.content).expect(http.StatusCreated)
	}
	r.tag(tag, m)
}

// pushes pushes an image of its own under a tag.
func (r *repository) pushes(tag string) manifest {
	r.t.Helper()
	m := r.image("pushed as " + tag)
	r.tag(tag, m)
	return m
}

// unavailable sends the request and wants to be told that the upstream does not
// answer, or not well.
func (q *request) unavailable() *answer {
	q.t.Helper()
	return q.refused("UNAVAILABLE", http.StatusServiceUnavailable)
}

// A Warning header (RFC 7234, section 5.5).
var warningPattern = regexp.MustCompile(`^299 - ".+"$`)

// warns asserts that the answer says that it may not be the newest, or not all.
func (a *answer) warns() *answer {
	a.t.Helper()
	if got := a.get("Warning"); !warningPattern.MatchString(got) {
		a.t.Errorf(`%s: Warning is %q, want 299 - "…"`, a.request, got)
	}
	return a
}

// logs ends the server, and asserts that a line of its log has all the words.
func (s *server) logs(t *testing.T, words ...string) {
	t.Helper()
	s.stop(t)
	if !s.logged(words...) {
		t.Errorf("no line of the log says all of %q:\n%s", words, s.log)
	}
}

// logged says whether a line of the log has all the words, of a server that has
// ended.
func (s *server) logged(words ...string) bool {
	for line := range strings.Lines(s.log.String()) {
		if !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(line, word) }) {
			return true
		}
	}
	return false
}

// stored are the files of blobs in the store.
func (s *server) stored(t *testing.T) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(s.settings["STORAGE_ROOT"], func(path string, e fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist): // removed meanwhile
			return nil
		case err == nil && !e.IsDir() && strings.Contains(path, "/blobs/"):
			found = append(found, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// keepsNothing asserts that no content is in the store.
func (s *server) keepsNothing(t *testing.T) {
	t.Helper()
	if found := s.stored(t); len(found) > 0 {
		t.Errorf("the store has %q, want nothing", found)
	}
}

// record is the file of what a tag or digest of a repository names.
func (s *server) record(area, repository, reference string) string {
	return filepath.Join(s.settings["STORAGE_ROOT"], area, "repos", repository, "manifests", reference)
}

// stores asserts that there is such a file.
func stores(t *testing.T, path string) {
	t.Helper()
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
}

// download is an answer whose body the test takes piece by piece.
type download struct {
	response *http.Response
	leave    context.CancelFunc // in the middle of it
}

// begin sends the request and returns when the header of a good answer is there.
func (q *request) begin() (*download, error) {
	ctx, leave := context.WithCancel(q.context)
	q.context = ctx
	response, err := q.send()
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s %s: %s", q.method, q.url, response.Status)
		_ = response.Body.Close()
	}
	if err != nil {
		leave()
		return nil, err
	}
	return &download{response, leave}, nil
}

// takes reads bytes, and wants them to be these.
func (d *download) takes(want []byte) error {
	got := make([]byte, len(want))
	if n, err := io.ReadFull(d.response.Body, got); err != nil {
		return fmt.Errorf("after %d bytes: %w", n, err)
	}
	if string(got) != string(want) {
		return fmt.Errorf("wrong bytes")
	}
	return nil
}

// takesRest reads the bytes to the end, and wants them to be these.
func (d *download) takesRest(want []byte) error {
	defer d.leave()
	if err := d.takes(want); err != nil {
		return err
	}
	if n, err := d.response.Body.Read(make([]byte, 1)); n > 0 || err != io.EOF {
		return fmt.Errorf("%d bytes after the end, %v", n, err)
	}
	return d.response.Body.Close()
}
