package config

import (
	"fmt"
	"io"
	"log/slog"
)

// Secret is a text that printing, logging and encoding show as "***", or as
// nothing if it is empty; string(s) reveals it. So do two ways that ask no
// method: fmt, of unexported fields, and encoding/json, of keys of a map.
type Secret string

// String is "***", or empty if s is.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "***"
}

// Format writes String for all verbs and flags: without it, those that are not
// for strings would show the text as part of fmt's complaint.
func (s Secret) Format(state fmt.State, _ rune) { _, _ = io.WriteString(state, s.String()) }

// MarshalText gives String, to encoding/json, too.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// LogValue is String.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }
