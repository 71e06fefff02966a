package upstream

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"oras.land/oras-go/v2/registry/remote/auth"
)

func TestGateOpensAgain(t *testing.T) {
	for _, tt := range []struct {
		value  string
		closed time.Duration
	}{
		{"60", time.Minute},
		{time.Date(2000, 1, 1, 0, 10, 0, 0, time.UTC).Format(http.TimeFormat), 10 * time.Minute},
		{"86400", time.Hour},
		{"18446744073709551615", time.Hour},
		{time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC).Format(http.TimeFormat), time.Hour},
		{time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC).Format(http.TimeFormat), 0},
		{"0", 0}, {"-1", 0}, {"soon", 0}, {"", 0},
	} {
		synctest.Test(t, func(t *testing.T) { // where it is the year 2000
			asked := 0
			g := &gate{closed: map[string]time.Time{}, base: roundTripper(func(*http.Request) (*http.Response, error) {
				asked++
				return &http.Response{StatusCode: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {tt.value}}}, nil
			})}
			ask := func(host string) error {
				_, err := g.RoundTrip(httptest.NewRequest(http.MethodGet, "https://"+host+"/v2/", nil))
				return err
			}
			if err := ask("a"); err != nil || asked != 1 {
				t.Fatal(asked, err)
			}
			if tt.closed > 0 {
				time.Sleep(tt.closed - time.Nanosecond)
				var closed *closedError
				if err := ask("a"); !errors.As(err, &closed) || asked != 1 {
					t.Errorf("%q: %v after %d requests", tt.value, err, asked)
				}
				time.Sleep(time.Nanosecond)
			}
			if err := ask("a"); err != nil || asked != 2 {
				t.Errorf("%q: %v after %d requests", tt.value, err, asked)
			}
			if err := ask("b"); err != nil || asked != 3 {
				t.Errorf("%q closes other hosts: %v", tt.value, err)
			}
		})
	}
}

func TestGateForgetsHosts(t *testing.T) {
	g := &gate{closed: map[string]time.Time{}}
	for i := range 10 * maxClosed {
		g.close(fmt.Sprint(i), time.Now().Add(time.Hour))
	}
	if len(g.closed) > maxClosed {
		t.Errorf("%d hosts are remembered", len(g.closed))
	}
}

func TestTokensAreForgotten(t *testing.T) {
	cache := newTokens()
	for i := range maxTokens + 1 {
		key := fmt.Sprint("repository:", i)
		if _, err := cache.Set(t.Context(), "a", auth.SchemeBearer, key, func(context.Context) (string, error) { return key, nil }); err != nil {
			t.Fatal(err)
		}
		if got, err := cache.GetToken(t.Context(), "a", auth.SchemeBearer, key); got != key {
			t.Fatalf("a token that was just got is %q, %v", got, err)
		}
	}
	if got, err := cache.GetToken(t.Context(), "a", auth.SchemeBearer, "repository:0"); err == nil {
		t.Errorf("the first of too many is still %q", got)
	}
}

// Who waits for the token that somebody else is getting gets it, also when that
// one leaves.
func TestTokenOfOneWhoLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cache := newTokens()
		first, leave := context.WithCancel(t.Context())
		get := func(ctx context.Context, fetch func(context.Context) (string, error)) <-chan error {
			done := make(chan error, 1)
			go func() {
				_, err := cache.Set(ctx, "a", auth.SchemeBearer, "key", fetch)
				done <- err
			}()
			synctest.Wait()
			return done
		}
		left := get(first, func(ctx context.Context) (string, error) {
			<-ctx.Done()
			return "", fmt.Errorf("as http.Client has it: %w", ctx.Err())
		})
		stayed := get(t.Context(), func(context.Context) (string, error) { return "token", nil })
		leave()
		if err := <-left; !errors.Is(err, context.Canceled) {
			t.Errorf("who left: %v", err)
		}
		if err := <-stayed; err != nil {
			t.Errorf("who stayed: %v", err)
		}
	})
}
