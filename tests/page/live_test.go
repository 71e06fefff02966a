package page

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"opendev.org/zuul/zuul-registry/server/report"
)

const (
	// ask has the page look for news at once, as when its tab is shown again.
	ask  = `document.dispatchEvent(new Event("visibilitychange"))`
	note = `document.querySelector("#live [role=status]").textContent`
	rows = `document.querySelectorAll("section[aria-labelledby=pulls] > table > tbody > tr").length`
	lead = `document.querySelector(".lead").textContent`
)

// pulled adds a pull of an image, the last of all.
func pulled(name string) func(*report.Report) {
	return func(r *report.Report) {
		p := r.Pulls[1]
		p.Name = name
		r.Time = r.Time.Add(time.Minute)
		p.First, p.Last = r.Time, r.Time
		r.Pulls = append([]report.Act{p}, r.Pulls...)
	}
}

// TestRefresh: what is new comes by itself, and what somebody does with the page stays.
func TestRefresh(t *testing.T) {
	s := serve(t, fixture(t))
	b := open(t, s, "/")
	b.look(looks[1])
	before := value[int](b, rows)

	const digest = `document.querySelectorAll("section[aria-labelledby=pulls] .digest")[2]`
	value[chromedp.Void](b, `window.mine = `+digest+`; mine.open = true; mine.querySelector("summary").focus(); mine.scrollIntoView({behavior: "instant"})`)
	top := value[float64](b, `mine.getBoundingClientRect().top`)
	s.change(pulled("docker.io/org/new"))
	b.await(fmt.Sprintf("%s === %d", rows, before+1)) // without being told to
	b.stays(top)

	// The row that somebody is at becomes the first.
	s.change(func(r *report.Report) {
		i := slices.IndexFunc(r.Pulls, func(p report.Act) bool { return p.Name == "docker.io/library/alpine" && p.Reference == "3.20" })
		p := r.Pulls[i]
		p.Count, p.Last = 77, r.Time.Add(time.Second)
		r.Pulls = append([]report.Act{p}, slices.Delete(r.Pulls, i, i+1)...)
	})
	value[chromedp.Void](b, ask)
	b.await(`mine.closest("tr").rowIndex === 1 && mine.closest("tr").textContent.includes("77 pulls")`)
	if !value[bool](b, `mine.open && document.activeElement === mine.querySelector("summary")`) {
		t.Error("the focus, or what was unfolded, is lost with a row that moves")
	}
	if title := value[string](b, "document.title"); title != "5 things to look at, 93 pulls – zuul-registry" {
		t.Errorf("the title is still %q", title)
	}
	b.wentWell()
}

func (b *tab) stays(top float64) {
	b.t.Helper()
	if !value[bool](b, `mine.isConnected && mine.open && document.activeElement === mine.querySelector("summary")`) {
		b.t.Error("the focus, or what was unfolded, is lost")
	}
	if now := value[float64](b, `mine.getBoundingClientRect().top`); now < top-2 || now > top+2 {
		b.t.Errorf("what was at %.0f is at %.0f", top, now)
	}
}

// TestRest: the page asks for nothing while nobody wants to know.
func TestRest(t *testing.T) {
	const longer = 6 * time.Second // than it waits between
	for name, rest := range map[string]string{
		"paused": `document.querySelector("#live button").click()`,
		"hidden": `Object.defineProperty(document, "hidden", {value: true, configurable: true}); ` + ask,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, fixture(t))
			b := open(t, s, "/")
			value[chromedp.Void](b, rest)
			s.requests()
			time.Sleep(longer)
			if asked := s.requests(); len(asked) > 0 {
				t.Errorf("it asks for %q", asked)
			}
			s.change(pulled("docker.io/org/new"))
			was := value[int](b, rows)
			if name == "paused" {
				value[chromedp.Void](b, `document.querySelector("#live button").click()`)
			} else {
				value[chromedp.Void](b, `Object.defineProperty(document, "hidden", {value: false}); `+ask)
			}
			b.await(fmt.Sprintf("%s === %d", rows, was+1))
			b.wentWell()
		})
	}
}

// TestSelection: what somebody is about to copy is not changed.
func TestSelection(t *testing.T) {
	s := serve(t, fixture(t))
	b := open(t, s, "/")
	was := value[string](b, lead)
	value[chromedp.Void](b, `getSelection().selectAllChildren(document.querySelector(".lead"))`)
	s.change(pulled("docker.io/org/new"))
	value[chromedp.Void](b, ask)
	time.Sleep(500 * time.Millisecond)
	if now := value[string](b, lead); now != was || value[string](b, "getSelection().toString()") == "" {
		t.Errorf("under the selection it became %q", now)
	}
	value[chromedp.Void](b, `getSelection().empty(); `+ask)
	b.await(fmt.Sprintf("%s !== %q", lead, was))
	b.wentWell()
}

// TestGone: the page says that it is old where the registry does not answer, and goes on
// when it is told to.
func TestGone(t *testing.T) {
	s := serve(t, fixture(t))
	b := open(t, s, "/")
	was := value[int](b, rows)
	s.fail(true)
	for range 3 {
		value[chromedp.Void](b, ask)
		time.Sleep(200 * time.Millisecond)
	}
	b.await(note + ` === "The registry does not answer: this is what it said last"`)
	b.forget() // the browser's complaints about that
	s.fail(false)
	s.change(pulled("docker.io/org/new"))
	value[chromedp.Void](b, `document.querySelector("#live button").click()`)
	b.await(fmt.Sprintf("%s === %d && %s === 'Refreshes itself'", rows, was+1, note))
	b.wentWell()
}

// TestWithoutScript: nothing but the refreshing needs one.
func TestWithoutScript(t *testing.T) {
	s := serve(t, fixture(t))
	b := start(t, s)
	call(b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	b.do(chromedp.Navigate(s.URL + "/"))
	if !value[bool](b, `document.getElementById("live").hidden`) {
		t.Error("it offers to pause")
	}
	b.do(
		chromedp.Click(chromedp.CSS(".filter > summary")),
		chromedp.SetValue(chromedp.CSS("#namespace"), "docker.io"),
		chromedp.Click(chromedp.CSS("form button")),
		chromedp.WaitVisible(chromedp.CSS("form a")),
	)
	if asked := s.requests(); !slices.Contains(asked, "/?namespace=docker.io&origin=&since=&until=") {
		t.Errorf("the filter asks for %q", asked)
	}
	b.wentWell()
}
