package config

import (
	"errors"
	"fmt"
	"strings"
)

// Fault is what is wrong with one variable, in one line. It never has the
// value of a secret, of a name that is not known, or out of a file: these may
// be secrets, too.
type Fault struct {
	Variable string // with Prefix
	Problem  string // what it holds and what is allowed
}

// Error is the name and the problem.
func (f Fault) Error() string { return f.Variable + " " + f.Problem }

func faultf(name, format string, args ...any) error {
	// Names are the environment's, and may have anything in them.
	quoted := fmt.Sprintf("%q", Prefix+name)
	return Fault{quoted[1 : len(quoted)-1], fmt.Sprintf(format, args...)}
}

// veiled is the error of a parser that says what a value is like instead of
// the value, since that may have a secret in it.
type veiled string

func (v veiled) Error() string { return string(v) }

// longest is how many bytes of a value are shown.
const longest = 80

// fault says that v was refused.
func (s setting) fault(v value, err error) error {
	_, secret := s.value.Interface().(Secret)
	var like veiled
	holds := fmt.Sprintf("%q", v.text)
	switch {
	case errors.As(err, &like):
		holds = string(like)
	case secret || v.file != "":
		holds = fmt.Sprintf("%d bytes long", len(v.text))
	case len(v.text) > longest:
		holds = fmt.Sprintf("%q… (%d bytes)", strings.ToValidUTF8(v.text[:longest], ""), len(v.text))
	}
	if v.file != "" {
		holds += fmt.Sprintf(" (read from %q)", v.file)
	}
	return faultf(s.name, "is %s, allowed: %s", holds, s.kind.allowed)
}
