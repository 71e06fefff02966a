package swift

import (
	"context"
	"crypto/md5"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io/fs"
	"net/http"
	"strings"
	"sync"
	"time"
)

// turn is what a process knows of whose turn it is to expire objects: that of the last
// one who has said so, with a word of his own.
type turn struct {
	mu    sync.Mutex
	sum   string    // the Etag of our word; empty: we have none
	until time.Time // when we say another: it is somebody else's turn, or was maybe since
}

const (
	turnRest  = 10 * time.Second // after which we say so again: others may have, meanwhile
	turnYield = markerLife       // for which we leave it to others
)

// takeTurn gives our word; none while it is another's turn. A marker is taken for ours
// only if it is our turn before it is put and after that. Of two who put a marker at the
// same time, and find none before, one has taken the turn last; and if the other still
// found that it was his when his marker was there, then the last one finds the marker.
//
// So nobody may have a word come true that was said before: it is sent once.
func (d *Driver) takeTurn(ctx context.Context) (string, error) {
	t := &d.turn
	t.mu.Lock()
	defer t.mu.Unlock()
	if time.Now().Before(t.until) {
		return t.sum, nil
	}
	word := rand.Text()
	sum := md5.Sum([]byte(word))
	etag := hex.EncodeToString(sum[:])
	t.sum = ""
	err := d.do(ctx, request{
		operation: http.MethodPut, object: markers, body: strings.NewReader(word), header: map[string]string{"Etag": etag}, once: true,
	})
	if err == nil {
		t.sum, t.until = etag, time.Now().Add(turnRest)
	}
	return t.sum, err
}

// isTurn says whether it is still our turn.
func (d *Driver) isTurn(ctx context.Context, sum string) (bool, error) {
	header, err := d.head(ctx, markers)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	ours := err == nil && strings.Trim(header.Get("Etag"), `"`) == sum
	t := &d.turn
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.sum != sum: // of which others know already
	case ours:
		t.until = time.Now().Add(turnRest)
	default:
		t.sum, t.until = "", time.Now().Add(turnYield)
		d.log.InfoContext(ctx, "another process removes what is old: it is left to it for a while")
	}
	return ours, nil
}
