package local_test

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"opendev.org/zuul/zuul-registry/server/local"
	"opendev.org/zuul/zuul-registry/server/oci"
)

// doubtful is a store in which it may become doubtful what is needed: in each of two areas
// there is an old image and a young one, with signatures, and the same fetched.
type doubtful struct {
	*world
	kept, old *goods // pushed
	here      oci.Name
	there     oci.Name // in the other area
}

func newDoubtful(w *world) *doubtful {
	d := &doubtful{w, stock("artifact with subject", "kept", oci.SHA256), stock("artifact with subject", "old", oci.SHA256),
		w.named("org/app"), w.named("quay.io//org/app")}
	for _, n := range []oci.Name{d.here, d.there} {
		w.push(n, d.old, "old")
		w.push(n, d.kept, "kept")
		w.fetch(n, image("old and fetched"), "old")
		w.begin(n, "unfinished")
		w.upload(n, "loose", oci.SHA256)
		w.ok(w.KeepSource(w.Context(), n.Area, oci.SHA256.Sum(nil), oci.PublicName{Namespace: "quay.io", Repository: "a"}))
	}
	time.Sleep(40 * day)
	for _, n := range []oci.Name{d.here, d.there} {
		w.ok(w.store.Touch(w.Context(), recordObject(n, "kept")))
		w.fetch(n, image("kept and fetched"), "kept")
	}
	return d
}

// large stores more than a manifest may have.
func (d *doubtful) large() oci.Digest {
	text := `{"a":"` + strings.Repeat("x", oci.MaxManifestSize) + `"}`
	digest := oci.SHA256.Sum([]byte(text))
	d.put(blobObject(d.here.Area, digest), text)
	return digest
}

// spares prunes a store, and asserts that nothing goes in the area of doubt, and in the
// other one what should.
func (d *doubtful) spares(through *world) {
	d.Helper()
	before := objects(d.T, d.store, d.here.Area)
	gone, err := through.pruneWith(d.Context(), local.Pruning{Ages: ages})
	if !errors.Is(err, local.ErrSpared) {
		d.Errorf("Prune: %v, want ErrSpared", err)
	}
	if after := objects(d.T, d.store, d.here.Area); !slices.Equal(before, after) {
		d.Errorf("in doubt there were\n%s\nand are left\n%s", strings.Join(before, "\n"), strings.Join(after, "\n"))
	}
	for _, r := range gone {
		if strings.HasPrefix(r.Object, d.here.Area+"/") {
			d.Errorf("in doubt %s is said to be removed", r.Object)
		}
	}
	d.other()
	if log := d.log.String(); !strings.Contains(log, "level=ERROR") || !strings.Contains(log, "area="+d.here.Area) {
		d.Errorf("the log is %s", log)
	}
}

// other asserts that there was no doubt in the other area.
func (d *doubtful) other() {
	d.Helper()
	d.isWhole(d.there, d.kept, "kept")
	d.has(false, recordObject(d.there, "old"), blobObject(d.there.Area, d.old.top.Digest), fetchedObject(d.there, "old"),
		blobObject(d.there.Area, oci.SHA256.Sum([]byte("loose"))), sourceObject(d.there.Area, oci.SHA256.Sum(nil)))
	if left := objects(d.T, d.store, d.there.Area+"/uploads"); left != nil {
		d.Errorf("left: %q", left)
	}
}

// prunes asserts that there is no doubt.
func (d *doubtful) prunes() {
	d.Helper()
	d.prune(ages)
	d.other()
	d.has(false, recordObject(d.here, "old"), blobObject(d.here.Area, oci.SHA256.Sum([]byte("loose"))))
}

func TestDamageIsDoubt(t *testing.T) {
	damage := map[string]func(d *doubtful){
		"a directory among the records": func(d *doubtful) { d.put(recordObject(d.here, "manifests")+"/latest", "{}") },
		"a body of which a part is lost": func(d *doubtful) {
			d.put(blobObject(d.here.Area, d.kept.top.Digest), string(d.kept.top.Content[:20]))
		},
		"a body with more behind it": func(d *doubtful) {
			d.put(blobObject(d.here.Area, d.kept.top.Digest), string(d.kept.top.Content)+" ")
		},
		"a body that is another one": func(d *doubtful) {
			d.put(blobObject(d.here.Area, d.kept.top.Digest), string(d.old.top.Content))
		},
		"a body that is too large": func(d *doubtful) {
			d.put(recordObject(d.here, "large"), `{"a/b":"`+d.large().String()+`"}`)
		},
		"an empty body of a referrer that stays": func(d *doubtful) {
			// Which is known to be one by its own digest.
			d.ok(d.store.Touch(d.Context(), recordObject(d.here, d.kept.manifests[1].Digest.String())))
			d.put(blobObject(d.here.Area, d.kept.manifests[1].Digest), "")
		},
	}
	for _, name := range []string{"repos/x", "repos/org/app/x", "repos/manifests/x", "upstream/repos/x"} {
		damage["a stray file, "+name] = func(d *doubtful) { d.put(d.here.Area+"/"+name, "x") }
	}
	for _, text := range []string{"", "{", "{}", "[]", "null", `{"x":"y"}`, `{"a/b":"sha256:x"}`, "\x00"} {
		for _, tag := range []string{"kept", "old"} {
			damage["a record of "+tag+" that is "+text] = func(d *doubtful) { d.put(recordObject(d.here, tag), text) }
		}
		damage["a record of a digest that is "+text] = func(d *doubtful) {
			d.put(recordObject(d.here, d.kept.top.Digest.String()), text)
		}
	}
	for _, name := range []string{"latest~", ".latest.swp", "sha256:abc", "sha384:" + strings.Repeat("a", 96), "SHA256:" + strings.Repeat("a", 64), "a b", "-x", strings.Repeat("a", 200)} {
		damage["a record called "+name] = func(d *doubtful) { d.put(recordObject(d.here, name), "{}") }
		damage["a fetched one called "+name] = func(d *doubtful) { d.put(fetchedObject(d.here, name), "{}") }
	}
	for what, do := range damage {
		t.Run(what, func(t *testing.T) {
			timed(t, func(w *world) {
				d := newDoubtful(w)
				do(d)
				d.spares(w)
			})
		})
	}
}

func TestDamageThatIsNoDoubt(t *testing.T) {
	for what, do := range map[string]func(d *doubtful){
		"of what has expired": func(d *doubtful) {
			d.put(blobObject(d.here.Area, d.old.top.Digest), "damaged")
			d.put(blobObject(d.here.Area, d.old.manifests[1].Digest), "damaged")
		},
		"a manifest that is missing": func(d *doubtful) { d.ok(d.store.Delete(d.Context(), blobObject(d.here.Area, d.kept.top.Digest))) },
		"a layer that is missing": func(d *doubtful) {
			d.ok(d.store.Delete(d.Context(), blobObject(d.here.Area, oci.SHA256.Sum([]byte("layer kept")))))
		},
		"a damaged layer": func(d *doubtful) {
			d.put(blobObject(d.here.Area, oci.SHA256.Sum([]byte("layer kept"))), "damaged")
		},
		"what was fetched": func(d *doubtful) {
			d.put(blobObject(d.here.Area, image("kept and fetched").top.Digest), "damaged")
			d.put(fetchedObject(d.here, "kept"), "")
		},
		"a damaged upload":         func(d *doubtful) { d.put(uploadObject(d.here.Area, "ID"), "") },
		"a damaged source":         func(d *doubtful) { d.put(sourceObject(d.here.Area, oci.SHA256.Sum([]byte("x"))), "") },
		"a damaged referrer entry": func(d *doubtful) { d.put(entryObject(d.here, d.kept.top.Digest, d.kept.top.Digest), "") },
		"a body that is no manifest": func(d *doubtful) {
			digest := oci.SHA256.Sum([]byte("text"))
			d.put(blobObject(d.here.Area, digest), "text")
			d.put(recordObject(d.here, "text"), `{"a/b":"`+digest.String()+`"}`)
		},
		"a large layer that an index lists as a manifest": func(d *doubtful) {
			digest := d.large()
			index, err := oci.NewManifest(oci.MediaTypeImageIndex,
				[]byte(`{"manifests":[{"digest":"`+digest.String()+`","size":1}]}`), oci.SHA256)
			d.ok(err)
			d.put(blobObject(d.here.Area, index.Digest), string(index.Content))
			d.put(recordObject(d.here, "index"), `{"a/b":"`+index.Digest.String()+`"}`)
		},
		"a body that is too deep": func(d *doubtful) {
			text := strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000)
			digest := oci.SHA256.Sum([]byte(text))
			d.put(blobObject(d.here.Area, digest), text)
			d.put(recordObject(d.here, "deep"), `{"a/b":"`+digest.String()+`"}`)
		},
		"a stray file elsewhere": func(d *doubtful) {
			for _, name := range []string{"x", "blobs/x", "referrers/x", "upstream/x", "upstream/sources/x", "quarantine/x"} {
				d.put(d.here.Area+"/"+name, "x")
			}
		},
	} {
		t.Run(what, func(t *testing.T) {
			timed(t, func(w *world) {
				d := newDoubtful(w)
				do(d)
				d.prunes()
			})
		})
	}
}

var errDisk = errors.New("the disk is tired")

// failing is a store where some operations on names fail that end so.
func (w *world) failing(op string, suffixes ...string) *world {
	return w.through(between{w.store, func(o, name string) error {
		for _, s := range suffixes {
			if o == op && strings.HasSuffix(name, s) {
				return errDisk
			}
		}
		return nil
	}})
}

// A fault while it is found out what is needed.
func TestAFaultWhileMarkingIsDoubt(t *testing.T) {
	const area = "_local"
	for what, through := range map[string]func(d *doubtful) *world{
		"reading a tag":           func(d *doubtful) *world { return d.failing("open", recordObject(d.here, "kept")) },
		"reading an old tag":      func(d *doubtful) *world { return d.failing("open", recordObject(d.here, "old")) },
		"reading a digest":        func(d *doubtful) *world { return d.failing("open", recordObject(d.here, d.kept.top.Digest.String())) },
		"reading a manifest":      func(d *doubtful) *world { return d.failing("open", blobObject(area, d.kept.top.Digest)) },
		"reading an old manifest": func(d *doubtful) *world { return d.failing("open", blobObject(area, d.old.manifests[1].Digest)) },
		"reading a referrer":      func(d *doubtful) *world { return d.failing("open", blobObject(area, d.kept.manifests[2].Digest)) },
		"reading what was fetched": func(d *doubtful) *world {
			return d.failing("open", fetchedObject(d.here, "kept"))
		},
		"reading a manifest that was fetched": func(d *doubtful) *world {
			return d.failing("open", blobObject(area, image("kept and fetched").top.Digest))
		},
		"listing records":      func(d *doubtful) *world { return d.failing("list", area+"/repos/org/app/manifests") },
		"listing repositories": func(d *doubtful) *world { return d.failing("list", area+"/repos", area+"/repos/org") },
		"listing what was fetched": func(d *doubtful) *world {
			return d.failing("list", area+"/upstream/repos", area+"/upstream/repos/org/app/manifests")
		},
	} {
		t.Run(what, func(t *testing.T) {
			timed(t, func(w *world) {
				d := newDoubtful(w)
				d.spares(through(d))
				if !strings.Contains(d.log.String(), errDisk.Error()) {
					d.Errorf("the log does not say why: %s", d.log)
				}
				d.prunes() // when all is well again
			})
		})
	}
}

// Without a list of the areas nothing can be done.
func TestAFaultWhileListingAreas(t *testing.T) {
	timed(t, func(w *world) {
		d := newDoubtful(w)
		before := d.objects()
		if _, err := d.failing("list", ".").pruneWith(w.Context(), local.Pruning{Ages: ages}); err == nil {
			w.Error("Prune: no error")
		}
		if after := d.objects(); !slices.Equal(before, after) {
			w.Errorf("left: %q, want %q", after, before)
		}
	})
}

// What cannot be removed stays alone, unless it is a record: what that needs must stay.
func TestAFaultWhileSweepingSparesOneObject(t *testing.T) {
	loose := blobObject(oci.LocalArea, oci.SHA256.Sum([]byte("loose")))
	for what, tt := range map[string]struct {
		op   string
		name func(d *doubtful) string
	}{
		"Stat of a blob":       {"stat", func(*doubtful) string { return loose }},
		"Expire of a blob":     {"expire", func(*doubtful) string { return loose }},
		"Expire of a manifest": {"expire", func(d *doubtful) string { return blobObject(d.here.Area, d.old.top.Digest) }},
		"Stat of an entry":     {"stat", func(d *doubtful) string { return entryObject(d.here, d.old.top.Digest, d.old.manifests[1].Digest) }},
		"Expire of an entry":   {"expire", func(d *doubtful) string { return entryObject(d.here, d.old.top.Digest, d.old.manifests[1].Digest) }},
		"Expire of a source":   {"expire", func(d *doubtful) string { return sourceObject(d.here.Area, oci.SHA256.Sum(nil)) }},
		"Expire of a part":     {"expire", func(d *doubtful) string { return objects(d.T, d.store, d.here.Area+"/segments")[0] }},
		"Stat of a part":       {"stat", func(d *doubtful) string { return objects(d.T, d.store, d.here.Area+"/segments")[0] }},
	} {
		t.Run(what, func(t *testing.T) {
			timed(t, func(w *world) {
				d := newDoubtful(w)
				name := tt.name(d)
				would, err := d.pruneWith(w.Context(), local.Pruning{Ages: ages, DryRun: true})
				d.ok(err)
				gone, err := d.failing(tt.op, name).pruneWith(w.Context(), local.Pruning{Ages: ages})
				if !errors.Is(err, local.ErrSpared) {
					d.Errorf("Prune: %v, want ErrSpared", err)
				}
				if !strings.Contains(d.log.String(), errDisk.Error()) || !strings.Contains(d.log.String(), strings.TrimSuffix(name, "/data")) {
					d.Errorf("the log does not say what: %s", d.log)
				}
				// A blob that stays may need any part.
				parts := strings.HasSuffix(name, "/data")
				want := slices.DeleteFunc(would, func(r local.Removal) bool {
					return r.Object == name || parts && r.Kind == local.PartKind && strings.HasPrefix(r.Object, d.here.Area)
				})
				if got, want := names(gone), names(want); !slices.Equal(got, want) {
					d.Errorf("removed\n%q\nwant\n%q", got, want)
				}
				d.has(true, name)
				d.prunes()
				d.has(false, name)
			})
		})
	}
}

// A record that stays though it has expired needs what it did.
func TestARecordThatCannotBeRemovedKeepsAllItNeeds(t *testing.T) {
	for what, record := range map[string]func(d *doubtful) string{
		"a tag":            func(d *doubtful) string { return recordObject(d.here, "old") },
		"a digest":         func(d *doubtful) string { return recordObject(d.here, d.old.top.Digest.String()) },
		"what was fetched": func(d *doubtful) string { return fetchedObject(d.here, image("old and fetched").top.Digest.String()) },
	} {
		for _, op := range []string{"stat", "expire"} {
			t.Run(op+" of "+what, func(t *testing.T) {
				timed(t, func(w *world) {
					d := newDoubtful(w)
					blobs := objects(w.T, d.store, d.here.Area+"/blobs")
					if _, err := d.failing(op, record(d)).pruneWith(w.Context(), local.Pruning{Ages: ages}); !errors.Is(err, local.ErrSpared) {
						d.Errorf("Prune: %v, want ErrSpared", err)
					}
					d.has(true, record(d))
					if left := objects(w.T, d.store, d.here.Area+"/blobs"); !slices.Equal(left, blobs) {
						d.Errorf("of the blobs %q are left, want %q", left, blobs)
					}
					d.other()
					d.prunes()
				})
			})
		}
	}
}

// What leads to others goes before them: a tag, an index, an index in that.
func TestRecordsGoFromTheTop(t *testing.T) {
	for i, fails := range []string{"tag", "outermost index", "index in it"} {
		t.Run(fails, func(t *testing.T) {
			timed(t, func(w *world) {
				n, g := w.named("org/app"), stock("nested index", "a", oci.SHA256)
				w.push(n, g, "latest")
				last := len(g.manifests) - 1 // which has the one before, and that has the indexes 1 and 3
				time.Sleep(100 * day)
				records := []string{recordObject(n, "latest"), recordObject(n, g.top.Digest.String()), recordObject(n, g.manifests[last-2].Digest.String())}
				if _, err := w.failing("expire", records[i]).pruneWith(w.Context(), local.Pruning{Ages: ages}); !errors.Is(err, local.ErrSpared) {
					w.Errorf("Prune: %v, want ErrSpared", err)
				}
				for above, record := range records {
					w.has(above >= i, record)
				}
				w.has(true, recordObject(n, g.manifests[0].Digest.String()), recordObject(n, g.manifests[1].Digest.String()))
				w.prune(ages)
				w.isEmpty()
			})
		})
	}
}

// Where it is not certain what the parts belong to, they stay, and the rest goes.
func TestDoubtAboutParts(t *testing.T) {
	for what, through := range map[string]func(d *doubtful) *world{
		"the parts of a blob": func(d *doubtful) *world { return d.failing("parts", blobObject(d.here.Area, d.kept.top.Digest)) },
		"the list of blobs":   func(d *doubtful) *world { return d.failing("list", d.here.Area+"/blobs") },
		"the list of uploads": func(d *doubtful) *world { return d.failing("list", d.here.Area+"/uploads") },
		"an upload": func(d *doubtful) *world {
			id := d.begin(d.here, "just begun")
			return d.failing("open", uploadObject(d.here.Area, id))
		},
		"the record of an old upload": func(d *doubtful) *world {
			return d.failing("expire", objects(d.T, d.store, d.here.Area+"/uploads")...)
		},
		"the list of what was moved aside": func(d *doubtful) *world { return d.failing("list", d.here.Area+"/quarantine") },
		"the parts of what was moved aside": func(d *doubtful) *world {
			d.put(d.here.Area+"/quarantine/x", "x")
			return d.failing("parts", d.here.Area+"/quarantine/x")
		},
	} {
		t.Run(what, func(t *testing.T) {
			timed(t, func(w *world) {
				d := newDoubtful(w)
				parts := objects(w.T, d.store, d.here.Area+"/segments")
				broken := through(d)
				if _, err := broken.pruneWith(w.Context(), local.Pruning{Ages: ages}); !errors.Is(err, local.ErrSpared) {
					d.Errorf("Prune: %v, want ErrSpared", err)
				}
				d.has(true, parts...)
				d.has(false, recordObject(d.here, "old"), sourceObject(d.here.Area, oci.SHA256.Sum(nil)))
				d.other()
				d.prunes()
				d.has(false, parts...)
			})
		})
	}
}

// operations are all that a dry run does with the store, as "stat name".
func (w *world) operations() (all []string) {
	w.Helper()
	var mu sync.Mutex
	_, err := w.through(between{w.store, func(op, name string) error {
		mu.Lock()
		defer mu.Unlock()
		all = append(all, op+" "+name)
		return nil
	}}).pruneWith(w.Context(), local.Pruning{Ages: ages, DryRun: true})
	w.ok(err)
	return all
}

// A prune that is to end does so, at whatever it is, and says so.
func TestAPruneEnds(t *testing.T) {
	timed(t, func(w *world) {
		newDoubtful(w)
		count := len(w.operations())
		for at := range count {
			ctx, cancel := context.WithCancel(w.Context())
			var n atomic.Int64
			ending := w.through(between{w.store, func(op, name string) error {
				if n.Add(1) > int64(at) {
					cancel()
					return ctx.Err()
				}
				return nil
			}})
			if _, err := ending.pruneWith(ctx, local.Pruning{Ages: ages, DryRun: true}); !errors.Is(err, context.Canceled) || errors.Is(err, local.ErrSpared) {
				w.Errorf("at operation %d of %d: %v, want the context's error", at, count, err)
			}
			cancel()
			if log := w.log.String(); log != "" {
				w.Errorf("at operation %d of %d it logs %s", at, count, log)
			}
		}
	})
}

// A store that takes no notice of the context does not keep a prune from ending.
func TestAPruneEndsInTime(t *testing.T) {
	timed(t, func(w *world) {
		newDoubtful(w)
		begin := time.Now()
		ctx, cancel := context.WithTimeout(w.Context(), time.Minute)
		defer cancel()
		slow := w.through(between{w.store, func(string, string) error { time.Sleep(10 * time.Second); return nil }})
		if _, err := slow.pruneWith(ctx, local.Pruning{Ages: ages}); !errors.Is(err, context.DeadlineExceeded) {
			w.Errorf("Prune: %v, want the context's error", err)
		}
		if took := time.Since(begin); took > 2*time.Minute {
			w.Errorf("it took %v", took)
		}
	})
}

// What is gone when prune comes to it is no fault.
func TestObjectsThatGoMeanwhile(t *testing.T) {
	timed(t, func(w *world) {
		d := newDoubtful(w)
		for _, one := range w.operations() {
			op, name, _ := strings.Cut(one, " ")
			if op == "list" || op == "parts" {
				continue // what is not there is empty
			}
			missing := w.through(between{w.store, func(o, n string) error {
				if o == op && n == name {
					return fs.ErrNotExist
				}
				return nil
			}})
			if _, err := missing.pruneWith(w.Context(), local.Pruning{Ages: ages, DryRun: true}); err != nil {
				w.Errorf("%s: %v\n%s", one, err, d.log)
			}
		}
	})
}
