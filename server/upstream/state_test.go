package upstream_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"opendev.org/zuul/zuul-registry/server/oci"
	"opendev.org/zuul/zuul-registry/server/upstream"
)

// counted asserts how operations with an upstream have ended.
func counted(t *testing.T, r *upstream.Registry, found, absent, refused, unavailable int64) upstream.State {
	t.Helper()
	s := r.State()
	if got, want := [...]int64{s.Found, s.Absent, s.Refused, s.Unavailable}, [...]int64{found, absent, refused, unavailable}; got != want {
		t.Errorf("found, absent, refused, unavailable: %v, want %v", got, want)
	}
	return s
}

func TestStateOfAnUpstreamThatWasNeverAsked(t *testing.T) {
	s := serve(t, sendsImage)
	if got, want := s.open().State(), (upstream.State{Namespace: "example.org", URL: s.URL}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// Each operation counts once, however many requests it takes.
func TestOperationsAreCounted(t *testing.T) {
	answer := http.HandlerFunc(sendsImage)
	s := serve(t, func(w http.ResponseWriter, r *http.Request) { answer(w, r) })
	r := s.open()
	latest, blob := tag(t, "latest"), oci.SHA256.Sum(nil)
	begin := time.Now()

	gives(t, r, "latest")
	_, _ = r.StatManifest(t.Context(), "org/app", latest)
	got := counted(t, r, 2, 0, 0, 0)
	if got.Asked.Before(begin) || got.Answered != got.Asked || got.Problem != "" {
		t.Errorf("after an answer: %+v", got)
	}
	answer = func(w http.ResponseWriter, r *http.Request) { // which says too little by HEAD
		if r.Method == http.MethodHead {
			w.WriteHeader(http.StatusNotImplemented)
			return
		}
		sendsImage(w, r)
	}
	_, _ = r.StatManifest(t.Context(), "org/app", latest)
	_, _ = r.StatBlob(t.Context(), "org/app", blob)
	counted(t, r, 4, 0, 0, 0)

	answer = fails(http.StatusNotFound)
	_, _ = r.StatBlob(t.Context(), "org/app", blob)
	_, _ = r.OpenBlob(t.Context(), "org/app", blob)
	_, _ = r.Tags(t.Context(), "org/app")
	counted(t, r, 4, 3, 0, 0)
	_, _ = r.Tags(t.Context(), "No registry can have this")
	counted(t, r, 4, 3, 0, 0)

	answer = fails(http.StatusForbidden)
	_, _ = r.Tags(t.Context(), "org/app")
	if got = counted(t, r, 4, 3, 1, 0); got.Answered != got.Asked || got.Problem != "" {
		t.Errorf("after a refusal: %+v", got)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	_, _ = r.Tags(cancelled, "org/app")
	counted(t, r, 4, 3, 1, 0)
}

func TestStateSaysWhatIsWrong(t *testing.T) {
	answer := http.HandlerFunc(sendsImage)
	s := serve(t, func(w http.ResponseWriter, r *http.Request) { answer(w, r) })
	r := s.open()
	gives(t, r, "latest")

	answer = fails(http.StatusTooManyRequests, "Retry-After", "60")
	_, err := r.GetManifest(t.Context(), "org/app", tag(t, "latest"))
	is(t, err, oci.Unavailable)
	got := counted(t, r, 1, 0, 0, 1)
	if want := "wants not to be asked before " + got.ClosedUntil.UTC().Format(time.RFC3339); got.Problem != want || got.ClosedUntil.Before(time.Now()) {
		t.Errorf("the problem is %q until %s, want %q", got.Problem, got.ClosedUntil, want)
	}
	if !got.Asked.After(got.Answered) || got.Answered.IsZero() {
		t.Errorf("after a problem: %+v", got)
	}
	_, _ = r.GetManifest(t.Context(), "org/app", tag(t, "latest"))
	counted(t, r, 1, 0, 0, 2)
}

// A blob that breaks off has been found, and shows a problem.
func TestStateOfAnUpstreamThatBreaksOff(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Range") != "" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		w.Header().Set("Content-Length", "100")
		_, _ = w.Write([]byte("half"))
	})
	r := s.open()
	b, err := r.OpenBlob(t.Context(), "org/app", oci.SHA256.Sum(nil))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = b.Content.Close() }()
	counted(t, r, 1, 0, 0, 0)
	for err == nil {
		_, err = b.Content.Read(make([]byte, 10))
	}
	is(t, err, oci.Unavailable)
	if got := counted(t, r, 1, 0, 0, 1); got.Problem != "breaks off in the middle of a blob" {
		t.Errorf("the problem is %q", got.Problem)
	}
}

func TestRateLimit(t *testing.T) {
	headers := []string{"RateLimit-Limit", "100;w=21600", "RateLimit-Remaining", "98;w=21600"}
	elsewhere := serve(t, fails(http.StatusNotFound, "RateLimit-Limit", "7;w=60", "RateLimit-Remaining", "7;w=60"))
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
			return
		}
		fails(http.StatusNotFound, headers...)(w, r)
	})
	r := s.open()
	_, _ = r.GetManifest(t.Context(), "org/app", tag(t, "latest"))
	if got := r.State(); got.Limited {
		t.Errorf("%+v, which another host has said", got)
	}
	_, _ = r.StatManifest(t.Context(), "org/app", tag(t, "latest"))
	got := r.State()
	if !got.Limited || got.Limit != 100 || got.Remaining != 98 || got.Window != 6*time.Hour || time.Since(got.LimitSeen) > time.Minute {
		t.Errorf("%+v, want the limit that was said", got)
	}
}

func TestStatesAreSorted(t *testing.T) {
	all, err := upstream.Open(upstream.Options{URLs: map[string]string{"c": "https://c", "a": "https://a", "b": "https://b"}, Timeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	order := ""
	for _, s := range all.States() {
		order += s.Namespace
	}
	if order != "abc" {
		t.Errorf("they come as %s", order)
	}
}
