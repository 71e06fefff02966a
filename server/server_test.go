package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"opendev.org/zuul/zuul-registry/server/config"
)

// pushesTo is the URL of the second listener, as the welcome has it.
func (r *running) pushesTo(t *testing.T) string {
	t.Helper()
	found := regexp.MustCompile(`for pushes +(\S+)`).FindStringSubmatch(r.program.stdout.(*stream).String())
	if found == nil {
		t.Fatalf("the welcome is:\n%s", r.program.stdout)
	}
	return found[1]
}

func TestTwoListeners(t *testing.T) {
	for mode, scheme := range map[string]string{"on": "https://", "off": "http://"} {
		r := serve(t, house(t.TempDir(), "ZUUL_REGISTRY_TLS="+mode, "ZUUL_REGISTRY_PUSH_ADDRESS=127.0.0.1:0"))
		pushes := r.pushesTo(t)
		if r.url == pushes || !strings.HasPrefix(pushes, scheme) {
			t.Errorf("TLS %s: it serves %s, and %s for pushes", mode, r.url, pushes)
		}
		for _, url := range []string{r.url, pushes} {
			answer, err := r.client.Get(url + "/healthz")
			if err != nil {
				t.Fatal(err)
			}
			_ = answer.Body.Close()
			if answer.StatusCode != http.StatusOK {
				t.Errorf("TLS %s: %s is answered with %s", mode, url, answer.Status)
			}
		}
		r.stop()
		if code := <-r.code; code != exitDone {
			t.Errorf("TLS %s: exit code %d, want %d", mode, code, exitDone)
		}
		log := r.program.stderr.(*stream).String()
		if strings.Count(log, "msg=serving") != 2 || strings.Count(log, "msg=stopping") != 1 || strings.Count(log, "certificate made") > 1 {
			t.Errorf("TLS %s: the log is:\n%s", mode, log)
		}
		for _, url := range []string{r.url, pushes} {
			if answer, err := r.client.Get(url + "/healthz"); err == nil {
				_ = answer.Body.Close()
				t.Errorf("TLS %s: %s still answers", mode, url)
			}
		}
	}
}

// The first steps that the welcome tells lead to where pushes are taken. Clients
// reach that by its own address: PUBLIC_URL is of the other one.
func TestWelcomeToTwoListeners(t *testing.T) {
	r := serve(t, house(t.TempDir(), "ZUUL_REGISTRY_PUSH_ADDRESS=127.0.0.1:0", "ZUUL_REGISTRY_PUBLIC_URL=https://registry.example.com"))
	_, host, _ := strings.Cut(r.pushesTo(t), "://")
	said := r.program.stdout.(*stream).String()
	if !strings.Contains(said, "serves https://registry.example.com\n") || !strings.Contains(said, "docker://"+host+"/library/busybox\n") {
		t.Errorf("the welcome is:\n%s", said)
	}
	r.stop()
	<-r.code
}

func TestListenersAreOpenedBothOrNone(t *testing.T) {
	taken := localListener(t)
	c := config.Config{Address: "127.0.0.1:0", PushAddress: taken.Addr().String()}
	opened, err := listen(c)
	if !errors.As(err, new(usageError)) || !strings.Contains(err.Error(), "ZUUL_REGISTRY_PUSH_ADDRESS") {
		t.Errorf("an address that is taken: %v", err)
	}
	if len(opened.public()) != 1 || opened.close() != nil {
		t.Fatalf("%d listeners are open, want 1 that closes", len(opened.public()))
	}
	awaitRefusal(t, opened.images)
}

func localListener(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// awaitRefusal waits until nobody can connect.
func awaitRefusal(t *testing.T, l net.Listener) {
	t.Helper()
	for late := time.Now().Add(2 * time.Second); time.Now().Before(late); time.Sleep(time.Millisecond) {
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			return
		}
		_ = conn.Close()
	}
	t.Errorf("%s still takes connections", l.Addr())
}

// twoDoors is a server of plain HTTP with the same handler at both.
func twoDoors(t *testing.T, handler http.HandlerFunc) (*server, []net.Listener) {
	t.Helper()
	s, err := newServer(config.Config{}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	listeners := []net.Listener{localListener(t), localListener(t)}
	for _, l := range listeners {
		s.open(l, handler, s.tls)
	}
	return s, listeners
}

func TestOneListenerFails(t *testing.T) {
	for failing := range 2 {
		s, listeners := twoDoors(t, http.NotFound)
		ended := make(chan error, 1)
		go func() { ended <- s.run(t.Context()) }()
		if err := listeners[failing].Close(); err != nil {
			t.Fatal(err)
		}
		if err := <-ended; !errors.Is(err, net.ErrClosed) {
			t.Errorf("listener %d fails: the server ends with %v", failing, err)
		}
		awaitRefusal(t, listeners[1-failing])
	}
}

// While a request is finished at one door, the other is shut already: they do
// not drain one after the other.
func TestDoorsDrainAtOnce(t *testing.T) {
	for busy := range 2 {
		begun, finish := make(chan struct{}), make(chan struct{})
		s, listeners := twoDoors(t, func(w http.ResponseWriter, _ *http.Request) {
			close(begun)
			<-finish
			_, _ = io.WriteString(w, "whole")
		})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- s.run(ctx) }()
		got := make(chan string, 1)
		go func() { got <- fetch("http://" + listeners[busy].Addr().String()) }()
		<-begun
		stop()
		for _, l := range listeners {
			awaitRefusal(t, l)
		}
		close(finish)
		if body, err := <-got, <-ended; body != "whole" || err != nil {
			t.Errorf("the request at door %d gets %q, and the server ends with %v", busy, body, err)
		}
	}
}

// fetch is a body, or what went wrong.
func fetch(url string) string {
	answer, err := http.Get(url)
	if err != nil {
		return err.Error()
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return err.Error()
	}
	return string(body)
}
