package local_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"opendev.org/zuul/zuul-registry/server/local"
	"opendev.org/zuul/zuul-registry/server/oci"
	"opendev.org/zuul/zuul-registry/server/storage"
	"opendev.org/zuul/zuul-registry/server/storage/swift"
	"opendev.org/zuul/zuul-registry/server/storage/swift/pretend"
)

// resume takes up an upload.
func (w *world) resume(n oci.Name, id string) oci.Upload {
	w.Helper()
	u, err := w.ResumeUpload(w.Context(), n, id)
	w.ok(err)
	return u
}

// goOn adds to an upload, and leaves it again.
func (w *world) goOn(n oci.Name, id, content string) {
	w.Helper()
	u := w.resume(n, id)
	w.ok(u.Append(w.Context(), u.Size(), strings.NewReader(content)))
	w.ok(u.Close(w.Context()))
}

func (w *world) finish(n oci.Name, id, content string) {
	w.Helper()
	d := oci.SHA256.Sum([]byte(content))
	_, err := w.resume(n, id).Commit(w.Context(), d)
	w.ok(err)
	w.ok(w.read(n, d, content))
}

func TestPruningOfUploads(t *testing.T) {
	rules(t, map[string]func(w *world){
		"one that nobody goes on with goes, and its parts": func(w *world) {
			n := w.named("org/app")
			id := w.begin(n, "first,")
			w.goOn(n, id, "second")
			empty := w.begin(n, "")
			time.Sleep(day - 1)
			w.prune(ages)
			w.has(true, uploadObject(n.Area, id), uploadObject(n.Area, empty))
			time.Sleep(time.Nanosecond)
			w.prune(ages)
			w.isEmpty()
			if _, err := w.ResumeUpload(w.Context(), n, id); !errors.Is(err, oci.BlobUploadUnknown) {
				w.Errorf("ResumeUpload: %v, want BLOB_UPLOAD_UNKNOWN", err)
			}
		},
		"one that goes on keeps its parts, however old": func(w *world) {
			n := w.named("org/app")
			id, content := w.begin(n, "0"), "0"
			for range 9 {
				time.Sleep(day - time.Hour)
				w.prune(ages)
				w.goOn(n, id, "more")
				content += "more"
			}
			w.prune(ages)
			w.finish(n, id, content)
		},
		"to look at one is to go on": func(w *world) {
			n := w.named("org/app")
			id := w.begin(n, "content")
			for range 4 {
				time.Sleep(day - time.Hour)
				w.ok(w.resume(n, id).Close(w.Context()))
				w.prune(ages)
			}
			w.finish(n, id, "content")
		},
		"a blob that took long is young when it is done": func(w *world) {
			n := w.named("org/app")
			id := w.begin(n, "first,")
			time.Sleep(20 * time.Hour)
			w.goOn(n, id, "second")
			time.Sleep(20 * time.Hour)
			w.finish(n, id, "first,second")
			time.Sleep(20 * time.Hour)
			w.prune(ages)
			w.ok(w.read(n, oci.SHA256.Sum([]byte("first,second")), "first,second"))
			time.Sleep(4 * time.Hour)
			w.prune(ages)
			w.isEmpty()
		},
		"one that was cancelled leaves nothing": func(w *world) {
			n := w.named("org/app")
			w.ok(w.resume(n, w.begin(n, "content")).Cancel(w.Context()))
			w.isEmpty()
		},
		"parts of none go": func(w *world) {
			w.put("_local/segments/lost", "part")
			w.put("_local/segments/deep/lost", "part")
			time.Sleep(day - 1)
			w.prune(ages)
			w.has(true, "_local/segments/lost", "_local/segments/deep/lost")
			time.Sleep(time.Nanosecond)
			w.prune(ages)
			w.isEmpty()
		},
		"a damaged one goes when it is old, and its parts before": func(w *world) {
			n := w.named("org/app")
			id := w.begin(n, "content")
			time.Sleep(day)
			w.put(uploadObject(n.Area, id), `{"repository":`)
			w.prune(ages)
			if left := w.objects(); !slices.Equal(left, []string{uploadObject(n.Area, id)}) {
				w.Errorf("left: %q", left)
			}
			if _, err := w.ResumeUpload(w.Context(), n, id); !errors.Is(err, oci.BlobUploadUnknown) {
				w.Errorf("ResumeUpload: %v, want BLOB_UPLOAD_UNKNOWN", err)
			}
			w.put(uploadObject(n.Area, id), "")
			time.Sleep(day)
			w.prune(ages)
			w.isEmpty()
		},
		"a damaged one is no doubt about those of others": func(w *world) {
			n := w.named("org/app")
			id := w.begin(n, "content")
			w.put(uploadObject(n.Area, "DAMAGED"), "{")
			time.Sleep(day - time.Hour)
			w.goOn(n, id, ", more")
			time.Sleep(time.Hour)
			w.prune(ages)
			w.finish(n, id, "content, more")
		},
		"what the original left goes": func(w *world) {
			n := w.named("org/app")
			w.push(n, image("kept"), "latest")
			kept := blobObject(n.Area, oci.SHA256.Sum([]byte("layer kept")))
			for _, object := range []string{"_local/uploads/0123/metadata", "_local/uploads/0123/1", "_local/uploads/0123/2",
				"_local/uploads/4567/metadata", strings.TrimSuffix(kept, "data") + "1", strings.TrimSuffix(kept, "data") + "2",
				strings.TrimSuffix(blobObject(n.Area, oci.SHA256.Sum([]byte("nothing"))), "data") + "1"} {
				w.put(object, "x")
			}
			before := w.objects()
			time.Sleep(day - 1)
			if gone := w.prune(ages); gone != nil {
				w.Errorf("gone: %q", names(gone))
			}
			time.Sleep(time.Nanosecond)
			gone := w.prune(ages)
			if len(gone) != 7 || len(w.objects()) != len(before)-7 {
				w.Errorf("gone: %q", names(gone))
			}
			w.isWhole(n, image("kept"), "latest")
		},
	})
}

// Whoever resumes an upload that is about to go is told that there is none, or can go on.
func TestAnUploadIsResumedBesideAPrune(t *testing.T) {
	content := "content, and more"
	fresh := func(w *world) (oci.Name, string) {
		n := w.named("org/app")
		id := w.begin(n, content[:7])
		time.Sleep(2 * day)
		return n, id
	}
	steps := map[string]func(w *world, n oci.Name, id string) error{
		"at once": func(w *world, n oci.Name, id string) error {
			u, err := w.ResumeUpload(w.Context(), n, id)
			if err != nil {
				return err
			}
			w.ok(u.Append(w.Context(), u.Size(), strings.NewReader(content[u.Size():])))
			_, err = u.Commit(w.Context(), oci.SHA256.Sum([]byte(content)))
			w.ok(err)
			return nil
		},
		"and left": func(w *world, n oci.Name, id string) error {
			u, err := w.ResumeUpload(w.Context(), n, id)
			if err == nil {
				w.ok(u.Close(w.Context()))
			}
			return err
		},
	}
	for how, step := range steps {
		t.Run(how, func(t *testing.T) {
			besideEachOperation(t, func(w *world) (meanwhile, after func()) {
				n, id := fresh(w)
				var told error
				meanwhile = func() { told = step(w, n, id) }
				after = func() {
					if told != nil {
						if !errors.Is(told, oci.BlobUploadUnknown) {
							w.Errorf("ResumeUpload: %v", told)
						}
						return
					}
					if how == "and left" {
						w.prune(ages)
						w.ok(steps["at once"](w, n, id))
					}
					w.ok(w.read(n, oci.SHA256.Sum([]byte(content)), content))
				}
				return meanwhile, after
			})
		})
	}
}

// besideEachOperation prunes as often as a prune has operations of the store, each time in
// a world of its own, where something is done before another one of them. Afterwards all is
// as it should be.
func besideEachOperation(t *testing.T, in func(w *world) (meanwhile, after func())) {
	t.Helper()
	for at, more := 0, true; more; at++ {
		timed(t, func(w *world) {
			meanwhile, after := in(w)
			var n counter
			through := w.through(between{w.store, func(op, name string) error {
				if n.next() == at {
					meanwhile()
				}
				return nil
			}})
			if _, err := through.pruneWith(w.Context(), local.Pruning{Ages: local.Ages{Manifest: day, Upload: day, Cache: day}}); err != nil {
				w.Errorf("Prune: %v\n%s", err, w.log)
			}
			if more = n.last() >= at; more {
				after()
			}
			if w.Failed() {
				w.Logf("before operation %d", at)
				more = false
			}
		})
	}
}

// swiftWorld is a registry on a Swift, whose blobs are made of parts that remain.
type swiftWorld struct {
	*world
	swift *pretend.Swift
}

func onPretended(t *testing.T) swiftWorld {
	s := pretend.New(t)
	return swiftWorld{newWorld(t, s.Open()), s}
}

// age makes all that there is older.
func (w swiftWorld) age(by time.Duration) {
	w.Helper()
	for _, object := range w.objects() {
		w.swift.Age(object, by)
	}
}

func (w swiftWorld) parts() []string {
	w.Helper()
	return objects(w.T, w.store, "_local/segments")
}

// The parts of a blob are the blob: they go with it, and not before.
func TestPartsOfBlobsInSwift(t *testing.T) {
	w := onPretended(t)
	n, text := w.named("org/app"), string(content)
	g := &goods{algorithm: oci.SHA256}
	g.image(oci.MediaTypeImageManifest, "config", text)
	w.push(n, g, "latest")
	parts := w.parts()
	if len(parts) != 4+1 {
		t.Fatalf("the blobs are of parts %q, want five", parts)
	}
	w.age(1000 * day)
	if gone := w.prune(local.Ages{Upload: day, Cache: day}); gone != nil {
		t.Errorf("gone: %q", names(gone))
	}
	w.isWhole(n, g, "latest")

	loose := bytes.Repeat([]byte("loose"), len(content)/5)
	w.upload(n, string(loose), oci.SHA256)
	w.age(2 * day)
	w.ok(w.store.Touch(t.Context(), recordObject(n, "latest")))
	would, err := w.pruneWith(t.Context(), local.Pruning{Ages: ages, DryRun: true})
	w.ok(err)
	gone := w.prune(ages)
	if got, want := names(gone), names(would); !slices.Equal(got, want) || !slices.Contains(got, blobObject(n.Area, oci.SHA256.Sum(loose))) {
		t.Errorf("removed %q, want %q", got, want)
	}
	if left := w.parts(); !slices.Equal(left, parts) {
		t.Errorf("the parts are %q, want %q", left, parts)
	}
	w.isWhole(n, g, "latest")

	w.age(100 * day)
	w.prune(ages)
	w.isEmpty()
}

// A commit that was cut off may have made the blob, or not: whichever it is, no prune makes
// it half of one.
func TestPruneAfterACommitWasCutOff(t *testing.T) {
	d, text := oci.SHA256.Sum(content), string(content)
	blobMade := func(w swiftWorld, n oci.Name) bool {
		_, err := w.store.Stat(w.Context(), blobObject(n.Area, d))
		return err == nil
	}
	for when, how := range cutOff {
		cut := func(t *testing.T) (w swiftWorld, n oci.Name, id string) {
			s, u := cutCommit(t, how)
			w = swiftWorld{newWorld(t, s.Open()), s}
			w.ok(u.Close(t.Context()))
			return w, app(t), u.ID()
		}
		t.Run(when+", and it is forgotten", func(t *testing.T) {
			w, n, id := cut(t)
			made := blobMade(w, n)
			g := &goods{algorithm: oci.SHA256}
			g.add("application/x", `{"blobs":%s}`, g.list("application/x", text))
			if made {
				w.pushManifests(n, g, "latest")
			}
			w.age(2 * day)
			w.prune(ages)
			w.has(false, uploadObject(n.Area, id))
			if !made {
				w.isEmpty()
				return
			}
			w.isWhole(n, g, "latest")
			w.age(100 * day)
			w.prune(ages)
			w.isEmpty()
		})
		t.Run(when+", and the blob is deleted", func(t *testing.T) {
			w, n, id := cut(t)
			w.age(2 * day)
			w.ok(w.store.Touch(t.Context(), uploadObject(n.Area, id)))
			w.prune(ages) // the blob goes where there is one, with its parts
			w.has(false, blobObject(n.Area, d))
			w.age(2 * day)
			w.prune(ages)
			w.isEmpty()
		})
		t.Run(when+", and it is finished later", func(t *testing.T) {
			w, n, id := cut(t)
			w.age(day - time.Hour)
			w.prune(ages)
			commit(t, w.Registry, n, w.resume(n, id))
			w.age(day - time.Hour)
			w.prune(ages)
			w.ok(w.read(n, d, text))
			w.age(2 * time.Hour)
			w.prune(ages)
			w.isEmpty()
		})
		t.Run(when+", and it is pushed again", func(t *testing.T) {
			w, n, id := cut(t)
			w.age(day - time.Hour)
			w.upload(n, text, oci.SHA256)
			w.age(2 * time.Hour)
			w.prune(ages)
			w.has(false, uploadObject(n.Area, id))
			w.ok(w.read(n, d, text))
			w.age(day)
			w.prune(ages)
			w.isEmpty()
		})
	}
}

// A process ends in a commit, and another one prunes at that moment.
func TestPruneInTheMidstOfACommit(t *testing.T) {
	for _, long := range []bool{false, true} {
		for _, op := range []string{"record", "concat", "drop"} {
			w := onPretended(t)
			n := w.named("org/app")
			id := w.begin(n, string(content[:len(content)/2]))
			w.age(20 * time.Hour)
			w.goOn(n, id, string(content[len(content)/2:]))
			if long {
				w.age(20 * time.Hour)
			}
			u := w.resume(n, id)
			if long { // since the request began, which takes so long
				w.age(2 * day)
			}
			pruner := newWorld(t, w.swift.Open())
			done := false
			w.swift.Between(func(rw http.ResponseWriter, r *http.Request) bool {
				isUpload := strings.HasSuffix(r.URL.Path, "/uploads/"+id)
				isConcat := r.URL.Query().Get("multipart-manifest") == "put" && r.Method == http.MethodPut
				hit := op == "record" && isUpload && r.Method == http.MethodPut || op == "concat" && isConcat || op == "drop" && isUpload && r.Method == http.MethodDelete
				if !hit || done {
					return false
				}
				done = true
				answer := httptest.NewRecorder()
				w.swift.Forward(answer, r) // it is done, and nobody knows yet
				pruner.prune(ages)
				for k, v := range answer.Header() {
					rw.Header()[k] = v
				}
				rw.WriteHeader(answer.Code)
				_, _ = rw.Write(answer.Body.Bytes())
				return true
			})
			d := oci.SHA256.Sum(content)
			_, err := u.Commit(t.Context(), d)
			w.swift.Between(nil)
			if !done {
				t.Errorf("%s: no prune", op)
			}
			switch {
			case err == nil:
				w.ok(w.read(n, d, string(content)))
			case !errors.Is(err, oci.BlobUploadUnknown):
				t.Errorf("%s, long %v: Commit: %v", op, long, err)
			case !long:
				t.Errorf("%s: the upload was young: %v", op, err)
			}
			w.ok(u.Close(t.Context()))
			w.age(2 * day)
			w.prune(ages)
			if left := slices.DeleteFunc(w.objects(), func(name string) bool { return strings.HasPrefix(name, ".") }); left != nil {
				t.Errorf("%s, long %v: left: %q", op, long, left)
			}
		}
	}
}

// What the original has stored in Swift is made of parts that lie beside it.
func TestPartsOfTheOriginalInSwift(t *testing.T) {
	w := onPretended(t)
	n := w.named("org/app")
	chunk := bytes.Repeat([]byte("c"), swift.SmallestPart)
	d := oci.SHA256.Sum(append(slices.Clone(chunk), chunk...))
	directory := strings.TrimSuffix(blobObject(n.Area, d), "data")
	var parts []storage.Part
	for _, name := range []string{"1", "2"} {
		w.put(directory+name, string(chunk))
		parts = append(parts, storage.Part{Name: directory + name, Size: int64(len(chunk))})
	}
	w.ok(w.store.Concat(context.Background(), directory+"data", parts))
	w.put(directory+"3", "")
	g := &goods{algorithm: oci.SHA256}
	g.add("application/x", `{"blobs":%s}`, g.list("application/x", string(chunk)+string(chunk)))
	w.pushManifests(n, g, "latest")
	w.age(2 * day)
	if gone := w.prune(ages); !slices.Equal(names(gone), []string{directory + "3"}) {
		t.Errorf("gone: %q", names(gone))
	}
	w.isWhole(n, g, "latest")
	w.age(100 * day)
	w.prune(ages)
	w.isEmpty()
}

// What check has moved aside stays, with its parts.
func TestPartsOfWhatWasMovedAside(t *testing.T) {
	w := onPretended(t)
	n := w.named("org/app")
	w.upload(n, string(content), oci.SHA256)
	d := oci.SHA256.Sum(content)
	w.ok(w.store.Rename(t.Context(), blobObject(n.Area, d), "_local/quarantine/"+d.String()))
	parts := w.parts()
	w.age(1000 * day)
	w.prune(ages)
	if left := w.parts(); !slices.Equal(left, parts) || len(parts) != 4 {
		t.Errorf("the parts are %q, want %q", left, parts)
	}
	w.has(true, "_local/quarantine/"+d.String())
}

// busy is a store where somebody else is about to remove an object: it is not for us to.
type busy struct {
	storage.Driver
	name string
}

func (b busy) Expire(ctx context.Context, name string, moment time.Time) (bool, error) {
	if name == b.name {
		return false, nil
	}
	return b.Driver.Expire(ctx, name, moment)
}

// A blob that another prune is at may yet be touched, and stay: its parts are its own.
func TestPartsOfABlobThatIsLeftToAnotherPrune(t *testing.T) {
	w := onPretended(t)
	n, d := w.named("org/app"), oci.SHA256.Sum(content)
	w.upload(n, string(content), oci.SHA256)
	w.upload(n, "loose", oci.SHA256)
	w.age(2 * day)
	w.through(busy{w.store, blobObject(n.Area, d)}).prune(ages)
	w.ok(w.read(n, d, string(content)))
	w.prune(ages)
	w.isEmpty()
}

// What a record needs that another prune is at stays, and so do the records below it. That
// is so in its area alone.
func TestARecordThatIsLeftToAnotherPrune(t *testing.T) {
	rules(t, map[string]func(w *world){
		"a tag": func(w *world) { leave(w, func(n oci.Name, _ *goods) string { return recordObject(n, "latest") }) },
		"an index": func(w *world) {
			leave(w, func(n oci.Name, g *goods) string { return recordObject(n, g.top.Digest.String()) })
		},
		"an answer": func(w *world) { leave(w, func(n oci.Name, _ *goods) string { return fetchedObject(n, "fetched") }) },
	})
}

func leave(w *world, left func(n oci.Name, g *goods) string) {
	w.Helper()
	here, there, g := w.named("a.example//org/app"), w.named("b.example//org/app"), stock("nested index", "a", oci.SHA256)
	for _, n := range []oci.Name{here, there} {
		w.push(n, g, "latest")
		w.fetch(n, image("fetched"), "fetched")
	}
	blobs := objects(w.T, w.store, here.Area+"/blobs")
	time.Sleep(100 * day)
	w.through(busy{w.store, left(here, g)}).prune(ages)
	w.has(true, append(blobs, left(here, g), recordObject(here, g.manifests[0].Digest.String()))...)
	if left := objects(w.T, w.store, there.Area); left != nil {
		w.Errorf("in the other area there are %q", left)
	}
	w.prune(ages)
	w.isEmpty()
}
