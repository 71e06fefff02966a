package replicas

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	godigest "github.com/opencontainers/go-digest"

	"opendev.org/zuul/zuul-registry/tests/testbed"
)

// spare has one replica unable to reach Swift: HAProxy lets it alone, until it can.
func (p *place) spare(t *testing.T) {
	const path = "/v2/uploads/passed/tags/list"
	sick := p.replicas[1]
	sick.faults.cut.Store(true)
	p.haproxy.awaitServers(t, "UP", "DOWN", "UP")
	before := sick.served(t)
	ask := func() {
		t.Helper()
		if answer, _ := p.haproxy.send(t, http.MethodGet, path, ""); answer.StatusCode != http.StatusNotFound {
			t.Errorf("the answer is %s", answer.Status)
		}
	}
	for range 30 {
		ask()
	}
	if n := sick.served(t) - before; n != 0 {
		t.Errorf("the replica that was not ready got %d of 30 requests", n)
	}
	sick.faults.cut.Store(false)
	p.haproxy.awaitServers(t, "UP", "UP", "UP")
	for range 6 {
		ask()
	}
	if sick.served(t) == before {
		t.Error("the replica that is ready again got none of 6 requests")
	}
}

// renew has all replicas ended and started again, one after the other, as for a new
// version, while blobs are pushed: what was acknowledged is there.
func (p *place) renew(t *testing.T) {
	done := make(chan struct{})
	var pushing sync.WaitGroup
	for n := range 4 {
		pushing.Go(func() { p.pushBlobs(t, fmt.Sprintf("renewed/%d", n), done) })
	}
	end := sync.OnceFunc(func() { close(done); pushing.Wait() })
	defer end()
	for n, r := range p.replicas {
		testbed.Await(t, time.Minute, "blobs are pushed", func() error {
			if pushed := p.tally.of(renewed); pushed < int64(20*(n+1)) {
				return fmt.Errorf("they are %d", pushed)
			}
			return nil
		})
		if err := r.stop(); err != nil {
			t.Errorf("the replica at %s: %v", r.address, err)
		}
		if err := r.start(); err != nil {
			t.Fatal(err)
		}
		p.awaitReady(t)
	}
	end()
	if failed := p.tally.of(notRenewed); failed > fewFail {
		t.Errorf("%d requests failed", failed)
	}
}

// fewFail may, one for each replica: a connection may be in the queue of a port when
// that is closed.
const fewFail = 3

// pushBlobs pushes one blob after the other, and reads each, while few fail.
func (p *place) pushBlobs(t *testing.T, repository string, done <-chan struct{}) {
	for n := 0; p.tally.of(notRenewed) <= fewFail; n++ {
		select {
		case <-done:
			return
		default:
		}
		content := fmt.Appendf(nil, "the blob %d of %s", n, repository)
		if err := p.pushBlob(repository, content); err != nil {
			p.tally.add(notRenewed, 1)
			t.Log(err)
			continue
		}
		got, err := p.request(http.MethodGet, "/v2/"+repository+"/blobs/"+godigest.FromBytes(content).String(), nil, http.StatusOK)
		if err != nil || !bytes.Equal(got, content) {
			t.Errorf("what was acknowledged is %q, %v", got, err)
		}
		p.tally.add(renewed, 1)
	}
}

func (p *place) pushBlob(repository string, content []byte) error {
	path := "/v2/" + repository + "/blobs/uploads/?digest=" + godigest.FromBytes(content).String()
	_, err := p.request(http.MethodPost, path, content, http.StatusCreated)
	return err
}

// request sends a request of the writer's through HAProxy.
func (p *place) request(method, path string, content []byte, want int) ([]byte, error) {
	request, err := http.NewRequest(method, p.haproxy.URL+path, bytes.NewReader(content))
	if err != nil {
		return nil, err
	}
	request.SetBasicAuth(username, password)
	answer, err := p.haproxy.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	got, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != want {
		err = fmt.Errorf("%s %s: %s: %s", method, path, answer.Status, strings.TrimSpace(string(got)))
	}
	return got, err
}
