package page

import (
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"testing"

	"opendev.org/zuul/zuul-registry/server/report"
)

// site serves the page of a report as the registry does.
type site struct {
	*httptest.Server
	mu     sync.Mutex
	report report.Report
	broken bool
	asked  []string // what was asked for, in order
}

func serve(t *testing.T, r report.Report) *site {
	t.Helper()
	s := &site{report: r}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, r.URL.String())
	live := r.URL.Path == "/"
	if s.broken || !live && r.URL.Path != "/saved" {
		http.Error(w, "not now", http.StatusServiceUnavailable)
		return
	}
	shown := s.report
	shown.Filter.Namespace = r.URL.Query().Get("namespace")
	page, err := shown.Page(live)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if live { // a saved page is served by those who know nothing of it
		w.Header().Set("Content-Security-Policy", report.PagePolicy())
	}
	_, _ = w.Write(page)
}

// change is what happens at the registry while somebody looks at the page.
func (s *site) change(how func(*report.Report)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	how(&s.report)
}

func (s *site) fail(broken bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken = broken
}

// requests are what was asked for since the last call.
func (s *site) requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked := s.asked
	s.asked = nil
	return asked
}

// fixture is a report with one of everything.
func fixture(t *testing.T) report.Report {
	t.Helper()
	text, err := os.ReadFile("../../server/report/testdata/page.json")
	must(t, err)
	r, err := report.Parse(text)
	must(t, err)
	return r
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
