package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"opendev.org/zuul/zuul-registry/server/config"
	"opendev.org/zuul/zuul-registry/server/peer"
	"opendev.org/zuul/zuul-registry/server/transfer"
)

// copy copies images from registry to registry. Each that is done is a line on
// standard output, and each that failed one on standard error.
func (p *program) copy(ctx context.Context, args []string) error {
	jobs, err := parseJobs(args)
	if err != nil {
		return usageError{err}
	}
	c, log, err := p.load()
	if err != nil {
		return err
	}
	from, err := p.side("COPY_SOURCE", c.CopySourceAuthFile, c.CopySourceCAFile)
	if err != nil {
		return err
	}
	to, err := p.side("COPY_DESTINATION", c.CopyDestinationAuthFile, c.CopyDestinationCAFile)
	if err != nil {
		return err
	}
	failed, progress := 0, p.progress("MB copied")
	transfer.Copy(ctx, jobs, transfer.Options{
		Source: from, Destination: to, Timeout: c.CopyTimeout, UserAgent: transfer.Agent + version, Log: log,
		Done: func(job transfer.Job, report transfer.Report, err error) {
			progress.clear()
			switch {
			case err == nil:
				there := ""
				if report.There {
					there = "already there, "
				}
				_, err = fmt.Fprintf(p.stdout, "%s: %s, %s%d of %d blobs sent, %.1f MB in %.1f s\n",
					job, report.Digest, there, report.Sent, report.Blobs, float64(report.Bytes)/1e6, report.Took.Seconds())
			case ctx.Err() == nil:
				_, _ = fmt.Fprintf(p.stderr, "zuul-registry: %s: %v\n", job, err)
			}
			if err != nil {
				failed++
			}
		},
		// Never all of them: more images may come, and a bar that was full is gone.
		Progress: func(done, total int64) { progress.show(int(done/1e6), int(total/1e6)+1) },
	})
	progress.end()
	switch {
	case failed == 0:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("interrupted: %d of %d images are not copied", failed, len(jobs))
	}
	return fmt.Errorf("%d of %d images could not be copied", failed, len(jobs))
}

// parseJobs reads pairs of a source and a destination.
func parseJobs(args []string) ([]transfer.Job, error) {
	if len(args) == 0 || len(args)%2 != 0 {
		return nil, fmt.Errorf("copy takes pairs of arguments, SRC DST [SRC DST]..., and not %d", len(args))
	}
	var jobs []transfer.Job
	taken := map[transfer.Reference]bool{}
	for i := 0; i < len(args); i += 2 {
		from, err := transfer.ParseReference(args[i])
		if err != nil {
			return nil, fmt.Errorf("argument %d, a source: %w", i+1, err)
		}
		to, err := transfer.ParseReference(args[i+1])
		switch {
		case err != nil:
		case to.IsDigest():
			err = fmt.Errorf("%s has a digest, which nothing can be copied to: write a tag", to)
		case taken[to]:
			err = fmt.Errorf("%s is the destination of two images", to)
		}
		if err != nil {
			return nil, fmt.Errorf("argument %d, a destination: %w", i+2, err)
		}
		taken[to] = true
		jobs = append(jobs, transfer.Job{From: from, To: to})
	}
	return jobs, nil
}

// side is how registries are spoken to on one side, which the names of its variables begin
// with.
func (p *program) side(name, authFile, caFile string) (transfer.Side, error) {
	s := transfer.Side{
		CertificateDirectories: p.certificateDirectories(),
		AuthVariable:           config.Prefix + name + "_AUTH_FILE", AuthoritiesVariable: config.Prefix + name + "_CA_FILE",
	}
	if caFile != "" {
		if _, err := peer.OpenAuthorities(caFile); err != nil {
			return s, wrong(name+"_CA_FILE", caFile, err)
		}
		s.AuthorityFiles = []string{caFile}
	}
	files, variable := p.authFiles()
	if authFile != "" {
		files, variable = []string{authFile}, s.AuthVariable
	}
	s.AuthFiles = files
	for _, path := range files {
		file, err := peer.OpenCredentials(path)
		switch {
		case err == nil:
			s.Credentials = append(s.Credentials, file)
		case variable != "":
			return s, usageError{config.Fault{Variable: variable, Problem: fmt.Sprintf("is %q: %v", path, err)}}
		case !errors.Is(err, os.ErrNotExist):
			return s, usageError{fmt.Errorf("credentials: %w", err)}
		}
	}
	return s, nil
}

// authFiles are where credentials are looked for that no variable of ours names: in
// the file of the variable that is returned, or in those that are there of several
// (containers-auth.json, and Docker's "config file").
func (p *program) authFiles() (files []string, variable string) {
	const containers, docker = "containers/auth.json", "config.json"
	if file := p.getenv("REGISTRY_AUTH_FILE"); file != "" {
		return []string{file}, "REGISTRY_AUTH_FILE"
	}
	home := p.getenv("HOME")
	for _, file := range []string{
		cmp.Or(below(p.getenv("XDG_RUNTIME_DIR"), containers), fmt.Sprintf("/run/containers/%d/auth.json", os.Getuid())),
		cmp.Or(below(p.getenv("XDG_CONFIG_HOME"), containers), below(home, ".config/"+containers)),
		cmp.Or(below(p.getenv("DOCKER_CONFIG"), docker), below(home, ".docker/"+docker)),
	} {
		if file != "" {
			files = append(files, file)
		}
	}
	return files, ""
}

// certificateDirectories are where Podman and Docker look for authorities
// (containers-certs.d).
func (p *program) certificateDirectories() []string {
	all := []string{"/etc/containers/certs.d", "/etc/docker/certs.d"}
	if own := below(p.getenv("HOME"), ".config/containers/certs.d"); own != "" {
		all = append(all, own)
	}
	return all
}

// below is a path in a directory; empty if there is none.
func below(directory, path string) string {
	if directory == "" {
		return ""
	}
	return filepath.Join(directory, path)
}

// getenv is a variable of others'.
func (p *program) getenv(name string) string {
	for _, entry := range p.environ {
		if value, ok := strings.CutPrefix(entry, name+"="); ok {
			return value
		}
	}
	return ""
}
