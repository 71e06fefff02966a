// Package page looks at the registry's page with a real browser.
package page

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

var update = flag.Bool("update", false, "write the pictures in docs/images")

// TestLooks is in all colours and widths that people have.
func TestLooks(t *testing.T) {
	for name, path := range map[string]string{"live": "/", "saved": "/saved"} {
		t.Run(name, func(t *testing.T) {
			b := open(t, serve(t, fixture(t)), path)
			for _, l := range looks {
				b.look(l)
				b.checkWidth(l)
				if *update && path == "/" {
					b.picture("../../docs/images/report-" + l.String() + ".png")
				}
			}
			b.wentWell()
		})
	}
}

// TestLongWords: what clients call things does not make the page wide, or turn it around.
func TestLongWords(t *testing.T) {
	r := fixture(t)
	long := strings.Repeat("x", 255)
	for i := range r.Pulls {
		p := &r.Pulls[i]
		p.Name, p.Reference, p.Upstream = long, long[:128], long
		p.Tool, p.User, p.Address = "\u202e"+strings.Repeat("ש", 5000), long, long
		p.Detail = long
	}
	for i := range r.Images {
		r.Images[i].Name, r.Images[i].Platforms = long, []string{long}
	}
	for i := range r.Upstreams {
		r.Upstreams[i].Namespace, r.Upstreams[i].URL, r.Upstreams[i].Problem = long, long, long
	}
	r.Uploads[0].Name, r.Storage.Driver, r.Version, r.Faults = long, long, long, []string{long}
	b := open(t, serve(t, r), "/")
	for _, l := range looks {
		b.look(l)
		b.checkWidth(l)
		value[chromedp.Void](b, unfold)
		b.checkWidth(l)
		b.checkAccessibility(l.String())
	}
	b.wentWell()
}

func (b *tab) checkWidth(l look) {
	b.t.Helper()
	if wide := value[int64](b, "document.documentElement.scrollWidth"); wide > l.width {
		b.t.Errorf("%s: the page is %d wide, the screen %d", l, wide, l.width)
	}
	const wider = `[...document.querySelectorAll("main th, main td")].filter((e) => e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e.closest("thead") ?? e).position !== "absolute").map((e) => e.textContent.slice(0, 60))`
	for _, cell := range value[[]string](b, wider) {
		b.t.Errorf("%s: too wide for its place is %q", l, cell)
	}
}

// picture writes what is seen at first.
func (b *tab) picture(file string) {
	b.t.Helper()
	content, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
	must(b.t, err)
	must(b.t, os.WriteFile(file, content, 0o644))
}
