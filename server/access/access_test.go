package access_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"opendev.org/zuul/zuul-registry/server/access"
	"opendev.org/zuul/zuul-registry/server/local"
	"opendev.org/zuul/zuul-registry/server/oci"
	"opendev.org/zuul/zuul-registry/server/registrytest"
	"opendev.org/zuul/zuul-registry/server/storage/memory"
)

func guard() oci.Registry { return access.Guard(local.New(memory.New(), local.Options{})) }

// To a writer the guard is transparent.
func TestGuardLetsAWriterPass(t *testing.T) {
	registrytest.Suite{
		New:     func(*testing.T) oci.Registry { return guard() },
		Context: access.WithGrant(context.Background(), access.Writer.Grant("writer")),
	}.Run(t)
}

func TestIsPusher(t *testing.T) {
	for who, tt := range map[string]struct {
		grant access.Grant
		want  bool
	}{
		"a token to pull":          {token(access.Pull), false},
		"a token to pull and push": {token(access.Pull, access.Push), true},
		"a writer without a token": {access.Writer.Grant("w"), false},
	} {
		if got := access.IsPusher(access.WithGrant(context.Background(), tt.grant), name("org/app")); got != tt.want {
			t.Errorf("%s: %t, want %t", who, got, tt.want)
		}
	}
}

// call is one method of a registry.
type call struct {
	action string
	do     func(context.Context, oci.Registry) error
}

func name(s string) oci.Name {
	n, err := oci.ParseName(s)
	if err != nil {
		panic(err)
	}
	return n
}

func calls() map[string]call {
	app, d := name("org/app"), oci.SHA256.Sum(nil)
	ref := oci.Reference{Digest: d}
	return map[string]call{
		"StatBlob": {access.Pull, func(c context.Context, r oci.Registry) error { _, err := r.StatBlob(c, app, d); return err }},
		"OpenBlob": {access.Pull, func(c context.Context, r oci.Registry) error { _, err := r.OpenBlob(c, app, d); return err }},
		"MountBlob": {access.Push, func(c context.Context, r oci.Registry) error {
			_, err := r.MountBlob(c, app, oci.Name{}, d)
			return err
		}},
		"DeleteBlob":     {access.Delete, func(c context.Context, r oci.Registry) error { return r.DeleteBlob(c, app, d) }},
		"StartUpload":    {access.Push, func(c context.Context, r oci.Registry) error { _, err := r.StartUpload(c, app); return err }},
		"ResumeUpload":   {access.Push, func(c context.Context, r oci.Registry) error { _, err := r.ResumeUpload(c, app, "x"); return err }},
		"StatManifest":   {access.Pull, func(c context.Context, r oci.Registry) error { _, err := r.StatManifest(c, app, ref); return err }},
		"GetManifest":    {access.Pull, func(c context.Context, r oci.Registry) error { _, err := r.GetManifest(c, app, ref); return err }},
		"PutManifest":    {access.Push, func(c context.Context, r oci.Registry) error { return r.PutManifest(c, app, oci.Manifest{}) }},
		"DeleteManifest": {access.Delete, func(c context.Context, r oci.Registry) error { return r.DeleteManifest(c, app, ref) }},
		"Repositories":   {"catalog", func(c context.Context, r oci.Registry) error { return first(r.Repositories(c, "")) }},
		"Tags":           {access.Pull, func(c context.Context, r oci.Registry) error { return first(r.Tags(c, app, oci.Tag{})) }},
		"Referrers":      {access.Pull, func(c context.Context, r oci.Registry) error { return first(r.Referrers(c, app, d)) }},
	}
}

func first[V any](listing func(func(V, error) bool)) error {
	for _, err := range listing {
		return err
	}
	return nil
}

// refusal is why a call was refused, or nothing.
func refusal(err error) oci.Code {
	if fault, ok := oci.AsError(err); ok && (fault.Code == oci.Unauthorized || fault.Code == oci.Denied) {
		return fault.Code
	}
	return ""
}

func token(actions ...string) access.Grant {
	return access.Grant{User: "u", Authenticated: true, ByToken: true,
		Scopes: []access.Scope{{Type: access.TypeRepository, Name: "org/app", Actions: actions}}}
}

func TestGuardRefuses(t *testing.T) {
	elsewhere := token(access.Pull, access.Push, access.Delete)
	elsewhere.Scopes[0].Name = "org/other"
	refused := access.Writer.Grant("w")
	refused.Refused = "the token has expired"
	all := []string{access.Pull, access.Push, access.Delete, "catalog"}
	for who, tt := range map[string]struct {
		grant   access.Grant
		may     []string
		refusal oci.Code
	}{
		"no grant at all":             {access.Grant{}, nil, oci.Unauthorized},
		"nobody, reading allowed":     {access.Reader.Grant(""), []string{access.Pull, "catalog"}, oci.Unauthorized},
		"nobody, reading not allowed": {access.Nobody.Grant(""), nil, oci.Unauthorized},
		"a reader":                    {access.Reader.Grant("r"), []string{access.Pull, "catalog"}, oci.Denied},
		"a writer":                    {access.Writer.Grant("w"), all, ""},
		"a token to pull":             {token(access.Pull), []string{access.Pull}, oci.Unauthorized},
		"a token to push":             {token(access.Push), []string{access.Push}, oci.Unauthorized},
		"a token for something else":  {elsewhere, nil, oci.Unauthorized},
		"a bad token of a writer":     {refused, nil, oci.Unauthorized},
	} {
		for method, c := range calls() {
			ctx := access.WithGrant(context.Background(), tt.grant)
			got := refusal(c.do(ctx, guard()))
			want := tt.refusal
			for _, action := range tt.may {
				if action == c.action {
					want = ""
				}
			}
			if got != want {
				t.Errorf("%s calls %s: %q, want %q", who, method, got, want)
			}
		}
	}
}

func TestMountNeedsTheSource(t *testing.T) {
	ctx := access.WithGrant(context.Background(), token(access.Pull, access.Push))
	registry := guard()
	for source, want := range map[string]oci.Code{"org/app": oci.BlobUnknown, "org/secret": oci.Unauthorized} {
		_, err := registry.MountBlob(ctx, name("org/app"), name(source), oci.SHA256.Sum(nil))
		if fault, ok := oci.AsError(err); !ok || fault.Code != want {
			t.Errorf("MountBlob from %s: %v, want %s", source, err, want)
		}
	}
}

func TestNarrow(t *testing.T) {
	repository := func(actions ...string) []access.Scope {
		return []access.Scope{{Type: access.TypeRepository, Name: "org/app", Actions: actions}}
	}
	for what, tt := range map[string]struct {
		grant access.Grant
		asked []access.Scope
		want  string
	}{
		"a writer has what was asked for":  {access.Writer.Grant("w"), repository("pull", "push"), "[{repository org/app [pull push]}]"},
		"anything is everything":           {access.Writer.Grant("w"), repository("*"), "[{repository org/app [pull push delete]}]"},
		"a reader has no more than to":     {access.Reader.Grant("r"), repository("pull", "push"), "[{repository org/app [pull]}]"},
		"anything is but reading for them": {access.Reader.Grant(""), repository("*"), "[{repository org/app [pull]}]"},
		"nobody has nothing":               {access.Nobody.Grant(""), repository("pull"), "[]"},
		"unknown actions are not granted":  {access.Writer.Grant("w"), repository("pull", "burn"), "[{repository org/app [pull]}]"},
		"the catalog": {access.Reader.Grant(""), []access.Scope{{Type: "registry", Name: "catalog", Actions: []string{"*"}}},
			"[{registry catalog [*]}]"},
		"unknown types are not granted": {access.Writer.Grant("w"), []access.Scope{{Type: "x", Name: "y", Actions: []string{"*"}}}, "[]"},
	} {
		if got := fmt.Sprint(tt.grant.Narrow(tt.asked)); got != tt.want {
			t.Errorf("%s: %s, want %s", what, got, tt.want)
		}
	}
}

func hash(t *testing.T, password string) string {
	t.Helper()
	h, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return string(h)
}

func TestUsers(t *testing.T) {
	writers, readers := filepath.Join(t.TempDir(), "writers"), filepath.Join(t.TempDir(), "readers")
	write(t, writers, "# people\n\nann:"+hash(t, "a:b")+"\n")
	write(t, readers, "bob:"+hash(t, "bob's")+"\nann:"+hash(t, "reads")+"\n")
	quiet := slog.New(slog.DiscardHandler)
	users := access.NewUsers("zuul", "pässwörd: $'\"",
		open(t, writers, access.Writer, quiet), open(t, readers, access.Reader, quiet))
	for range 2 { // the second time from memory
		for _, tt := range []struct {
			user, password string
			want           access.Role
		}{
			{"zuul", "pässwörd: $'\"", access.Writer},
			{"zuul", "wrong", access.Nobody},
			{"zuul", "", access.Nobody},
			{"", "", access.Nobody},
			{"ann", "a:b", access.Writer},
			{"ann", "reads", access.Reader},
			{"ann", "a", access.Nobody},
			{"bob", "bob's", access.Reader},
			{"bob", "", access.Nobody},
			{"eve", "bob's", access.Nobody},
		} {
			if got := users.Role(context.Background(), tt.user, tt.password); got != tt.want {
				t.Errorf("%s with %q: %v, want %v", tt.user, tt.password, got, tt.want)
			}
		}
	}
	write(t, readers, "bob:"+hash(t, "a new one, longer")+"\n")
	if users.Role(context.Background(), "bob", "bob's") != access.Nobody || users.Role(context.Background(), "bob", "a new one, longer") != access.Reader {
		t.Error("a changed file is not read again")
	}
}

func TestDamagedHtpasswd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users")
	for _, line := range []string{"bob", "bob:", "bob:plain", ":" + hash(t, "x"), "bob:{SHA}xyz"} {
		write(t, path, "# one\n"+line+"\n")
		_, err := access.OpenHtpasswd(path, access.Reader, slog.New(slog.DiscardHandler))
		if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "line 2") {
			t.Errorf("%q: %v, want an error that names the file and the line", line, err)
		}
	}
	write(t, path, "bob:"+hash(t, "bob's")+"\n")
	var log bytes.Buffer
	users := access.NewUsers("", "", open(t, path, access.Reader, slog.New(slog.NewTextHandler(&log, nil))))
	write(t, path, "half a li")
	if users.Role(context.Background(), "bob", "bob's") != access.Reader || !strings.Contains(log.String(), "cannot be read") {
		t.Errorf("a file that was damaged later: bob is %v, and the log says %q", users.Role(context.Background(), "bob", "bob's"), &log)
	}
}

func open(t testing.TB, path string, role access.Role, log *slog.Logger) *access.Htpasswd {
	t.Helper()
	file, err := access.OpenHtpasswd(path, role, log)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func BenchmarkRememberedPassword(b *testing.B) {
	path := filepath.Join(b.TempDir(), "users")
	h, err := bcrypt.GenerateFromPassword([]byte("bob's"), bcrypt.DefaultCost)
	if err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("bob:"+string(h)), 0o600); err != nil {
		b.Fatal(err)
	}
	users := access.NewUsers("", "", open(b, path, access.Reader, slog.New(slog.DiscardHandler)))
	for b.Loop() {
		users.Role(context.Background(), "bob", "bob's")
	}
}
