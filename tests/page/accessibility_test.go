package page

import (
	_ "embed"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

//go:embed accessibility.js
var accessible string

// unfold opens all that is folded away.
const unfold = `document.querySelectorAll("details").forEach((d) => { d.open = true })`

// TestAccessibility has the browser check the page as it has it, in all colours and widths.
func TestAccessibility(t *testing.T) {
	for name, path := range map[string]string{"live": "/", "saved": "/saved", "filtered": "/?namespace=docker.io"} {
		t.Run(name, func(t *testing.T) {
			b := open(t, serve(t, fixture(t)), path)
			for _, l := range looks {
				b.look(l)
				b.checkAccessibility(l.String())
				value[chromedp.Void](b, unfold)
				b.checkAccessibility(l.String() + ", unfolded")
				b.checkNames(l.String())
			}
			b.wentWell()
		})
	}
}

func (b *tab) checkAccessibility(how string) {
	b.t.Helper()
	for _, fault := range value[[]string](b, accessible) {
		b.t.Errorf("%s: %s", how, fault)
	}
}

// checkNames looks at the tree that the browser hands to a screen reader: all that one can
// use has a name, and tables are tables, also where they look like cards.
func (b *tab) checkNames(how string) {
	b.t.Helper()
	usable := []string{"link", "button", "textbox", "combobox", "searchbox", "DisclosureTriangle", "meter", "table", "navigation", "search", "region"}
	roles := map[string]int{}
	for _, n := range call(b, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{}).Nodes {
		role := text(n.Role)
		if n.Ignored {
			continue
		}
		roles[role]++
		if slices.Contains(usable, role) && strings.TrimSpace(text(n.Name)) == "" {
			b.t.Errorf("%s: a %s has no name", how, role)
		}
	}
	if tables := value[int](b, `document.querySelectorAll("table").length`); roles["table"] != tables || roles["columnheader"] == 0 || roles["rowheader"] == 0 {
		b.t.Errorf("%s: there are %d tables, and a screen reader knows %v", how, tables, roles)
	}
}

func text(v *accessibility.Value) string {
	var s string
	if v != nil {
		_ = json.Unmarshal(v.Value, &s)
	}
	return s
}

// TestKeyboard goes through the page with the Tab key: in its order, leaving nothing out,
// and always seen.
func TestKeyboard(t *testing.T) {
	b := open(t, serve(t, fixture(t)), "/")
	b.look(looks[0])
	const all = `(window.wanted = [...document.querySelectorAll("a[href], button, input, select, summary")].filter((e) => e.checkVisibility({visibilityProperty: true})))`
	wanted := value[int](b, all+".length")
	if wanted < 20 {
		t.Fatalf("there are but %d places to go", wanted)
	}
	for i := range wanted {
		b.do(chromedp.KeyEvent(kb.Tab))
		if at := value[int](b, "wanted.indexOf(document.activeElement)"); at != i {
			t.Fatalf("after %d keys the focus is at place %d: %s", i+1, at, value[string](b, "document.activeElement.outerHTML.slice(0, 100)"))
		}
		const seen = `getComputedStyle(document.activeElement).outlineStyle !== "none" && document.activeElement.getBoundingClientRect().top >= 0`
		if !value[bool](b, seen) {
			t.Errorf("place %d is not seen to have the focus", i)
		}
	}
	b.wentWell()
}
