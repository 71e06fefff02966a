package page

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"opendev.org/zuul/zuul-registry/tests/testbed"
)

// tab is a tab of a Chromium, and what it complains of.
type tab struct {
	t      *testing.T
	ctx    context.Context
	own    string // where requests may go
	mu     sync.Mutex
	faults []string
}

const patience = 90 * time.Second

// start starts a Chromium for a site, which ends with the test.
func start(t *testing.T, s *site) *tab {
	t.Helper()
	testbed.Need(t, "chromium")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath("chromium"), chromedp.NoSandbox, chromedp.WSURLReadTimeout(patience))...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	b := &tab{t: t, ctx: ctx, own: s.URL}
	must(t, chromedp.Listen(ctx, b.note))
	call(b, network.Enable, network.EnableParams{})
	call(b, log.Enable, cdp.Empty{})
	call(b, runtime.Enable, cdp.Empty{})
	return b
}

// open starts a Chromium that looks at a page of a site.
func open(t *testing.T, s *site, path string) *tab {
	t.Helper()
	b := start(t, s)
	b.do(chromedp.Navigate(s.URL + path))
	return b
}

func (b *tab) note(event any) {
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		if url := e.Request.URL; !strings.HasPrefix(url, b.own+"/") && !strings.HasPrefix(url, "data:") {
			b.fault("it asks for %s", url)
		}
	case *log.EventEntryAdded:
		b.fault("%s: %s", e.Entry.Source, e.Entry.Text)
	case *runtime.EventConsoleAPICalled:
		b.fault("the console is told of a %s", e.Type)
	case *runtime.EventExceptionThrown:
		b.fault("exception: %s", e.ExceptionDetails.Text)
	}
}

func (b *tab) fault(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.faults = append(b.faults, fmt.Sprintf(format, args...))
}

// wentWell fails the test if the browser has complained since the last call.
func (b *tab) wentWell() {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, f := range b.faults {
		b.t.Error(f)
	}
	b.faults = nil
}

// forget drops what was expected to go wrong.
func (b *tab) forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.faults = nil
}

func (b *tab) do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	must(b.t, chromedp.Do(b.ctx, actions...))
}

// call has the browser do what chromedp has no action for.
func call[P, R any](b *tab, command cdp.Command[P, R], params P) R {
	b.t.Helper()
	result, err := chromedp.Call(b.ctx, command, params)
	must(b.t, err)
	return result
}

// value is that of an expression.
func value[V any](b *tab, expression string) V {
	b.t.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[V](expression))
	must(b.t, err)
	return v
}

// await waits until an expression is true.
func (b *tab) await(expression string) {
	b.t.Helper()
	_, err := chromedp.Run(b.ctx, chromedp.Poll[bool](expression,
		chromedp.WithPollingTimeout(20*time.Second), chromedp.WithPollingInterval(50*time.Millisecond)))
	if err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
}

// look is how somebody has set a device.
type look struct {
	scheme        string // of colours
	place         string // what the width is called
	width, height int64
}

var looks = []look{
	{"light", "wide", 1280, 960}, {"light", "narrow", 360, 1600}, {"dark", "wide", 1280, 960}, {"dark", "narrow", 360, 1600},
}

func (l look) String() string { return l.scheme + "-" + l.place }

func (b *tab) look(l look) {
	b.t.Helper()
	b.do(chromedp.EmulateViewport(l.width, l.height))
	call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: l.scheme}},
	})
}
