package testbed

import (
	"bytes"
	"fmt"
	"os/exec"
	"strings"
)

// Run runs a command to its end, and returns what it wrote to its standard
// output, without the last newline. The error of one that failed is what a
// person would have seen: the command and all that it wrote.
func Run(command *exec.Cmd) (string, error) {
	var out, complaints bytes.Buffer
	command.Stdout, command.Stderr = &out, &complaints
	if err := command.Run(); err != nil {
		return "", fmt.Errorf("%s: %w\n%s%s", strings.Join(command.Args, " "), err, &out, &complaints)
	}
	return strings.TrimSuffix(out.String(), "\n"), nil
}
