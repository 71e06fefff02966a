package pretend

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
)

// segment is one of a static large object, as it is put and as it is listed.
type segment struct {
	Path    string `json:"path,omitempty"`
	Size    int64  `json:"size_bytes,omitempty"`
	Name    string `json:"name,omitempty"`
	Bytes   int64  `json:"bytes,omitempty"`
	IsLarge bool   `json:"sub_slo,omitempty"`
}

// ask has the library answer. It breaks at large objects that lack a segment, and so
// we read them ourselves.
func (s *Swift) ask(r *http.Request) *httptest.ResponseRecorder {
	reads := r.Method == http.MethodGet || r.Method == http.MethodHead
	if !reads || !strings.HasPrefix(r.URL.Path, "/v1/") {
		return s.raw(r)
	}
	asked := r.Clone(r.Context())
	q := asked.URL.Query()
	q.Set("multipart-manifest", "get")
	asked.URL.RawQuery = q.Encode()
	answer := s.raw(asked)
	if answer.Code == http.StatusOK {
		s.amend(answer, r)
	}
	return answer
}

func (s *Swift) raw(r *http.Request) *httptest.ResponseRecorder {
	answer := httptest.NewRecorder()
	s.forward.ServeHTTP(answer, r)
	return answer
}

// amend makes of the library's answers those of a Swift: pages are as long as they
// should be, and large objects may be made of large ones.
func (s *Swift) amend(answer *httptest.ResponseRecorder, r *http.Request) {
	q := r.URL.Query()
	isLarge := answer.Header().Get("X-Static-Large-Object") == "True"
	switch limit, err := strconv.Atoi(q.Get("limit")); {
	case err == nil:
		var all []json.RawMessage
		s.unmarshal(answer.Body.Bytes(), &all)
		s.replace(answer, all[:min(limit, len(all))])
	case isLarge && q.Get("multipart-manifest") == "get":
		all := s.segments(r)
		for i := range all {
			all[i].IsLarge = s.segment(r, http.MethodHead, all[i].Name).Header().Get("X-Static-Large-Object") == "True"
		}
		s.replace(answer, all)
	case isLarge:
		s.assemble(answer, r)
	}
}

// segments are those of a large object.
func (s *Swift) segments(r *http.Request) (all []segment) {
	listed := r.Clone(r.Context())
	listed.Method, listed.URL.RawQuery = http.MethodGet, "multipart-manifest=get"
	s.unmarshal(s.raw(listed).Body.Bytes(), &all)
	return all
}

// assemble reads a large object. To a HEAD, Swift says nothing of segments that lack.
func (s *Swift) assemble(answer *httptest.ResponseRecorder, r *http.Request) {
	sums, size := md5.New(), int64(0)
	answer.Body.Reset()
	for _, g := range s.segments(r) {
		found := s.segment(r, http.MethodGet, g.Name)
		if found.Code != http.StatusOK && r.Method == http.MethodGet {
			answer.Code = http.StatusConflict
		}
		size += g.Bytes
		_, _ = io.WriteString(sums, strings.Trim(found.Header().Get("Etag"), `"`))
		_, _ = answer.Body.Write(found.Body.Bytes())
	}
	answer.Header().Set("Etag", `"`+hex.EncodeToString(sums.Sum(nil))+`"`)
	answer.Header().Set("Content-Length", fmt.Sprint(size))
}

// refuse does so with a large object of which a segment is not as it is said to be.
func (s *Swift) refuse(w http.ResponseWriter, r *http.Request) bool {
	text, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler) // who sent it has gone
	}
	r.Body = io.NopCloser(bytes.NewReader(text))
	var all []segment
	s.unmarshal(text, &all)
	for i := range all {
		all[i].Name, all[i].Bytes = "/"+all[i].Path, all[i].Size
	}
	return s.refuseSegments(w, r, all)
}

// refuseCopy does so with the copy of one.
func (s *Swift) refuseCopy(w http.ResponseWriter, r *http.Request) bool {
	if s.object(r, http.MethodHead, r.URL.Path).Header().Get("X-Static-Large-Object") != "True" {
		return false
	}
	if r.URL.Query().Get("multipart-manifest") != "get" {
		s.t.Errorf("%s of %s: what a large object holds is not copied here", r.Method, r.URL)
	}
	return s.refuseSegments(w, r, s.segments(r))
}

func (s *Swift) refuseSegments(w http.ResponseWriter, r *http.Request, all []segment) bool {
	faults := [][2]string{}
	for _, g := range all {
		switch found := s.segment(r, http.MethodHead, g.Name); {
		case found.Code != http.StatusOK:
			faults = append(faults, [2]string{g.Name, fmt.Sprint(found.Code, " ", http.StatusText(found.Code))})
		case found.Header().Get("Content-Length") != fmt.Sprint(g.Bytes):
			faults = append(faults, [2]string{g.Name, "Size Mismatch"})
		}
	}
	if len(faults) == 0 {
		return false
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusBadRequest)
	_ = json.NewEncoder(w).Encode(map[string]any{"Errors": faults})
	return true
}

// segment asks for one, by its container and name, as he does who asks for r.
func (s *Swift) segment(r *http.Request, method, name string) *httptest.ResponseRecorder {
	return s.object(r, method, strings.TrimSuffix(account, "/")+name)
}

// object asks for one, by its path.
func (s *Swift) object(r *http.Request, method, path string) *httptest.ResponseRecorder {
	asked := httptest.NewRequestWithContext(r.Context(), method, (&url.URL{Path: path}).String(), nil)
	asked.Header.Set("X-Auth-Token", r.Header.Get("X-Auth-Token"))
	return s.ask(asked)
}

func (s *Swift) replace(answer *httptest.ResponseRecorder, v any) {
	answer.Body.Reset()
	if err := json.NewEncoder(answer.Body).Encode(v); err != nil {
		s.t.Error(err)
	}
}

func (s *Swift) unmarshal(text []byte, v any) {
	if err := json.Unmarshal(text, v); err != nil {
		s.t.Errorf("%s: %v", text, err)
	}
}
