package report

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
)

var (
	//go:embed page.html
	pageMarkup string
	//go:embed page.css
	pageStyle string
	//go:embed page.js
	pageScript string

	pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{
		"clip": clip, "key": key, "label": func(name, reference string) label { return label{name, reference} },
		"many": many, "mark": markOf, "shorten": shorten, "size": size,
	}).Parse(pageMarkup))
)

// Page is the report as one HTML document that needs nothing else. A live one belongs to
// a running registry: it refreshes itself, and has a filter and a link to the JSON. One that
// is not live is to be saved.
func (r Report) Page(live bool) ([]byte, error) {
	v := newView(r, live)
	v.Style = template.CSS(pageStyle)
	if live {
		v.Script = template.JS(pageScript)
	} else {
		v.Policy = savedPolicy()
	}
	var page bytes.Buffer
	err := pageTemplate.Execute(&page, v)
	return page.Bytes(), err
}

// PagePolicy is the Content-Security-Policy that a live page is served with: it may use
// what it has in itself, and talk to where it comes from.
func PagePolicy() string {
	return ownPolicy() + "; script-src " + hashed(pageScript) + "; connect-src 'self'; form-action 'self'; frame-ancestors 'none'"
}

// savedPolicy is what a saved page says itself, where frame-ancestors means nothing.
func savedPolicy() string { return ownPolicy() + "; form-action 'none'" }

// ownPolicy lets a page have its stylesheet, and its icon, which is a data URL.
func ownPolicy() string {
	return "default-src 'none'; style-src " + hashed(pageStyle) + "; img-src data:; base-uri 'none'"
}

// hashed is how a policy names what may stand in a page.
func hashed(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}
