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
	info       bool // about Swift itself
	parameters url.Values
	headers    swift.Headers
	body       content
}

// answer is a good one. The body is of a GET, and the caller's to close.
type answer struct {
	headers swift.Headers
	body    io.ReadCloser
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
	begin, missed, renewed := time.Now(), r.operation == http.MethodDelete, false
	for attempt := 0; ; attempt++ {
		a, err := d.try(ctx, r)
		switch {
		case err == nil:
			return a, nil
		case status(err) == http.StatusUnauthorized && !renewed: // the token has ended
			d.account.UnAuthenticate()
			renewed = true
			continue
		case isMiss(r, err) && !missed:
			missed = true
			continue
		}
		err = d.explain(r, err)
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
	account, err := d.account.GetStorageUrl(watch.Context())
	if err != nil {
		return answer{}, err
	}
	o := swift.RequestOpts{
		Operation: r.operation, Container: d.container, ObjectName: r.object, Parameters: r.parameters, Headers: r.headers,
		Retries: -1, OnReAuth: func() (string, error) { return d.account.StorageUrl, nil },
	}
	if r.info {
		account, o.Container = infoURL(account), ""
	}
	if r.body != nil {
		lent := &loan{content: r.body, watch: watch}
		defer lent.end()
		o.Body = lent
	}
	var body io.ReadCloser
	response, headers, err := d.account.Call(context.WithValue(watch.Context(), bodyKey{}, &body), account, o)
	if err != nil {
		return answer{headers: headers}, err
	}
	if r.operation == http.MethodPut && r.object != "" && response.StatusCode == http.StatusAccepted {
		return answer{}, errors.Join(errLater, body.Close())
	}
	return answer{headers, &peer.Stream{Watch: watch, Body: body}}, nil
}

// infoURL is beside all accounts: …/v1/AUTH_account has …/info.
func infoURL(account string) string {
	u, err := url.Parse(account)
	if err != nil {
		return account // which will be told
	}
	return u.JoinPath("..", "..", "info").String()
}

// errLater is what Swift answers with 202 to a PUT.
var errLater = &swift.Error{StatusCode: http.StatusConflict, Text: "what is there was stored by a server whose clock is ahead"}

// explain says what was asked for. That a name is not there is no fault; that a
// place to store is not there, is.
func (d *Driver) explain(r request, err error) error {
	if isMiss(r, err) {
		return &fs.PathError{Op: strings.ToLower(r.operation), Path: r.object, Err: fs.ErrNotExist}
	}
	return fmt.Errorf("Swift fails at %s of %s: %w", r.operation, d.subject(r), err)
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
	if e := (*swift.Error)(nil); errors.As(err, &e) {
		return e.StatusCode
	}
	return 0
}

// mayPass says that a fault may be over soon.
func mayPass(r request, err error) bool {
	switch code := status(err); code {
	case 0:
		return !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, errMoved)
	case http.StatusConflict: // as errLater
		return r.operation == http.MethodDelete || r.operation == http.MethodPut
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
