package config

import "testing"

// What is allowed, and how it is printed.
func TestUpstreams(t *testing.T) {
	for text, want := range map[string]string{
		"none":                                    "none",
		"quay.io=https://quay.io":                 "quay.io=https://quay.io",
		"quay.io=http://127.0.0.1:5000/":          "quay.io=http://127.0.0.1:5000",
		"quay.io=https://a , docker.io=https://b": "docker.io=https://b,quay.io=https://a",
		"localhost:5000=HTTP://localhost:5000":    "localhost:5000=http://localhost:5000",
		"10.0.0.1=https://a":                      "10.0.0.1=https://a",
		"my_registry=https://a":                   "my_registry=https://a",
		"none=https://a":                          "none=https://a",
	} {
		c := load(t, "ZUUL_REGISTRY_UPSTREAMS="+text)
		if got := c.Upstreams.String(); got != want {
			t.Errorf("%s is printed as %s, want %s", text, got, want)
		}
	}
}
