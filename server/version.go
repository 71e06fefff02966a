package main

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
)

// version is that of the next release, or of the release that this is.
const version = "0.1.0"

func (p *program) version(context.Context) error {
	revision := ""
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				revision = ", revision " + s.Value
			}
		}
	}
	_, err := fmt.Fprintf(p.stdout, "zuul-registry %s (%s %s/%s%s)\n", version, runtime.Version(), runtime.GOOS, runtime.GOARCH, revision)
	return err
}
