package replicas

import (
	"context"
	"errors"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
)

// fault is a way for Swift to fail somebody who asks.
type fault string

const (
	refused     fault = "503 in place of doing it"
	disowned    fault = "503 after it was done"
	lost        fault = "done, and not a word"
	torn        fault = "half an answer"
	interrupted fault = "cut off in the request"
	away        fault = "not, for Swift was away"
	none        fault = ""
)

// faults is a proxy in front of Swift, for one replica. It passes the Host on, so
// that Swift sends who has logged in here to here.
type faults struct {
	forward httputil.ReverseProxy
	address string
	chance  *chance
	share   atomic.Int64 // of answers that are spoilt, per mille
	only    fault        // what becomes of all while no share is spoilt, to show that it does
	cut     atomic.Bool  // nothing gets through
	tally   *tally
}

// chance is random, but the same for the same seed and order.
type chance struct {
	mu  sync.Mutex
	rng *rand.Rand
}

func newChance(seed uint64) *chance { return &chance{rng: rand.New(rand.NewPCG(seed, 0))} }

// below is a number from 0 up to n.
func (c *chance) below(n int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rng.IntN(n)
}

// startFaults starts one at an address. Until told to it does no harm.
func startFaults(t *testing.T, address, swift string, chance *chance, tally *tally) *faults {
	t.Helper()
	to, err := url.Parse(swift)
	if err != nil {
		t.Fatal(err)
	}
	f := &faults{address: address, chance: chance, tally: tally}
	f.forward = httputil.ReverseProxy{
		Rewrite:        func(r *httputil.ProxyRequest) { r.SetURL(to); r.Out.Host = r.In.Host },
		ModifyResponse: f.spoil,
		ErrorHandler:   f.hangUp,
		Transport:      &http.Transport{MaxIdleConnsPerHost: 64},
		ErrorLog:       log.New(io.Discard, "", 0), // which would tell of every fault
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	f.address = listener.Addr().String()
	server := &http.Server{Handler: f}
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	t.Cleanup(func() {
		if err := errors.Join(server.Close(), <-done); !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return f
}

func (f *faults) URL() string { return "http://" + f.address }

// planned is the key of a request's fault in its context.
type planned struct{}

func (f *faults) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if f.cut.Load() {
		panic(http.ErrAbortHandler)
	}
	fault := f.plan(r)
	switch fault {
	case refused:
		f.tally.add(string(refused), 1)
		http.Error(w, "503 by chance", http.StatusServiceUnavailable)
		return
	case interrupted:
		f.tally.add(string(interrupted), 1)
		r.Body = &half{ReadCloser: r.Body, left: max(0, r.ContentLength) / 2}
	}
	f.forward.ServeHTTP(w, r.WithContext(withFault(r.Context(), fault)))
}

// plan says what will become of a request.
func (f *faults) plan(r *http.Request) fault {
	share := f.share.Load()
	if share == 0 {
		return f.only
	}
	f.tally.add(answers, 1)
	if f.chance.below(1000) >= int(share) {
		return none
	}
	kinds := []fault{refused, disowned, lost, torn}
	if r.ContentLength != 0 {
		kinds = append(kinds, interrupted)
	}
	return kinds[f.chance.below(len(kinds))]
}

// errSpoilt is why an answer is not passed on.
var errSpoilt = errors.New("by chance")

// spoil makes of an answer what was planned.
func (f *faults) spoil(answer *http.Response) error {
	planned := faultOf(answer.Request.Context())
	if planned == torn && answer.ContentLength < 2 { // there are no halves
		planned = lost
	}
	switch planned {
	case disowned:
		_ = answer.Body.Close()
		answer.StatusCode, answer.Status = http.StatusServiceUnavailable, ""
		answer.Body, answer.ContentLength = http.NoBody, 0
		answer.Header = http.Header{"Content-Length": {"0"}}
	case lost:
		f.tally.add(string(lost), 1)
		return errSpoilt
	case torn:
		answer.Body = &half{ReadCloser: answer.Body, left: answer.ContentLength / 2}
	default:
		return nil
	}
	f.tally.add(string(planned), 1)
	return nil
}

// hangUp breaks the connection off, as a server does that ends, instead of telling
// what was wrong.
func (f *faults) hangUp(_ http.ResponseWriter, r *http.Request, err error) {
	switch {
	case errors.Is(err, errSpoilt), errors.Is(err, errHalf): // is counted
	case r.Context().Err() == nil: // and it is not the replica that has gone
		f.tally.add(string(away), 1)
	}
	panic(http.ErrAbortHandler)
}

// half is the first part of a body.
type half struct {
	io.ReadCloser
	left int64
}

var errHalf = errors.New("the half of it")

func (h *half) Read(p []byte) (int, error) {
	if h.left <= 0 {
		return 0, errHalf
	}
	n, err := h.ReadCloser.Read(p[:min(int64(len(p)), h.left)])
	h.left -= int64(n)
	return n, err
}

func withFault(ctx context.Context, f fault) context.Context {
	return context.WithValue(ctx, planned{}, f)
}

func faultOf(ctx context.Context) fault {
	f, _ := ctx.Value(planned{}).(fault)
	return f
}
