package swift

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"time"

	"opendev.org/zuul/zuul-registry/server/peer"
)

// markers is the directory of the markers. A marker has the name of an object that
// somebody may be about to expire. The object of this name says whose turn that is.
const markers = ".expiring"

// markerLife is the age, by Swift's clocks, at which a marker means nothing any more: a
// process has ended, or left it to others. Who expires an object is done, or has given
// up, in half of it.
const markerLife = time.Minute

func marker(name string) string { return markers + "/" + name }

// Touch makes an object young. Swift refuses to where somebody has made it younger. Who
// is about to expire the object may have looked at it before, and so we wait for him,
// and look for it when he is done.
func (d *Driver) Touch(ctx context.Context, name string) error {
	if err := check("touch", name); err != nil {
		return err
	}
	err := d.do(ctx, request{operation: http.MethodPost, object: name})
	if err != nil && status(err) != http.StatusConflict {
		return err
	}
	for marked := true; marked; {
		if marked, err = d.isMarked(ctx, name); err != nil {
			return err
		}
		if marked {
			if err := sleep(ctx, firstPause); err != nil {
				return err
			}
		}
	}
	_, err = d.head(ctx, name)
	return err
}

// isMarked says whether somebody may be about to expire an object.
func (d *Driver) isMarked(ctx context.Context, name string) (bool, error) {
	header, err := d.head(ctx, marker(name))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	stored, err := modified(header)
	if err != nil {
		return false, err
	}
	now, err := http.ParseTime(header.Get("Date")) // no clock of ours matters
	return now.Sub(stored) < markerLife, err
}

// Expire deletes an object that is old, and its segments. It says false also where
// another process may be at it.
func (d *Driver) Expire(ctx context.Context, name string, moment time.Time) (bool, error) {
	if err := check("expire", name); err != nil {
		return false, err
	}
	header, err := d.old(ctx, name, moment)
	if header == nil || err != nil {
		return false, err
	}
	var segments []found
	if isLarge(header) { // read now, they are those of the object that is old
		if segments, err = d.segments(ctx, name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return false, err
		}
	}
	expired, err := d.expire(ctx, name, moment)
	if !expired {
		return false, err
	}
	return true, d.removeSegments(ctx, segments)
}

// old describes an object, unless it is not there, or was stored or touched after a moment.
func (d *Driver) old(ctx context.Context, name string, moment time.Time) (http.Header, error) {
	header, err := d.head(ctx, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if at, err := modified(header); err != nil || at.After(moment) {
		return nil, err
	}
	return header, nil
}

// expire removes an object that is old, alone: its segments stay. After a fault the
// marker does, too: what we asked for may yet be done.
func (d *Driver) expire(ctx context.Context, name string, moment time.Time) (bool, error) {
	if _, busy := d.expiring.LoadOrStore(name, nil); busy {
		return false, nil
	}
	defer d.expiring.Delete(name)
	turn, err := d.takeTurn(ctx)
	if turn == "" || err != nil {
		return false, err
	}
	ctx, done := context.WithTimeoutCause(ctx, markerLife/2, peer.ErrSilent)
	defer done()
	if marked, err := d.mark(ctx, name); !marked || err != nil {
		return false, err
	}
	if ours, err := d.isTurn(ctx, turn); !ours || err != nil {
		return false, err // the marker may be his whose turn it is
	}
	header, err := d.old(ctx, name, moment)
	if err != nil {
		return false, err
	}
	expired := false
	if header != nil {
		if expired, err = d.removeOnce(ctx, name); err != nil {
			return false, err
		}
	}
	if _, err := d.removeOnce(ctx, marker(name)); err != nil {
		d.log.WarnContext(ctx, "a marker stays", "object", name, "fault", err)
	}
	return expired, nil
}

// mark says to all that an object may be about to expire, unless somebody else says so.
// Swift lets several through who come at the same time: see takeTurn.
func (d *Driver) mark(ctx context.Context, name string) (bool, error) {
	put := request{operation: http.MethodPut, object: marker(name), header: map[string]string{"If-None-Match": "*"}}
	err := d.do(ctx, put)
	if status(err) != http.StatusPreconditionFailed {
		return err == nil, err
	}
	if marked, err := d.isMarked(ctx, name); marked || err != nil {
		return false, err
	}
	put.header = nil
	err = d.do(ctx, put)
	return err == nil, err
}

// removeOnce removes an object alone, and says whether it did: it may have gone, or
// somebody may have stored it just now. It does not ask again, for when a request is done
// whose answer was lost, somebody may have stored the object anew.
func (d *Driver) removeOnce(ctx context.Context, name string) (bool, error) {
	err := d.do(ctx, request{operation: http.MethodDelete, object: name, once: true})
	if errors.Is(err, fs.ErrNotExist) || status(err) == http.StatusConflict {
		return false, nil
	}
	return err == nil, err
}
