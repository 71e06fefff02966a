package metrics

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"iter"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"opendev.org/zuul/zuul-registry/server/storage"
)

// stores are the metrics of stores, by driver and operation.
type stores struct {
	took   *prometheus.HistogramVec
	errors *prometheus.CounterVec
}

// storageBuckets are from a look at a file that the kernel remembers to a large object
// of a busy Swift, in seconds.
var storageBuckets = []float64{.0001, .0005, .001, .005, .01, .05, .1, .5, 1, 5, 10, 30, 60}

func newStores(m *Metrics) stores {
	return stores{
		took: m.seconds("storage_operation_duration_seconds",
			"How long operations of the store took, but for the time that they waited for what clients send, by driver and operation.",
			storageBuckets, "driver", "operation"),
		errors: m.counter("storage_errors_total", "Operations of the store that have failed, by driver and operation.", "driver", "operation"),
	}
}

// Storage is a driver that counts its operations, under a name: "filesystem".
func (m *Metrics) Storage(d storage.Driver, name string) storage.Driver {
	operation := func(called string) operation {
		return operation{m.stores.took.WithLabelValues(name, called), m.stores.errors.WithLabelValues(name, called)}
	}
	return &countedDriver{
		Driver: d,
		stat:   operation("stat"), open: operation("open"), put: operation("put"), append: operation("append"),
		stored: operation("stored"), concat: operation("concat"), delete: operation("delete"), list: operation("list"),
		touch: operation("touch"), expire: operation("expire"), parts: operation("parts"), rename: operation("rename"),
		usage: operation("usage"),
	}
}

// countedDriver is what Storage makes.
type countedDriver struct {
	storage.Driver
	stat, open, put, append, stored, concat, delete, list, touch, expire, parts, rename, usage operation
}

// operation is one of a driver.
type operation struct {
	took   prometheus.Observer
	errors prometheus.Counter
}

// since counts one that began then and has ended, and how.
func (o operation) since(begin time.Time, err error) { o.ended(time.Since(begin), err) }

// ended counts one. What is not there, and what the caller gave up, is no fault of the
// store.
func (o operation) ended(took time.Duration, err error) {
	o.took.Observe(took.Seconds())
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, context.Canceled) {
		o.errors.Inc()
	}
}

func (d *countedDriver) Stat(ctx context.Context, name string) (storage.Info, error) {
	begin := time.Now()
	info, err := d.Driver.Stat(ctx, name)
	d.stat.since(begin, err)
	return info, err
}

// Open counts until there is something to read. What that is goes to the client as it
// is: a file can be sent by the kernel.
func (d *countedDriver) Open(ctx context.Context, name string) (io.ReadSeekCloser, storage.Info, error) {
	begin := time.Now()
	content, info, err := d.Driver.Open(ctx, name)
	d.open.since(begin, err)
	return content, info, err
}

func (d *countedDriver) Put(ctx context.Context, name string, content io.Reader, durability storage.Durability) error {
	begin := time.Now()
	err := d.Driver.Put(ctx, name, content, durability)
	d.put.since(begin, err)
	return err
}

// Append counts what the driver does with content, and as another operation how long
// the caller then waits until it is stored.
func (d *countedDriver) Append(
	ctx context.Context, directory string, parts []storage.Part, content io.Reader,
) ([]storage.Part, storage.Stored, error) {
	begin, from := time.Now(), &source{Reader: content}
	parts, stored, err := d.Driver.Append(ctx, directory, parts, from)
	fault := err
	if from.failed {
		fault = nil
	}
	d.append.ended(time.Since(begin)-from.took, fault)
	return parts, func() error {
		begin := time.Now()
		err := stored()
		d.stored.since(begin, err)
		return err
	}, err
}

// source is content that takes its time, and may fail.
type source struct {
	io.Reader
	took   time.Duration
	failed bool
}

func (s *source) Read(p []byte) (int, error) {
	begin := time.Now()
	n, err := s.Reader.Read(p)
	s.took += time.Since(begin)
	s.failed = s.failed || err != nil && err != io.EOF
	return n, err
}

func (d *countedDriver) Concat(ctx context.Context, name string, parts []storage.Part) error {
	begin := time.Now()
	err := d.Driver.Concat(ctx, name, parts)
	d.concat.since(begin, err)
	return err
}

func (d *countedDriver) Delete(ctx context.Context, name string) error {
	begin := time.Now()
	err := d.Driver.Delete(ctx, name)
	d.delete.since(begin, err)
	return err
}

// List counts a list when it ends, without what the caller does between its entries.
func (d *countedDriver) List(ctx context.Context, directory, after string) iter.Seq2[storage.Entry, error] {
	return func(yield func(storage.Entry, error) bool) {
		var took time.Duration
		var fault error
		begin := time.Now()
		for entry, err := range d.Driver.List(ctx, directory, after) {
			took += time.Since(begin)
			if err != nil {
				fault = err
			}
			more := yield(entry, err)
			begin = time.Now()
			if !more {
				break
			}
		}
		d.list.ended(took+time.Since(begin), fault)
	}
}

func (d *countedDriver) Touch(ctx context.Context, name string) error {
	begin := time.Now()
	err := d.Driver.Touch(ctx, name)
	d.touch.since(begin, err)
	return err
}

func (d *countedDriver) Expire(ctx context.Context, name string, moment time.Time) (bool, error) {
	begin := time.Now()
	gone, err := d.Driver.Expire(ctx, name, moment)
	d.expire.since(begin, err)
	return gone, err
}

func (d *countedDriver) Parts(ctx context.Context, name string) ([]string, error) {
	begin := time.Now()
	names, err := d.Driver.Parts(ctx, name)
	d.parts.since(begin, err)
	return names, err
}

func (d *countedDriver) Rename(ctx context.Context, from, to string) error {
	begin := time.Now()
	err := d.Driver.Rename(ctx, from, to)
	d.rename.since(begin, err)
	return err
}

// Usage counts one that had no time for everything as one that is done: the caller
// set that.
func (d *countedDriver) Usage(ctx context.Context) (storage.Usage, error) {
	begin := time.Now()
	usage, err := d.Driver.Usage(ctx)
	fault := err
	if ctx.Err() != nil {
		fault = nil
	}
	d.usage.since(begin, fault)
	return usage, err
}
