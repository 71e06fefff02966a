package replicas

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	godigest "github.com/opencontainers/go-digest"

	"opendev.org/zuul/zuul-registry/tests/testbed"
)

// passOn has each request of an upload taken by another replica, with a token that
// the first one gave.
func (p *place) passOn(t *testing.T) {
	one, two, three := p.replicas[0], p.replicas[1], p.replicas[2]
	content := p.content(3*partSize + partSize/3)
	u := &upload{repository: "uploads/passed", token: one.token(t, "uploads/passed")}
	middle := partSize + partSize/2
	u.must(t, one, http.MethodPost, nil, nil, http.StatusAccepted)
	u.must(t, two, http.MethodPatch, bytes.NewReader(content[:middle]), nil, http.StatusAccepted)
	u.must(t, three, http.MethodPatch, bytes.NewReader(content[middle:]), nil, http.StatusAccepted)
	u.finish(t, one, content)
	p.haveAll(t, u.repository, content)
}

// resume has a replica killed while it takes an upload. Another one has all but what
// was on its way, and the client goes on from there.
func (p *place) resume(t *testing.T) {
	one, two, three := p.replicas[0], p.replicas[1], p.replicas[2]
	content := p.content(5*partSize + partSize/3)
	u := &upload{repository: "uploads/resumed", token: one.token(t, "uploads/resumed")}
	u.must(t, one, http.MethodPost, nil, nil, http.StatusAccepted)

	const sent, least = 4*partSize + partSize/2, 4 * partSize
	slow, sending := io.Pipe()
	patched := make(chan error, 1)
	go func() {
		answer, err := u.send(two, http.MethodPatch, slow, nil)
		if err == nil {
			err = fmt.Errorf("the replica that was killed answered %s", answer.Status)
		}
		patched <- err
	}()
	if _, err := sending.Write(content[:sent]); err != nil {
		t.Fatal(err)
	}
	testbed.Await(t, 20*time.Second, "another replica has what was stored", func() error {
		if n := u.size(t, three); n < least {
			return fmt.Errorf("it has %d bytes of %d", n, sent)
		}
		return nil
	})
	if err := two.kill(); err != nil {
		t.Fatal(err)
	}
	sending.CloseWithError(errors.New("the replica was killed"))
	if err := <-patched; strings.Contains(err.Error(), "answered") {
		t.Error(err)
	}

	from := u.size(t, three)
	if from < least || from > sent {
		t.Fatalf("the upload has %d bytes of %d", from, sent)
	}
	header := http.Header{"Content-Range": {fmt.Sprintf("%d-%d", from, len(content)-1)}}
	u.must(t, three, http.MethodPatch, bytes.NewReader(content[from:]), header, http.StatusAccepted)
	u.finish(t, one, content)
	if err := two.start(); err != nil {
		t.Fatal(err)
	}
	two.awaitReady(t)
	p.haveAll(t, u.repository, content)
}

// content is something that was not there before.
func (p *place) content(size int) []byte {
	content := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{byte(p.chance.below(256)), byte(p.chance.below(256)), byte(size)}).Read(content)
	return content
}

// haveAll finds that each replica has a blob.
func (p *place) haveAll(t *testing.T, repository string, content []byte) {
	t.Helper()
	for _, r := range p.replicas {
		got, err := r.get(repository + "/blobs/" + godigest.FromBytes(content).String())
		if err != nil {
			t.Error(err)
		}
		if !bytes.Equal(got, content) {
			t.Errorf("the replica at %s has %d bytes of %d, or others", r.address, len(got), len(content))
		}
	}
}

// token is one for pushing.
func (r *replica) token(t *testing.T, repository string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.URL()+"/auth/token?scope=repository:"+repository+":pull,push", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.SetBasicAuth(username, password)
	answer, err := r.client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var given struct{ Token string }
	if err := json.NewDecoder(answer.Body).Decode(&given); err != nil || given.Token == "" {
		t.Fatalf("the answer is %s, %v", answer.Status, err)
	}
	return given.Token
}

// upload is one that goes from replica to replica.
type upload struct {
	repository string
	token      string
	path       string // with the query; empty before it has begun
}

// send sends a request, and follows where the answer leads.
func (u *upload) send(r *replica, method string, body io.Reader, header http.Header) (*http.Response, error) {
	path := u.path
	if path == "" {
		path = "/v2/" + u.repository + "/blobs/uploads/"
	}
	request, err := http.NewRequest(method, r.URL()+path, body)
	if err != nil {
		return nil, err
	}
	for name, values := range header {
		request.Header[name] = values
	}
	request.Header.Set("Authorization", "Bearer "+u.token)
	answer, err := r.client.Do(request)
	if err != nil {
		return nil, err
	}
	_, _ = io.Copy(io.Discard, answer.Body)
	defer answer.Body.Close()
	return answer, nil
}

func (u *upload) must(t *testing.T, r *replica, method string, body io.Reader, header http.Header, want int) *http.Response {
	t.Helper()
	answer, err := u.send(r, method, body, header)
	if err != nil {
		t.Fatal(err)
	}
	if answer.StatusCode != want {
		t.Fatalf("%s: the answer is %s, want %d", method, answer.Status, want)
	}
	if next, err := url.Parse(answer.Header.Get("Location")); err == nil && next.Path != "" {
		u.path = next.RequestURI()
	}
	return answer
}

// size is how many bytes a replica says that the upload has.
func (u *upload) size(t *testing.T, r *replica) int {
	t.Helper()
	answer := u.must(t, r, http.MethodGet, nil, nil, http.StatusNoContent)
	var last int
	if _, err := fmt.Sscanf(answer.Header.Get("Range"), "0-%d", &last); err != nil || last == 0 {
		return 0
	}
	return last + 1
}

// finish makes it a blob.
func (u *upload) finish(t *testing.T, r *replica, content []byte) {
	t.Helper()
	mark := "?"
	if strings.Contains(u.path, "?") {
		mark = "&"
	}
	u.path += mark + "digest=" + godigest.FromBytes(content).String()
	u.must(t, r, http.MethodPut, nil, nil, http.StatusCreated)
}
