package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"opendev.org/zuul/zuul-registry/server/config"
	"opendev.org/zuul/zuul-registry/server/peer"
	"opendev.org/zuul/zuul-registry/server/report"
	"opendev.org/zuul/zuul-registry/server/transfer"
)

// reportSource is where a report comes from: a file, or a registry.
type reportSource struct {
	file string
	url  *url.URL
	side transfer.Side
	here *http.Client // to the registry running here, which has no URL
	at   string       // its address
}

// reportSource is what the arguments name, or the registry running here.
func (p *program) reportSource(c config.Config, args []string) (reportSource, error) {
	if len(args) == 0 {
		client, base := here(c)
		u, err := url.Parse(base + report.Path)
		return reportSource{url: u, here: client, at: c.Address}, err
	}
	if !strings.Contains(args[0], "://") {
		return reportSource{file: args[0]}, nil
	}
	u, err := url.Parse(args[0])
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "http" && u.Scheme != "https" {
		return reportSource{}, usageError{errors.New("the argument is neither the path of a saved report nor http:// or https:// and a host, without user and password, which belong into a file of credentials")}
	}
	switch u.Path {
	case "", "/":
		u.Path = report.Path
	case report.Path:
	default:
		return reportSource{}, usageError{fmt.Errorf("the URL has the path %q: a report is at %s", u.Path, report.Path)}
	}
	side, err := p.side("REPORT", c.ReportAuthFile, c.ReportCAFile)
	return reportSource{url: u, side: side}, err
}

// String names it for who gave the arguments.
func (s reportSource) String() string {
	switch {
	case s.file != "":
		return s.file
	case s.here != nil:
		return "the registry at " + s.at + " (ZUUL_REGISTRY_ADDRESS)"
	}
	return s.url.String()
}

// read reads the report as it is served, or was saved.
func (s reportSource) read(ctx context.Context) ([]byte, error) {
	if s.file != "" {
		text, err := os.ReadFile(s.file)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("there is no file %s: a registry is named by its URL, such as https://localhost:9000", s.file)
		}
		return text, err
	}
	ctx, stop := context.WithTimeout(ctx, reportPatience)
	defer stop()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url.String(), nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("User-Agent", "zuul-registry/"+version)
	client, err := s.client(ctx, request)
	if err != nil {
		return nil, err
	}
	return s.fetch(client, request)
}

// reportPatience is how long a registry may take to make and send a report.
const reportPatience = time.Minute

// client is the way there, and logs the request in. It is not certain who answers here: no
// password is sent there.
func (s reportSource) client(ctx context.Context, request *http.Request) (*http.Client, error) {
	if s.here != nil {
		return s.here, nil
	}
	transport, login, err := s.side.Reach(ctx, s.url.Host, reportPatience)
	if login.Username != "" || login.Password != "" {
		request.SetBasicAuth(login.Username, login.Password)
	}
	return &http.Client{Transport: transport, CheckRedirect: peer.CheckRedirect}, err
}

// maxReport is more bytes than a report has.
const maxReport = 256 << 20

func (s reportSource) fetch(client *http.Client, request *http.Request) ([]byte, error) {
	answer, err := client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("%s does not answer: %w%s", s, errors.Unwrap(err), hintOf(err))
	}
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxReport))
	if err = errors.Join(err, answer.Body.Close()); err != nil {
		return nil, fmt.Errorf("%s: %w", s, err)
	}
	user, _, loggedIn := request.BasicAuth()
	switch {
	case answer.StatusCode == http.StatusOK:
		return text, nil
	case answer.StatusCode == http.StatusUnauthorized && loggedIn:
		return nil, fmt.Errorf("%s refuses the user %q: the password in the file of credentials is wrong, or the user may not read", s, user)
	case answer.StatusCode == http.StatusUnauthorized:
		return nil, fmt.Errorf("%s wants a user: name the registry by its URL, and put user and password into the file of ZUUL_REGISTRY_REPORT_AUTH_FILE", s)
	}
	return nil, fmt.Errorf("%s answers %s: %s", s, answer.Status, saidIn(text))
}

// hintOf is what to do about an error.
func hintOf(err error) string {
	var untrusted *tls.CertificateVerificationError
	if errors.As(err, &untrusted) {
		return ": name a file with its certificate, or that of who signed it, in ZUUL_REGISTRY_REPORT_CA_FILE"
	}
	return ""
}

// saidIn is what an answer with an error says.
func saidIn(text []byte) string {
	const most = 200
	var said struct{ Errors []struct{ Message string } }
	if json.Unmarshal(text, &said) != nil || len(said.Errors) == 0 {
		line, _, _ := strings.Cut(strings.TrimSpace(string(text[:min(len(text), most)])), "\n")
		return report.Plain(cmp.Or(line, "and nothing more"))
	}
	return report.Plain(said.Errors[0].Message)
}
