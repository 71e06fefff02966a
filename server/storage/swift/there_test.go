package swift_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	ncw "github.com/ncw/swift/v2"

	"opendev.org/zuul/zuul-registry/server/storage/swift"
)

// there is a Swift that answers as it is told to, without a network: for tests in a time
// of their own.
type there struct {
	answer  func(r *http.Request) (*http.Response, error) // about the object
	refuses bool                                          // logins

	mu     sync.Mutex
	logins int
	asked  []time.Time // about the object
	log    bytes.Buffer
}

func (s *there) RoundTrip(r *http.Request) (*http.Response, error) {
	switch {
	case r.URL.Path == "/auth":
		if s.logins++; s.refuses {
			return says(401, ""), nil
		}
		return says(200, "", "X-Storage-Url", "http://swift/v1/AUTH_a", "X-Auth-Token", "token"), nil
	case r.URL.Path == "/info":
		return says(200, `{"slo": {}}`), nil
	case r.URL.Path == "/v1/AUTH_a/images" && r.Method == http.MethodHead:
		return says(204, ""), nil
	}
	s.mu.Lock()
	s.asked = append(s.asked, time.Now())
	s.mu.Unlock()
	return s.answer(r)
}

// says is an answer.
func says(status int, body string, headers ...string) *http.Response {
	h := http.Header{"Content-Length": {fmt.Sprint(len(body))}}
	for i := 0; i < len(headers); i += 2 {
		h.Set(headers[i], headers[i+1])
	}
	return &http.Response{StatusCode: status, Status: fmt.Sprint(status), Header: h, Body: io.NopCloser(strings.NewReader(body))}
}

// hangs until the request is given up.
func hangs(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// takes a body whole.
func takes(r *http.Request) (*http.Response, error) {
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return nil, err
	}
	return says(201, ""), nil
}

func (s *there) open(t *testing.T, change func(*swift.Options)) *swift.Driver {
	t.Helper()
	o := swift.Options{
		Account:   &ncw.Connection{AuthUrl: "http://swift/auth", AuthVersion: 1, UserName: "a", ApiKey: "key", Transport: s},
		Container: "images", PartSize: mebibyte, Connections: 1, Retries: 2, Log: slog.New(slog.NewTextHandler(&s.log, nil)),
	}
	change(&o)
	d, err := swift.New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// waits is the time between what Swift was asked.
func (s *there) waits() (all []time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := 1; i < len(s.asked); i++ {
		all = append(all, s.asked[i].Sub(s.asked[i-1]))
	}
	return all
}

// trickle is a good answer of which each piece takes a while.
func trickle(r *http.Request, pause time.Duration, pieces ...string) *http.Response {
	body, more := io.Pipe()
	go func() {
		for _, piece := range pieces {
			select {
			case <-time.After(pause):
			case <-r.Context().Done():
				_ = more.CloseWithError(r.Context().Err())
				return
			}
			if _, err := io.WriteString(more, piece); err != nil {
				return
			}
		}
		_ = more.Close()
	}()
	whole := strings.Join(pieces, "")
	answer := says(200, whole, "Etag", "e", "X-Timestamp", "1700000000.00000")
	answer.Body = body
	return answer
}

// silent gives nothing until it is given up.
type silent struct{ ctx context.Context }

func (s silent) Read([]byte) (int, error) {
	<-s.ctx.Done()
	return 0, s.ctx.Err()
}

// lasting can be read as long as its request has not ended.
type lasting struct {
	ctx context.Context
	io.ReadCloser
}

func (l lasting) Read(p []byte) (int, error) {
	if err := l.ctx.Err(); err != nil {
		return 0, err
	}
	return l.ReadCloser.Read(p)
}

// etag is the MD5 of content.
func etag(content string) string {
	sum := md5.Sum([]byte(content))
	return hex.EncodeToString(sum[:])
}
