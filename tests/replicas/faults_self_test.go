package replicas

import (
	"bytes"
	"cmp"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync/atomic"
	"testing"
)

// TestFaults shows that the proxy in front of Swift does what it says: the test of
// the replicas proves nothing otherwise.
func TestFaults(t *testing.T) {
	var done atomic.Int64
	swift := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		done.Add(1)
		answer := append([]byte(r.Host+" "), body...)
		w.Header().Set("Content-Length", strconv.Itoa(len(answer))) // as Swift does
		_, _ = w.Write(answer)
	}))
	t.Cleanup(swift.Close)
	content := bytes.Repeat([]byte("content "), 100_000)

	tests := []struct {
		fault  fault
		status int  // 0: no answer
		whole  bool // the answer
		done   bool // what was asked for
	}{
		{none, http.StatusOK, true, true},
		{refused, http.StatusServiceUnavailable, false, false},
		{disowned, http.StatusServiceUnavailable, false, true},
		{lost, 0, false, true},
		{torn, http.StatusOK, false, true},
		{interrupted, 0, false, false},
	}
	for _, tt := range tests {
		t.Run(cmp.Or(string(tt.fault), "none"), func(t *testing.T) {
			tally := newTally()
			f := startFaults(t, "127.0.0.1:0", swift.URL, newChance(1), tally)
			f.only = tt.fault
			done.Store(0)
			status, body := post(t, f.URL(), content)
			if status != tt.status {
				t.Errorf("the status is %d, want %d", status, tt.status)
			}
			want := append([]byte(f.address+" "), content...)
			if whole := bytes.Equal(body, want); whole != tt.whole {
				t.Errorf("the answer is whole: %v, want %v", whole, tt.whole)
			}
			if (done.Load() == 1) != tt.done {
				t.Errorf("it was done %d times, want it: %v", done.Load(), tt.done)
			}
			if n := tally.of(string(tt.fault)); n != 1 && tt.fault != none {
				t.Errorf("the fault was counted %d times", n)
			}
		})
	}
}

// TestFaultsAreRare: what is announced is what comes.
func TestFaultsAreRare(t *testing.T) {
	f := &faults{chance: newChance(1), tally: newTally()}
	f.share.Store(50)
	r := httptest.NewRequest(http.MethodPut, "/", bytes.NewReader([]byte("content")))
	kinds := map[fault]int{}
	const all = 20_000
	for range all {
		kinds[f.plan(r)]++
	}
	if spoilt := all - kinds[none]; spoilt < all*4/100 || spoilt > all*6/100 || len(kinds) != 6 {
		t.Errorf("of %d requests were spoilt: %v", all, kinds)
	}
}

// post is the status of an answer, 0 if there is none, and what came of it.
func post(t *testing.T, url string, content []byte) (status int, body []byte) {
	t.Helper()
	request, err := http.NewRequestWithContext(context.Background(), http.MethodPost, url, bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, nil
	}
	defer answer.Body.Close()
	body, _ = io.ReadAll(answer.Body) // as far as it comes
	return answer.StatusCode, body
}
