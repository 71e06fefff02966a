package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"oras.land/oras-go/v2/registry/remote/auth"

	"opendev.org/zuul/zuul-registry/server/config"
	"opendev.org/zuul/zuul-registry/server/peer"
	"opendev.org/zuul/zuul-registry/server/report"
)

// report prints the report of a registry, or one that was saved, writes it to files, and
// fails where what is required was not pulled from speculative state.
func (p *program) report(ctx context.Context, args []string) error {
	if len(args) > 1 {
		return usageError{fmt.Errorf("report takes one argument at most, the URL of a registry or the path of a saved report, and not %d", len(args))}
	}
	c, err := config.Load(p.environ)
	if err != nil {
		return usageError{err}
	}
	required, err := requirements(c.ReportRequire)
	if err != nil {
		return err
	}
	text, err := p.reportText(ctx, c, args)
	if err != nil {
		return err
	}
	r, err := report.Parse(text)
	if err != nil {
		return err
	}
	page, err := r.Page(false)
	if err == nil {
		err = errors.Join(save("REPORT_JSON", c.ReportJSON, text), save("REPORT_PAGE", c.ReportPage, page))
	}
	if err != nil {
		return err
	}
	if err := r.Table(p.stdout); err != nil {
		return err
	}
	return p.demand(r.Of(c.ReportClients), required)
}

func requirements(images []string) ([]report.Requirement, error) {
	var all []report.Requirement
	for _, image := range images {
		q, err := report.ParseRequirement(strings.TrimSpace(image))
		if err != nil {
			return nil, wrong("REPORT_REQUIRE_SPECULATIVE", strings.Join(images, ","), err)
		}
		all = append(all, q)
	}
	return all, nil
}

// demand says what is required and is not so.
func (p *program) demand(r report.Report, required []report.Requirement) error {
	if len(required) > 0 && (r.Filter.Origin != "" || r.Filter.Namespace != "") {
		return errors.New("the report is of a part of the pulls, which says nothing about ZUUL_REGISTRY_REPORT_REQUIRE_SPECULATIVE: make it without origin and namespace")
	}
	if len(required) > 0 && !r.Reaches() {
		return fmt.Errorf("the journal begins at %s, and what was before is not known: ask for the pulls since a later time, as by …/report?since=2h", r.Begin.UTC().Format(time.RFC3339))
	}
	if len(required) > 0 && len(r.Faults) > 0 {
		return fmt.Errorf("it is not known what was pulled: %s", strings.Join(r.Faults, "; "))
	}
	met := true
	for _, q := range required {
		for _, reason := range r.Unmet(q) {
			met = false
			_, _ = fmt.Fprintln(p.stderr, "zuul-registry:", reason)
		}
	}
	if !met {
		return errFaults
	}
	return nil
}

// save writes a file whole or not at all, if there is a path.
func save(variable, path string, text []byte) error {
	if path == "" {
		return nil
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".report")
	if err != nil {
		return wrong(variable, path, err)
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Chmod(0o644), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(wrong(variable, path, err), os.Remove(f.Name()))
	}
	return nil
}

// reportText is a report as it is served, or was saved.
func (p *program) reportText(ctx context.Context, c config.Config, args []string) ([]byte, error) {
	if len(args) == 0 {
		return p.reportHere(ctx, c)
	}
	if !strings.Contains(args[0], "://") {
		return os.ReadFile(args[0])
	}
	u, err := url.Parse(args[0])
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "http" && u.Scheme != "https" {
		return nil, usageError{errors.New("the argument is neither the path of a saved report nor http:// or https:// and a host, without user and password, which belong into a file of credentials")}
	}
	switch u.Path {
	case "", "/":
		u.Path = report.Path
	case report.Path:
	default:
		return nil, usageError{fmt.Errorf("the URL has the path %q: a report is at %s", u.Path, report.Path)}
	}
	side, err := p.side("REPORT", c.ReportAuthFile, c.ReportCAFile)
	if err != nil {
		return nil, err
	}
	transport, login, err := side.Reach(ctx, u.Host, reportPatience)
	if err != nil {
		return nil, err
	}
	client := &http.Client{Transport: transport, CheckRedirect: peer.CheckRedirect, Timeout: reportPatience}
	return fetchReport(ctx, client, u.String(), login)
}

// reportPatience is how long a registry may take to make a report.
const reportPatience = time.Minute

// reportHere is the report of the registry running here, which everybody may read: it is
// not certain who answers, and no password is sent.
func (p *program) reportHere(ctx context.Context, c config.Config) ([]byte, error) {
	client, url := here(c)
	client.Timeout = reportPatience
	return fetchReport(ctx, client, url+report.Path, auth.EmptyCredential)
}

// maxReport is more bytes than a report has.
const maxReport = 256 << 20

func fetchReport(ctx context.Context, client *http.Client, url string, login auth.Credential) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("User-Agent", "zuul-registry/"+version)
	if login != auth.EmptyCredential {
		request.SetBasicAuth(login.Username, login.Password)
	}
	answer, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxReport))
	if err = errors.Join(err, answer.Body.Close()); err != nil {
		return nil, fmt.Errorf("%s: %w", url, err)
	}
	switch answer.StatusCode {
	case http.StatusOK:
		return text, nil
	case http.StatusUnauthorized:
		return nil, fmt.Errorf("%s: reading needs a user: name the registry by its URL, and put user and password into the file of ZUUL_REGISTRY_REPORT_AUTH_FILE", url)
	}
	return nil, fmt.Errorf("%s answers %s%s", url, answer.Status, saidIn(text))
}

// saidIn is what an answer with an error says, after a colon.
func saidIn(text []byte) string {
	var said struct{ Errors []struct{ Message string } }
	if json.Unmarshal(text, &said) != nil || len(said.Errors) == 0 {
		return ""
	}
	return ": " + report.Plain(said.Errors[0].Message)
}
