package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"oras.land/oras-go/v2/registry/remote/errcode"

	"opendev.org/zuul/zuul-registry/server/oci"
	"opendev.org/zuul/zuul-registry/server/peer"
)

const (
	// maxResumes is how many times in a row a blob is asked for again that does
	// not go on.
	maxResumes = 5
	// resumeWait is the wait before the first of them; it doubles.
	resumeWait = 50 * time.Millisecond
)

// content is a blob's, over as many requests as it takes.
type content struct {
	ctx      context.Context // the caller's
	registry *Registry
	about    about
	digest   oci.Digest

	size, offset int64
	stream       *peer.Stream // nil where there has to be another
	failures     int          // since something came
	err          error        // ends it
}

// Read is as Blob has it.
func (c *content) Read(p []byte) (int, error) {
	p = p[:min(int64(len(p)), c.size-c.offset)]
	for c.err == nil && c.offset < c.size {
		var err error
		if c.stream != nil {
			var n int
			n, err = c.stream.Read(p)
			c.offset += int64(n)
			if err != nil {
				c.drop()
			}
			if n > 0 || err == nil {
				c.failures = 0
				return n, nil
			}
		}
		if err = c.resume(err); err != nil {
			c.err = c.registry.settle(c.ctx, err, c.about)
		}
	}
	if c.err != nil {
		return 0, c.err
	}
	return 0, io.EOF
}

// Close lets go of the connection.
func (c *content) Close() error {
	c.drop()
	c.err = os.ErrClosed
	return nil
}

func (c *content) drop() {
	if c.stream != nil {
		_ = c.stream.Close() // what was read is what counts
		c.stream = nil
	}
}

// resume asks for the rest.
func (c *content) resume(cause error) error {
	for c.failures < maxResumes {
		if err := c.wait(resumeWait << c.failures); err != nil {
			return err
		}
		c.failures++
		s, _, err := c.open()
		if err == nil {
			c.stream = s
			return nil
		}
		cause = err
		if isFinal(err) {
			break
		}
	}
	return &complaint{"breaks off in the middle of a blob", cause}
}

func (c *content) wait(d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-c.ctx.Done():
		return c.ctx.Err()
	}
}

// isFinal says that it makes no sense to ask for the rest once more: it has
// changed, or is refused, or nobody answers.
func isFinal(err error) bool {
	var said *complaint
	var refusal *errcode.ErrorResponse
	var closed *closedError
	return errors.As(err, &said) || errors.As(err, &closed) || errors.Is(err, peer.ErrSilent) ||
		errors.As(err, &refusal) && refusal.StatusCode < 500
}

// open asks for the blob from the offset on, and gives its whole size.
func (c *content) open() (*peer.Stream, int64, error) {
	w := peer.NewWatch(c.ctx, c.registry.timeout)
	resp, err := c.registry.ask(w.Context(), c.about, c.digest, c.offset)
	if err != nil {
		w.Stop()
		return nil, 0, w.Fault(err)
	}
	w.Pause()
	s := &peer.Stream{Watch: w, Body: resp.Body}
	size, err := c.measure(resp)
	if err == nil && resp.StatusCode == http.StatusOK {
		_, err = io.CopyN(io.Discard, s, c.offset) // a server that knows no ranges
	}
	if err != nil {
		_ = s.Close() // err says more
		return nil, 0, err
	}
	return s, size, nil
}

// measure is the size of the whole blob, which a further answer must not change.
func (c *content) measure(resp *http.Response) (int64, error) {
	begin, size := int64(0), resp.ContentLength
	if resp.StatusCode == http.StatusPartialContent {
		var end int64
		if _, err := fmt.Sscanf(resp.Header.Get("Content-Range"), "bytes %d-%d/%d", &begin, &end, &size); err != nil || begin != c.offset {
			return 0, &complaint{words: fmt.Sprintf("sends %q for the bytes from %d", resp.Header.Get("Content-Range"), c.offset)}
		}
	}
	switch {
	case size < 0:
		return 0, &complaint{words: "does not say how long a blob is"}
	case c.offset > 0 && size != c.size:
		return 0, &complaint{words: fmt.Sprintf("has changed a blob from %d to %d bytes", c.size, size)}
	}
	return size, nil
}
