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
	shown := fmt.Sprintf("%q", Prefix+name)
	return Fault{shown[1 : len(shown)-1], fmt.Sprintf(format, args...)}
}

// veiled is the error of a parser that says what a value is like instead of
// the value, since that may have a secret in it.
type veiled string

func (v veiled) Error() string { return string(v) }

// badEntry is the error of a parser of a list: the entry that is not allowed.
type badEntry string

func (b badEntry) Error() string { return string(b) }

// fault says that v was refused.
func (s setting) fault(v value, err error) error {
	_, secret := s.value.Interface().(Secret)
	var like veiled
	var entry badEntry
	holds := quoted(v.text)
	switch {
	case errors.As(err, &like):
		holds = string(like)
	case secret || v.file != "":
		holds = fmt.Sprintf("%d bytes long", len(v.text))
	case errors.As(err, &entry):
		holds = "a list with " + quoted(string(entry))
	}
	if v.file != "" {
		holds += fmt.Sprintf(" (read from %q)", v.file)
	}
	return faultf(s.name, "is %s, allowed: %s", holds, s.kind.allowed)
}

// longest is how many bytes of a value are shown.
const longest = 80

func quoted(text string) string {
	if len(text) <= longest {
		return fmt.Sprintf("%q", text)
	}
	return fmt.Sprintf("%q… (%d bytes)", strings.ToValidUTF8(text[:longest], ""), len(text))
}
