package swift

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/ncw/swift/v2"

	"opendev.org/zuul/zuul-registry/server/peer"
)

const (
	silence      = 30 * time.Second // in which nothing is sent or taken: an attempt has failed
	patience     = time.Minute      // after which no further attempt begins
	firstPause   = 100 * time.Millisecond
	longestPause = 5 * time.Second
)

// request is one of Swift's API, about an object or, without one, the container.
type request struct {
	operation  string
	object     string
	parameters url.Values
	headers    swift.Headers
	body       io.ReadSeeker
}

// answer is a good one. The body is of a GET, and the caller's to close.
type answer struct {
	headers swift.Headers
	body    io.ReadCloser
}

// prepare has the library leave to us what is to be tried again, and when it has
// taken too long. It renews tokens.
func (d *Driver) prepare() {
	const never = 24 * time.Hour
	d.account.Retries, d.account.ConnectTimeout, d.account.Timeout = 1, never, never
	d.account.UserAgent = "zuul-registry"
	if d.account.Transport == nil {
		d.account.Transport = newTransport(nil)
	}
}

// do is call for those who need no more than to know that it was done.
func (d *Driver) do(ctx context.Context, r request) error {
	_, err := d.call(ctx, r)
	return err
}

// call asks Swift until it answers. What is not there is fs.ErrNotExist.
//
// A miss is believed when it is said twice: while somebody replaces or renews an
// object, Swift's object server may look for a file that was there when it listed
// them, and says 404.
func (d *Driver) call(ctx context.Context, r request) (answer, error) {
	begin, missed := time.Now(), r.operation == http.MethodDelete
	for attempt := 0; ; attempt++ {
		a, err := d.try(ctx, r)
		if err == nil {
			return a, nil
		}
		err = d.explain(r, err)
		if errors.Is(err, fs.ErrNotExist) && !missed {
			missed = true
			continue
		}
		if attempt >= d.retries || !mayPass(r, err) || time.Since(begin) > patience {
			return a, err
		}
		if ended := d.pause(ctx, attempt, a.headers["Retry-After"], err); ended != nil {
			return a, err
		}
	}
}

// decode reads an answer of JSON whole.
func (d *Driver) decode(ctx context.Context, r request, v any) error {
	for attempt := 0; ; attempt++ {
		a, err := d.call(ctx, r)
		if err != nil {
			return err
		}
		err = json.NewDecoder(a.body).Decode(v)
		_ = a.body.Close()
		if err == nil {
			return nil
		}
		err = d.explain(r, err)
		if attempt >= d.retries || d.pause(ctx, attempt, "", err) != nil {
			return err
		}
	}
}

// try asks once.
func (d *Driver) try(ctx context.Context, r request) (answer, error) {
	watch := peer.NewWatch(ctx, silence)
	a, err := d.ask(watch, r)
	switch {
	case err != nil:
		err = watch.Fault(err)
	case r.operation == http.MethodGet:
		return a, nil
	default:
		_, _ = io.Copy(io.Discard, a.body)
		_ = a.body.Close()
	}
	watch.Stop()
	return a, err
}

func (d *Driver) ask(watch *peer.Watch, r request) (answer, error) {
	o := swift.RequestOpts{
		Operation: r.operation, Container: d.container, ObjectName: r.object, Parameters: r.parameters, Headers: r.headers,
		OnReAuth: func() (string, error) { return d.account.StorageUrl, nil },
	}
	if r.body != nil {
		if _, err := r.body.Seek(0, io.SeekStart); err != nil {
			return answer{}, err
		}
		o.Body = watched{r.body, watch}
	}
	account, err := d.account.GetStorageUrl(watch.Context())
	if err != nil {
		return answer{}, fmt.Errorf("logging in at %s: %w", withoutPassword(d.account.AuthUrl), err)
	}
	response, headers, err := d.account.Call(watch.Context(), account, o)
	if err != nil {
		return answer{headers: headers}, err
	}
	return answer{headers, &peer.Stream{Watch: watch, Body: response.Body}}, nil
}

func withoutPassword(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "a URL that is none"
	}
	return u.Redacted()
}

// watched is a body that is being taken.
type watched struct {
	io.ReadSeeker
	watch *peer.Watch
}

func (w watched) Read(p []byte) (int, error) {
	w.watch.Again()
	return w.ReadSeeker.Read(p)
}

// explain says what was asked for. That a name is not there is no fault; that a
// place to store is not there, is.
func (d *Driver) explain(r request, err error) error {
	if status(err) == http.StatusNotFound && r.object != "" && r.operation != http.MethodPut {
		return &fs.PathError{Op: strings.ToLower(r.operation), Path: r.object, Err: fs.ErrNotExist}
	}
	return fmt.Errorf("Swift fails at %s of %s: %w", r.operation, strings.TrimSuffix(d.container+"/"+r.object, "/"), err)
}

// status is that of Swift's answer; 0 if there was none.
func status(err error) int {
	if e := (*swift.Error)(nil); errors.As(err, &e) {
		return e.StatusCode
	}
	return 0
}

// mayPass says that a fault may be over soon.
func mayPass(r request, err error) bool {
	switch code := status(err); code {
	case 0:
		return !errors.Is(err, fs.ErrNotExist)
	case http.StatusConflict: // something was stored by a server whose clock is ahead
		return r.operation == http.MethodDelete
	case http.StatusRequestTimeout, http.StatusTooManyRequests,
		http.StatusUnprocessableEntity, // what came was not what was sent, by its MD5
		swift.RateLimit.StatusCode:
		return true
	default:
		return code >= 500
	}
}

// pause waits before the next attempt, and for ctx.
func (d *Driver) pause(ctx context.Context, attempt int, retryAfter string, fault error) error {
	wait := min(firstPause<<min(attempt, 10), longestPause)
	wait = wait/2 + rand.N(wait/2)
	if seconds, err := strconv.Atoi(retryAfter); err == nil && seconds > 0 {
		wait = min(time.Duration(seconds)*time.Second, longestPause)
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		d.log.WarnContext(ctx, "Swift is asked again", "attempt", attempt+1, "fault", fault)
		return nil
	}
}
