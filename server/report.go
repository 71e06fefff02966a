package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"opendev.org/zuul/zuul-registry/server/config"
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
	from, err := p.reportSource(c, args)
	if err != nil {
		return err
	}
	text, err := from.read(ctx)
	if err != nil {
		return err
	}
	r, err := report.Parse(text)
	if err != nil {
		return fmt.Errorf("%s: %w", from, err)
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
	if len(required) > 0 && r.Lost {
		return errors.New("it is not known what was pulled: a part of the journal is lost, and the registry's log says why")
	}
	met := true
	for _, q := range required {
		reasons := r.Unmet(q)
		for _, reason := range reasons {
			met = false
			_, _ = fmt.Fprintln(p.stderr, "zuul-registry:", reason)
		}
		verdict := "speculative, as required"
		if reasons != nil {
			verdict = "not speculative, which is required"
		}
		_, _ = fmt.Fprintf(p.stdout, "%s: %s\n", q, verdict)
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
