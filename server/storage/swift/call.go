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
	info       bool // about Swift itself
	parameters url.Values
	header     map[string]string
	body       content
	into       any                             // what the JSON of the answer is; nil: it is no JSON
	ifLarge    bool                            // into is of a static large object: no other one is read
	extra      time.Duration                   // beyond silence, in which Swift may be at work
	badRequest func(ctx context.Context) error // why Swift says 400; nil: because it could not do better
	once       bool                            // it may be done though the answer is lost, and must not be done later
}

// answer is a good one. The body is of a GET without into, and the caller's to close.
type answer struct {
	header http.Header
	body   io.ReadCloser
}

// do is call for those who need no more than to know that it was done.
func (d *Driver) do(ctx context.Context, r request) error {
	_, err := d.call(ctx, r)
	return err
}

// call asks Swift until it answers. What is not there is fs.ErrNotExist.
func (d *Driver) call(ctx context.Context, r request) (answer, error) {
	deadline := time.Now().Add(patience)
	for attempt := 0; ; attempt++ {
		a, err := d.askTwice(ctx, r)
		if err == nil {
			return a, nil
		}
		if status(err) == http.StatusBadRequest && r.badRequest != nil {
			if why := r.badRequest(ctx); why != nil {
				return answer{}, errors.Join(why, err)
			}
		}
		explained := d.explain(r, err)
		if r.once || attempt >= d.retries || !mayPass(r, err) || time.Now().After(deadline) || d.pause(ctx, attempt, explained) != nil {
			return answer{}, explained
		}
	}
}

// askTwice asks again at once when the token has ended, and when there is a miss: while
// somebody replaces or renews an object, Swift's object server may look for a file that
// was there when it listed them, and says 404.
func (d *Driver) askTwice(ctx context.Context, r request) (answer, error) {
	a, err := d.ask(ctx, r)
	if status(err) == http.StatusUnauthorized || isMiss(r, err) && r.operation != http.MethodDelete {
		a, err = d.ask(ctx, r)
	}
	return a, err
}

// ask asks once.
func (d *Driver) ask(ctx context.Context, r request) (answer, error) {
	watch := peer.NewWatch(ctx, silence+r.extra)
	response, err := d.send(watch, r)
	if err != nil {
		err = watch.Fault(err)
		watch.Stop()
		return answer{}, err
	}
	a := answer{response.Header, &peer.Stream{Watch: watch, Body: response.Body}}
	switch {
	case r.ifLarge && !isLarge(a.header):
		err = skip(a.body, response.ContentLength)
	case r.into != nil:
		err = json.NewDecoder(a.body).Decode(r.into)
	case r.operation == http.MethodGet:
		watch.Pause() // nobody waits before the first Read
		return a, nil
	default:
		_, err = io.Copy(io.Discard, a.body)
	}
	return a, errors.Join(err, a.body.Close())
}

// skip leaves a body unread, and with it the connection, unless it is a small one.
func skip(body io.Reader, size int64) error {
	if size < 0 || size > small {
		return nil
	}
	_, err := io.Copy(io.Discard, body)
	return err
}

// send sends a request, and gives a good answer.
func (d *Driver) send(watch *peer.Watch, r request) (*http.Response, error) {
	s, err := d.account.session(watch.Context())
	if err != nil {
		return nil, err
	}
	q, err := http.NewRequestWithContext(watch.Context(), r.operation, d.address(s, r), nil)
	if err != nil {
		return nil, err
	}
	if r.body != nil && r.body.Size() > 0 {
		lent := &loan{content: r.body, watch: watch}
		defer lent.Close()
		q.Body, q.ContentLength = lent, r.body.Size()
		q.Header.Set("Expect", "100-continue") // nothing is sent before Swift wants it
		q.Header.Set("Content-Type", "application/octet-stream")
	}
	for name, value := range r.header {
		q.Header.Set(name, value)
	}
	q.Header.Set("User-Agent", userAgent)
	q.Header.Set("X-Auth-Token", s.token)
	response, err := d.client.Do(q)
	if err != nil {
		return nil, err
	}
	if f := refusal(r, response); f != nil {
		if f.status == http.StatusUnauthorized {
			d.account.forget(s.token)
		}
		return nil, f
	}
	return response, nil
}

// address is the URL of what a request is about.
func (d *Driver) address(s session, r request) string {
	u := *s.storage
	switch {
	case r.info: // beside all accounts: …/v1/AUTH_account has …/info
		return s.storage.JoinPath("..", "..", "info").String()
	case r.object != "":
		u.Path += "/" + d.container + "/" + r.object
	default:
		u.Path += "/" + d.container
	}
	u.RawPath, u.RawQuery = "", r.parameters.Encode()
	return u.String()
}

// fault is an answer that is not good.
type fault struct {
	status     int
	text       string
	retryAfter string
}

func (f *fault) Error() string { return f.text }

// refusal is a fault unless the answer is good, and closes its body then. Nothing is
// stored when the answer is 202: something was stored there by a server whose clock is
// ahead.
func refusal(r request, response *http.Response) *fault {
	code := response.StatusCode
	isLater := (r.operation == http.MethodPut || r.operation == methodCopy) && r.object != "" && code == http.StatusAccepted
	if code >= 200 && code < 300 && !isLater {
		return nil
	}
	f := &fault{code, response.Status, response.Header.Get("Retry-After")}
	const most = 1 << 10 // bytes, which say what is wrong, in HTML or in plain text
	said, _ := io.ReadAll(io.LimitReader(response.Body, most))
	if strings.HasPrefix(response.Header.Get("Content-Type"), "text/plain") && len(said) > 0 {
		f.text += ": " + strings.TrimSpace(string(said))
	}
	_ = response.Body.Close()
	switch {
	case isLater:
		f.status, f.text = http.StatusConflict, "what is there was stored by a server whose clock is ahead"
	case code == http.StatusNotFound && response.Header.Get("X-Trans-Id") == "": // which Swift gives to all answers
		f.status, f.text = http.StatusBadGateway, f.text+", by something in front of Swift"
	}
	return f
}

// explain says what was asked for. That a name is not there is no fault; that a
// place to store is not there, is.
func (d *Driver) explain(r request, err error) error {
	if isMiss(r, err) {
		return &fs.PathError{Op: strings.ToLower(r.operation), Path: r.object, Err: fs.ErrNotExist}
	}
	return fmt.Errorf("swift: %s of %s: %w", r.operation, d.subject(r), err)
}

// subject is what a request is about.
func (d *Driver) subject(r request) string {
	switch {
	case r.info:
		return "its /info"
	case r.object == "":
		return d.container
	}
	return d.container + "/" + r.object
}

func isMiss(r request, err error) bool {
	return status(err) == http.StatusNotFound && r.object != "" && r.operation != http.MethodPut
}

// status is that of Swift's answer; 0 if there was none.
func status(err error) int {
	if f := (*fault)(nil); errors.As(err, &f) {
		return f.status
	}
	return 0
}

// mayPass says that a fault may be over soon.
func mayPass(r request, err error) bool {
	if errors.Is(err, errRefused) || errors.Is(err, errMoved) {
		return false
	}
	switch code := status(err); code {
	case 0, // there was no answer
		http.StatusRequestTimeout, http.StatusTooManyRequests, 498, // Swift's word for too many
		http.StatusUnprocessableEntity: // what came was not what was sent, by its MD5
		return true
	case http.StatusBadRequest:
		return r.badRequest != nil
	case http.StatusConflict: // with a later time, it may be done
		return r.operation == http.MethodPut || r.operation == http.MethodDelete || r.operation == methodCopy
	default:
		return code >= 500
	}
}

// pause waits before the next attempt, and for ctx.
func (d *Driver) pause(ctx context.Context, attempt int, err error) error {
	wait := min(firstPause<<min(attempt, 10), longestPause)
	wait = wait/2 + rand.N(wait/2)
	if f := (*fault)(nil); errors.As(err, &f) {
		if seconds, err := strconv.Atoi(f.retryAfter); err == nil && seconds > 0 {
			wait = min(time.Duration(seconds)*time.Second, longestPause)
		}
	}
	if gone := sleep(ctx, wait); gone != nil {
		return gone
	}
	d.log.WarnContext(ctx, "Swift is asked again", "attempt", attempt+1, "fault", err)
	return nil
}

// sleep waits, and for ctx.
func sleep(ctx context.Context, wait time.Duration) error {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
