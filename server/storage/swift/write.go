package swift

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"opendev.org/zuul/zuul-registry/server/storage"
)

// Put stores an object. In Swift all are durable.
func (d *Driver) Put(ctx context.Context, name string, r io.Reader, _ storage.Durability) error {
	if err := check("put", name); err != nil {
		return err
	}
	all, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	sum := md5.Sum(all)
	return d.put(ctx, name, bytes.NewReader(all), hex.EncodeToString(sum[:]))
}

// put has Swift compare what comes with its MD5.
func (d *Driver) put(ctx context.Context, name string, body content, sum string) error {
	return d.do(ctx, request{operation: http.MethodPut, object: name, body: body, header: map[string]string{"Etag": sum}})
}

// Append takes a part into memory, and sends it from there.
func (d *Driver) Append(ctx context.Context, directory string, parts []storage.Part, content io.Reader) ([]storage.Part, storage.Stored, error) {
	if err := check("append", directory); err != nil {
		return parts, storage.AlreadyStored, err
	}
	h, err := d.memory.fill(ctx, content, d.partSize)
	if h.size == 0 {
		h.release()
		return parts, storage.AlreadyStored, err
	}
	part := storage.Part{Name: path.Join(directory, rand.Text()), Size: h.size}
	done := make(chan error, 1)
	go func() {
		defer h.release()
		sum := h.md5()
		d.sending <- struct{}{}
		defer func() { <-d.sending }()
		// What has come counts, also when its client has gone.
		done <- d.put(context.WithoutCancel(ctx), part.Name, h, sum)
	}()
	return append(slices.Clip(parts), part), func() error { return <-done }, err
}

// Concat makes a static large object, of others where one may not have so many
// segments.
func (d *Driver) Concat(ctx context.Context, name string, parts []storage.Part) error {
	if err := check("concat", name); err != nil {
		return err
	}
	if len(parts) == 0 {
		return d.Put(ctx, name, strings.NewReader(""), storage.Durable)
	}
	for len(parts) > d.limits.segments {
		var groups []storage.Part
		for some := range slices.Chunk(parts, d.limits.segments) {
			group := storage.Part{Name: path.Join(path.Dir(some[0].Name), rand.Text()), Size: storage.Size(some)}
			if err := d.link(ctx, group.Name, some); err != nil {
				return err
			}
			groups = append(groups, group)
		}
		parts = groups
	}
	return d.link(ctx, name, parts)
}

// segment is one as it is put (Swift's API, “Static large objects”).
type segment struct {
	Path string `json:"path"`
	Size int64  `json:"size_bytes"`
}

// perSegment is what Swift may need to look at one, of which it does two at a time.
const perSegment = 100 * time.Millisecond

// link makes a static large object. Swift looks at each segment, and answers 400 when
// one is not there, or when it cannot look.
func (d *Driver) link(ctx context.Context, name string, parts []storage.Part) error {
	var segments []segment
	for _, p := range parts {
		segments = append(segments, segment{d.path(p.Name), p.Size})
	}
	text, err := json.Marshal(segments)
	if err != nil {
		return err
	}
	return d.do(ctx, request{
		operation: http.MethodPut, object: name, body: bytes.NewReader(text), parameters: url.Values{"multipart-manifest": {"put"}},
		badRequest: func(ctx context.Context) error { return d.gone(ctx, parts) },
		extra:      time.Duration(len(parts)) * perSegment,
	})
}

// path is how a static large object names an object; Swift lists it with a slash
// before it.
func (d *Driver) path(name string) string { return d.container + "/" + name }

// gone says which part is not as it was stored.
func (d *Driver) gone(ctx context.Context, parts []storage.Part) error {
	for _, p := range parts {
		info, err := d.Stat(ctx, p.Name)
		if err == nil && info.Size != p.Size {
			err = fmt.Errorf("%s has %d bytes, and not %d: %w", p.Name, info.Size, p.Size, fs.ErrNotExist)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
