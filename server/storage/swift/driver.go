// Package swift keeps objects in a container of OpenStack Swift, for any number of
// processes at the same time, which need not know of each other.
//
// What is appended is cut into parts. A part waits in memory until Swift has it, and
// can so be sent again; the next one arrives meanwhile. Each is an object under a
// name of its own, which is never used again. Concat makes a static large object over
// the parts where they are: no byte is copied or read for that, and none is sent twice
// but where sending failed.
//
// Everything that is asked for again after a fault may be: content is the same each
// time, and what a name had between two attempts is as if the last had come later.
//
// Objects are read as the newest of Swift's copies (X-Newest), for some have their
// names used again. What Swift cannot promise is that a list has what was stored just
// now; see List of storage.Driver.
//
// When an object is replaced, the parts of the one before stay: somebody may still be
// reading them, or be shown it by a server of Swift's that was away meanwhile.
//
// Swift compares nothing before it deletes. So whoever expires an object first puts a
// marker and then looks at the object's age, and whoever touches it does so first and then
// looks for the marker: one of them finds what the other has done. He who has touched it
// waits until the marker is gone, and then looks whether the object still is there. Only
// one expires an object at a time (takeTurn), and so nothing deletes it after it has been
// missed once: what is stored then has a later time, and stays. That does not hold where
// a Delete or a Rename of it comes in between.
//
// All that rests on two things: Swift's clocks agree, and a read of the newest copy sees
// what was acknowledged before. When a process dies in between, its marker means nothing
// after markerLife; and it asks for nothing in the last half of that, unless it was
// stopped for as long just before it sent what it had decided on.
package swift

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ncw/swift/v2"

	"opendev.org/zuul/zuul-registry/server/storage"
)

// Options are the settings of a Driver.
type Options struct {
	Account     *swift.Connection // from AccountFromEnvironment; the driver's from then on
	Container   string            // New makes it if there is none
	PartSize    int64             // bytes of the largest part, at least SmallestPart
	Connections int               // parts that may be sent at once: times PartSize, the memory for parts
	Retries     int               // further attempts after a fault
	Log         *slog.Logger      // of faults that are tried again
}

// Driver is a storage.Driver. Make it with New or Attach.
type Driver struct {
	account   *account
	client    *http.Client
	container string
	partSize  int64
	memory    *memory
	sending   chan struct{} // holds a value for each part that is being sent
	retries   int
	log       *slog.Logger
	limits    limits
	turn      turn
	expiring  sync.Map // has the names that this process is about to expire
}

// limits are those of a Swift.
type limits struct {
	segments int // of a static large object
	page     int // of a list
}

// New opens a container, which it makes if there is none. An error is about the
// account, the container or Swift, and has no secret.
func New(ctx context.Context, o Options) (*Driver, error) {
	d := newDriver(o)
	if err := d.ensureContainer(ctx); err != nil {
		return nil, err
	}
	return d, d.learnLimits(ctx)
}

// Attach opens a container that is there.
func Attach(ctx context.Context, o Options) (*Driver, error) {
	d := newDriver(o)
	err := d.do(ctx, request{operation: http.MethodHead})
	if status(err) == http.StatusNotFound {
		err = fmt.Errorf("there is no container %q", o.Container)
	}
	if err != nil {
		return nil, err
	}
	return d, d.learnLimits(ctx)
}

func newDriver(o Options) *Driver {
	a := newAccount(o.Account)
	return &Driver{
		account: a, client: &http.Client{Transport: a.library.Transport},
		container: o.Container, partSize: o.PartSize, retries: o.Retries, log: o.Log,
		memory: newMemory(int64(o.Connections) * o.PartSize), sending: make(chan struct{}, o.Connections),
	}
}

// ensureContainer makes the container only where there is none: who may write to one
// need not be allowed to.
func (d *Driver) ensureContainer(ctx context.Context) error {
	err := d.do(ctx, request{operation: http.MethodHead})
	if status(err) == http.StatusNotFound {
		err = d.do(ctx, request{operation: http.MethodPut})
	}
	return err
}

// learnLimits asks Swift. One that keeps them to itself has the usual ones.
func (d *Driver) learnLimits(ctx context.Context) error {
	d.limits = limits{segments: 1000, page: 10_000}
	var info swift.SwiftInfo
	err := d.do(ctx, request{operation: http.MethodGet, info: true, into: &info})
	switch status(err) {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound:
		d.log.Info("Swift does not tell its limits: the usual ones are assumed", "error", err)
		return nil
	}
	if err == nil && !info.SupportsSLO() {
		err = errors.New("this Swift has no static large objects (slo): they have to be turned on in its proxy server")
	}
	lower(&d.limits.segments, info["slo"], "max_manifest_segments")
	lower(&d.limits.page, info["swift"], "container_listing_limit")
	return err
}

// lower takes over a limit that is told.
func lower(limit *int, section any, name string) {
	told, _ := section.(map[string]any)
	if n, ok := told[name].(float64); ok && n >= 2 {
		*limit = min(*limit, int(n))
	}
}

// Stat describes an object.
func (d *Driver) Stat(ctx context.Context, name string) (storage.Info, error) {
	headers, err := d.head(ctx, name)
	if err != nil {
		return storage.Info{}, err
	}
	return describe(headers)
}

func (d *Driver) head(ctx context.Context, name string) (http.Header, error) {
	if err := check("stat", name); err != nil {
		return nil, err
	}
	a, err := d.call(ctx, request{operation: http.MethodHead, object: name, header: newest})
	return a.header, err
}

// Usage is what Swift says of the container.
func (d *Driver) Usage(ctx context.Context) (storage.Usage, error) {
	a, err := d.call(ctx, request{operation: http.MethodHead})
	if err != nil {
		return storage.Usage{}, err
	}
	objects, err := strconv.ParseInt(a.header.Get("X-Container-Object-Count"), 10, 64)
	bytes, fault := strconv.ParseInt(a.header.Get("X-Container-Bytes-Used"), 10, 64)
	return storage.Usage{Objects: objects, Bytes: bytes}, errors.Join(err, fault)
}

// newest has Swift ask all servers that may have an object.
var newest = map[string]string{"X-Newest": "true"}

func describe(h http.Header) (storage.Info, error) {
	size, err := strconv.ParseInt(h.Get("Content-Length"), 10, 64)
	if err != nil {
		return storage.Info{}, fmt.Errorf("swift: it says that an object has %q bytes", h.Get("Content-Length"))
	}
	modified, err := modified(h)
	return storage.Info{Size: size, Modified: modified}, err
}

// modified is Swift's own time, in hundred-thousandths of a second, or what HTTP has
// of it.
func modified(h http.Header) (time.Time, error) {
	if whole, fraction, ok := strings.Cut(h.Get("X-Timestamp"), "."); ok {
		seconds, err := strconv.ParseInt(whole, 10, 64)
		if parts, other := strconv.ParseInt((fraction + "00000")[:5], 10, 64); err == nil && other == nil {
			return time.Unix(seconds, parts*int64(10*time.Microsecond)), nil
		}
	}
	return http.ParseTime(h.Get("Last-Modified"))
}

// check refuses what is no name.
func check(operation, name string) error {
	if fs.ValidPath(name) {
		return nil
	}
	return &fs.PathError{Op: operation, Path: name, Err: fs.ErrInvalid}
}
