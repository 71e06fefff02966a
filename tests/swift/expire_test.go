package swift_test

import (
	"context"
	"errors"
	"io/fs"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"opendev.org/zuul/zuul-registry/server/storage/storagetest"
	"opendev.org/zuul/zuul-registry/tests/testbed"
)

// TestExpire has two replicas expire what a third one wants to keep, or else to store.
func TestExpire(t *testing.T) {
	for _, copies := range []int{1, 2} {
		s := testbed.Open(t).StartSwift(t, testbed.SwiftOptions{Copies: copies})
		var all sync.WaitGroup
		for range 10 {
			all.Go(expireBeside(t, s))
		}
		all.Wait()
	}
}

// expireBeside prepares one round in a container of its own.
func expireBeside(t *testing.T, s *testbed.Swift) (round func()) {
	t.Helper()
	o := options(t, s.Environment())
	replica := func() store {
		o.Account = login(t, s.Environment())
		return open(t, o)
	}
	one, two, three := replica(), replica(), replica()
	one.concat("object", "as it was")
	parts, err := storagetest.Append(t.Context(), three.Driver, "parts", nil, strings.NewReader("as it is"))
	if err != nil {
		t.Fatal(err)
	}
	info, err := one.Stat(t.Context(), "object")
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		var expired atomic.Int64
		var all sync.WaitGroup
		later := func() { time.Sleep(rand.N(time.Second)) }
		for _, d := range []store{one, two} {
			all.Go(func() {
				later()
				done, err := d.Expire(t.Context(), "object", info.Modified)
				if err != nil {
					t.Errorf("Expire: %v", err)
				}
				if done {
					expired.Add(1)
				}
			})
		}
		want := "as it was"
		all.Go(func() {
			later()
			// Where the two hinder each other, a marker stays for a minute.
			ctx, leave := context.WithTimeout(t.Context(), 10*time.Second)
			defer leave()
			err := three.Touch(ctx, "object")
			if errors.Is(err, fs.ErrNotExist) {
				want = "as it is"
				err = three.Concat(t.Context(), "object", parts)
			}
			if err != nil && ctx.Err() == nil {
				t.Errorf("Touch, or Concat: %v", err)
			}
		})
		all.Wait()
		three.has("object", 0, want)
		if n := expired.Load(); n > 1 || n == 1 && want == "as it was" {
			t.Errorf("%d have removed it, and it holds %q", n, want)
		}
	}
}
