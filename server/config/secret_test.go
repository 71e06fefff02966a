package config

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"text/template"
)

const hunter = Secret("hunter2-hunter2-hunter2-hunter2-")

// ways are all those that a secret may be printed in, alone and in a Config.
func ways(t *testing.T, s Secret) map[string]string {
	c := Config{Password: s, Secret: s}
	shown := map[string]string{"String": s.String()}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%f", "%c", "%U", "%10.3s"} {
		for of, value := range map[string]any{"secret": s, "pointer": &s, "config": c, "pointer to config": &c, "list": []any{s}} {
			shown[verb+" of "+of] = fmt.Sprintf(verb, value)
		}
	}
	shown["error"] = fmt.Errorf("bad %v", c).Error()
	for of, value := range map[string]any{"secret": s, "config": c, "map": map[string]Secret{"s": s}} {
		encoded, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		shown["JSON of "+of] = string(encoded)
	}
	encoded, err := xml.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	shown["XML"] = string(encoded)
	var log bytes.Buffer
	for _, handler := range []slog.Handler{slog.NewTextHandler(&log, nil), slog.NewJSONHandler(&log, nil)} {
		slog.New(handler).With("with", s).Info("a", "secret", s, "config", c, "pointer", &c, slog.Group("g", "s", s))
	}
	shown["slog"] = log.String()
	var page bytes.Buffer
	if err := template.Must(template.New("").Parse("{{.}} {{.Password}}")).Execute(&page, c); err != nil {
		t.Fatal(err)
	}
	shown["template"] = page.String()
	for _, v := range c.Describe() {
		shown["Describe of "+v.Name] = fmt.Sprintf("%+v", v)
	}
	return shown
}

func TestSecretIsNeverShown(t *testing.T) {
	for way, text := range ways(t, hunter) {
		hexadecimal := fmt.Sprintf("%x", "hunter2")
		for _, leak := range []string{"hunter2", hexadecimal, strings.ToUpper(hexadecimal), "hun"} {
			if strings.Contains(text, leak) {
				t.Errorf("%s: %s", way, text)
			}
		}
	}
	for way, text := range map[string]string{
		"String":    hunter.String(),
		"%v":        fmt.Sprintf("%v", hunter),
		"%#v":       fmt.Sprintf("%#v", hunter),
		"slog":      hunter.LogValue().String(),
		"of Config": fmt.Sprint([]any{Config{Password: hunter}.Password}),
	} {
		if strings.Trim(text, "[]") != "***" {
			t.Errorf("%s of a secret: %q, want ***", way, text)
		}
	}
	if got := fmt.Sprint(Secret("")); got != "" {
		t.Errorf("a secret that is not set: %q, want nothing", got)
	}
}

func TestErrorsHoldNoSecret(t *testing.T) {
	const short = "hunter2"
	for _, environ := range [][]string{
		{"ZUUL_REGISTRY_SECRET=" + short},
		{"ZUUL_REGISTRY_SECRET_FILE=" + write(t, short)},
		{"ZUUL_REGISTRY_PASSWORD=" + short, "ZUUL_REGISTRY_PASSWORD_FILE=" + write(t, short)},
		{"ZUUL_REGISTRY_PASSWORD=" + short, "ZUUL_REGISTRY_TLS=maybe"},
		{"ZUUL_REGISTRY_PASWORD=" + short},
		{"ZUUL_REGISTRY_PORT=" + short},
		{"ZUUL_REGISTRY_USERNAME=zuul:" + short},
		{"ZUUL_REGISTRY_USERNAME_FILE=" + write(t, short+"\n\n")},
		{"ZUUL_REGISTRY_PUBLIC_URL=https://zuul:" + short + "@localhost"},
		{"ZUUL_REGISTRY_UPSTREAMS=docker.io=https://zuul:a," + short + "@localhost"},
		{"ZUUL_REGISTRY_UPSTREAMS_FILE=" + write(t, "quay.io="+short)},
		{"ZUUL_REGISTRY_UPSTREAM_AUTH_FILE_FILE=" + write(t, `{"auths":{"quay.io":{"auth":"`+short+`"}}}`)},
		{"ZUUL_REGISTRY_TLS_FILE=" + write(t, short)},
		{"ZUUL_REGISTRY_TLS_KEY_FILE=" + write(t, "-----BEGIN\n"+short)},
		{"ZUUL_REGISTRY_READERS_HTPASSWD=zuul:$2y$" + short},
	} {
		c, err := Load(environ)
		if err == nil {
			t.Errorf("Load(%q): no error", environ)
			continue
		}
		if text := fmt.Sprintf("%v %+v %#v", err, err, c); strings.Contains(text, short) {
			t.Errorf("Load(%q): %s", environ, text)
		}
	}
}
