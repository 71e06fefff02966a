package local_test

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"opendev.org/zuul/zuul-registry/server/local"
	"opendev.org/zuul/zuul-registry/server/namespace"
	"opendev.org/zuul/zuul-registry/server/oci"
	"opendev.org/zuul/zuul-registry/server/storage/filesystem"
)

// shop is a registry on files, with one image in it.
type shop struct {
	*testing.T
	*local.Registry
	root          string
	config, image oci.Digest
}

func newShop(t *testing.T) *shop {
	t.Helper()
	s := &shop{T: t, root: t.TempDir()}
	d, err := filesystem.New(filesystem.Options{Root: s.root})
	if err != nil {
		t.Fatal(err)
	}
	s.Registry = local.New(d, local.Options{})
	name, err := oci.ParseName("org/app")
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	u, err := s.StartUpload(ctx, name)
	if err != nil {
		t.Fatal(err)
	}
	if err := u.Append(ctx, 0, strings.NewReader("{}")); err != nil {
		t.Fatal(err)
	}
	s.config = oci.SHA256.Sum([]byte("{}"))
	if _, err := u.Commit(ctx, s.config); err != nil {
		t.Fatal(err)
	}
	m, err := oci.NewManifest(oci.MediaTypeImageManifest, []byte(`{"config":{"mediaType":"x","size":2,"digest":"`+s.config.String()+`"}}`), oci.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	s.image = m.Digest
	tag, err := oci.ParseTag("latest")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.PutManifest(ctx, name, m, tag); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *shop) blob(d oci.Digest) string {
	return filepath.Join(s.root, "_local/blobs", d.String(), "data")
}

func (s *shop) record(ref string) string {
	return filepath.Join(s.root, "_local/repos/org/app/manifests", ref)
}

func (s *shop) write(path, content string) {
	s.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		s.Fatal(err)
	}
}

// fill puts digests in the place of what stands for them.
func (s *shop) fill(text string) string {
	return strings.NewReplacer("$config", s.config.String(), "$image", s.image.String(),
		"$other", sum("other").String(), "$empty", sum("").String(), "$wrong", sum("wrong").String(),
		"$blobs/", "_local/blobs/", "$manifests/", "_local/repos/org/app/manifests/",
		"$fetched/", "_local/upstream/repos/org/app/manifests/").Replace(text)
}

func sum(text string) oci.Digest { return oci.SHA256.Sum([]byte(text)) }

func (s *shop) path(name string) string { return filepath.Join(s.root, s.fill(name)) }

// has makes objects of names and contents.
func (s *shop) has(objects ...string) {
	s.Helper()
	for i := 0; i < len(objects); i += 2 {
		if err := os.MkdirAll(filepath.Dir(s.path(objects[i])), 0o755); err != nil {
			s.Fatal(err)
		}
		s.write(s.path(objects[i]), s.fill(objects[i+1]))
	}
}

// hasManifest has one in the place of the image, under a record.
func (s *shop) hasManifest(content, record string) oci.Digest {
	s.Helper()
	content = s.fill(content)
	d := sum(content)
	s.has("$blobs/"+d.String()+"/data", content, "$manifests/"+record, `{"x/y":"`+d.String()+`"}`)
	return d
}

// hasIndex has one of manifests that are as large as the image.
func (s *shop) hasIndex(record string, digests ...string) oci.Digest {
	s.Helper()
	var all []string
	for _, d := range digests {
		all = append(all, `{"size":`+s.imageSize()+`,"digest":"`+d+`"}`)
	}
	return s.hasManifest(`{"manifests":[`+strings.Join(all, ",")+`]}`, record)
}

func (s *shop) lacks(names ...string) {
	s.Helper()
	for _, name := range names {
		if err := os.RemoveAll(s.path(name)); err != nil {
			s.Fatal(err)
		}
	}
}

// inspect is what Check finds, as lines.
func (s *shop) inspect(quarantine bool) []string {
	s.Helper()
	found, done, total := inspect(s.T, s.Registry, quarantine)
	if done != total {
		s.Errorf("%d of %d objects are done", done, total)
	}
	return found
}

func inspect(t *testing.T, r *local.Registry, quarantine bool) (found []string, done, total int) {
	t.Helper()
	var inside atomic.Int32
	alone := func() func() {
		if inside.Add(1) > 1 {
			t.Error("two are called at the same time")
		}
		return func() { inside.Add(-1) }
	}
	err := r.Check(t.Context(), local.Inspection{
		Quarantine: quarantine,
		Report: func(f local.Fault) {
			defer alone()()
			line := f.Object + ": " + f.Problem
			if f.Moved != "" {
				line += " -> " + f.Moved
			}
			found = append(found, line)
		},
		Progress: func(n, of int) {
			defer alone()()
			if n != done+1 || n > of || done > 0 && of != total {
				t.Errorf("progress is %d of %d after %d of %d", n, of, done, total)
			}
			done, total = n, of
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(found)
	return found, done, total
}

func TestCheckFinds(t *testing.T) {
	const belongs = ": is nothing that belongs here"
	for what, tt := range map[string]struct {
		damage func(s *shop)
		want   []string
	}{
		"nothing in a sound store": {func(*shop) {}, nil},

		"changed content": {func(s *shop) { s.has("$blobs/$config/data", "[]") },
			[]string{"$blobs/$config/data: has the content of " + sum("[]").String()}},
		"a shortened blob": {func(s *shop) { s.has("$blobs/$config/data", "") },
			[]string{"$blobs/$config/data: has the content of $empty",
				"$manifests/$image: says that $config has 2 bytes: it has 0"}},
		"a blob of another algorithm": {func(s *shop) {
			d := oci.SHA512.Sum([]byte("right")).String()
			s.has("$blobs/"+d+"/data", "right", "$blobs/"+strings.Replace(d, "sha512:", "sha512:0", 1)[:len(d)]+"/data", "right")
		}, []string{"$blobs/sha512:0" + oci.SHA512.Sum([]byte("right")).String()[7:134] + "/data: has the content of " + oci.SHA512.Sum([]byte("right")).String()}},
		"a blob that cannot be read": {func(s *shop) {
			s.lacks("$blobs/$config/data")
			if err := os.Symlink("data", s.path("$blobs/$config/data")); err != nil {
				s.Fatal(err)
			}
		}, []string{"$blobs/$config/data: cannot be read: open /$blobs/$config/data: too many levels of symbolic links",
			"$manifests/$image: refers to $config, which cannot be looked for: stat /$blobs/$config/data: too many levels of symbolic links"}},
		"nothing where a push ended before its blob": {func(s *shop) { _ = os.Mkdir(s.path("$blobs/$other"), 0o755) }, nil},
		"nothing in what the original leaves of an upload": {func(s *shop) {
			s.has("$blobs/$config/metadata", "{}", "$blobs/$config/1", "a", "$blobs/$config/12", "b",
				"$blobs/$config/uploads/0b51/1", "a", "$blobs/$config/uploads/0b51/metadata", "{}",
				"_local/uploads/0b51/metadata", "{}", "_local/uploads/0b51/1", "a")
		}, nil},
		"strays among blobs": {func(s *shop) {
			s.has("$blobs/stray", "", "$blobs/$config/data~", "", "$blobs/$config/1/2", "", "$blobs/stray.d/data", "",
				"$blobs/$config/uploads/1", "", "$blobs/$config/uploads/0b51/1~", "", "_local/uploads/0b51/data", "",
				"_local/uploads/0b51/1/1", "", "$blobs/$empty/data/data", "")
		}, []string{"$blobs/$config/1" + belongs, "$blobs/$config/data~" + belongs, "$blobs/$config/uploads/0b51/1~" + belongs,
			"$blobs/$config/uploads/1" + belongs, "$blobs/$empty/data" + belongs, "$blobs/stray" + belongs, "$blobs/stray.d: is not called by a digest",
			"_local/uploads/0b51/1" + belongs, "_local/uploads/0b51/data" + belongs}},

		"a lost blob": {func(s *shop) { s.lacks("$blobs/$config") },
			[]string{"$manifests/$image: refers to $config, which is not there"}},
		"nothing in a blob with a source": {func(s *shop) {
			s.lacks("$blobs/$config")
			s.has("_local/upstream/sources/$config", `{"namespace":"docker.io","repository":"library/debian"}`)
		}, nil},
		"a lost blob with a damaged source": {func(s *shop) {
			s.lacks("$blobs/$config")
			s.has("_local/upstream/sources/$config", `{`)
		}, []string{"$manifests/$image: refers to $config, which is not there",
			"_local/upstream/sources/$config: is damaged: unexpected end of JSON input"}},
		"nothing in a vendor's layer": {func(s *shop) {
			s.hasManifest(`{"config":{"size":2,"digest":"$config"},"layers":[`+
				`{"mediaType":"application/vnd.oci.image.layer.nondistributable.v1.tar","size":5,"digest":"$other"}]}`, "foreign")
		}, nil},
		"a lost manifest": {func(s *shop) { s.lacks("$blobs/$image") },
			[]string{"$manifests/$image: its manifest is not there: $image"}},
		"a lost manifest that only a tag names": {func(s *shop) { s.lacks("$blobs/$image", "$manifests/$image") },
			[]string{"$manifests/latest: its manifest is not there: $image"}},
		"a manifest that is none": {func(s *shop) { s.hasManifest("[]", "list") },
			[]string{"$manifests/list: its manifest, " + sum("[]").String() +
				", is none: MANIFEST_INVALID: manifest cannot be read: json: cannot unmarshal array into Go value of type map[string]json.RawMessage"}},
		"a manifest that is too large": {func(s *shop) { s.hasManifest("{}"+strings.Repeat(" ", oci.MaxManifestSize), "large") },
			[]string{"$manifests/large: its manifest, " + sum("{}"+strings.Repeat(" ", oci.MaxManifestSize)).String() + ", has more than 4194304 bytes"}},
		"nothing in an index": {func(s *shop) {
			s.hasIndex("index", "$image")
		}, nil},
		"a child of another size": {func(s *shop) { s.hasManifest(`{"manifests":[{"size":7,"digest":"$image"}]}`, "index") },
			[]string{"$manifests/index: says that $image has 7 bytes: it has $size"}},
		"what is said twice, once": {func(s *shop) {
			s.hasManifest(`{"layers":[{"size":5,"digest":"$other"},{"size":5,"digest":"$other"},{"size":1,"digest":"$config"},`+
				`{"size":2,"digest":"$config"},{"size":3,"digest":"$config"}],"manifests":[{"size":5,"digest":"$wrong"},{"size":5,"digest":"$wrong"}]}`, "twice")
		}, []string{"$manifests/twice: refers to $other, which is not there", "$manifests/twice: refers to $wrong, which is not there", "$manifests/twice: says that $config has 1 bytes: it has 2",
			"$manifests/twice: says that $config has 3 bytes: it has 2"}},
		"a lost child": {func(s *shop) { s.hasManifest(`{"manifests":[{"size":5,"digest":"$other"}]}`, "index") },
			[]string{"$manifests/index: refers to $other, which is not there"}},
		"nothing in a child that only its parent names, which only a tag does": {func(s *shop) {
			s.hasIndex("index", "$image")
			s.lacks("$manifests/$image", "$manifests/latest")
		}, nil},
		"what a child lacks that only its parent names": {func(s *shop) {
			s.hasIndex("index", "$image", "$image")
			s.lacks("$manifests/$image", "$manifests/latest", "$blobs/$config")
		}, []string{"$manifests/index: refers to $config, which is not there"}},
		"a child that is not of the repository": {func(s *shop) {
			d := s.hasIndex("index", "$image").String()
			s.has("$manifests/"+d, `{"x/y":"`+d+`"}`)
			s.lacks("$manifests/$image", "$manifests/latest")
		}, []string{"$manifests/$index: refers to $image, which is no manifest of the repository"}},
		"nothing in a child that can be fetched": {func(s *shop) {
			d := s.hasIndex("index", "$image").String()
			s.has("$manifests/"+d, `{"x/y":"`+d+`"}`, "_local/upstream/sources/$image", `{"namespace":"docker.io","repository":"library/debian"}`)
			s.lacks("$manifests/$image", "$manifests/latest")
		}, nil},
		"an index that claims to be its own child": {func(s *shop) {
			const own = `{"manifests":[{"size":111,"digest":"$other"}]}`
			s.has("$blobs/$other/data", own, "$manifests/own", `{"x/y":"$other"}`)
		}, []string{"$blobs/$other/data: has the content of $own"}},

		"a damaged record": {func(s *shop) { s.has("$manifests/latest", "{") },
			[]string{"$manifests/latest: is damaged: unexpected end of JSON input"}},
		"a record of no manifest": {func(s *shop) { s.has("$manifests/latest", "{}") },
			[]string{"$manifests/latest: is damaged: it names no manifest"}},
		"a digest that is another": {func(s *shop) { s.has("$manifests/$other", `{"x":"$image"}`) },
			[]string{"$manifests/$other: names another manifest, $image"}},
		"nothing in older manifests of a record": {func(s *shop) { s.has("$manifests/latest", `{"a/b":"$other","x/y":"$image"}`) }, nil},
		"a record that has lost all of its manifests": {func(s *shop) { s.has("$manifests/old", `{"a/b":"$other","x/y":"$wrong"}`) },
			[]string{"$manifests/old: its manifest is not there: $other"}},
		"strays among records": {func(s *shop) {
			s.has("$manifests/latest~", "", "$manifests/dir/latest", "", "_local/repos/org/app/stray", "", "_local/repos/stray", "",
				"_local/repos/manifests/latest", "")
		}, []string{"$manifests/dir" + belongs, "$manifests/latest~: is neither a tag nor a digest",
			"_local/repos/manifests" + belongs, "_local/repos/org/app/stray" + belongs, "_local/repos/stray" + belongs}},

		"nothing in what refers to a subject": {func(s *shop) {
			d := s.hasManifest(`{"subject":{"size":5,"digest":"$other"}}`, "x").String()
			s.has("$manifests/"+d, `{"x/y":"`+d+`"}`, "_local/referrers/org/app/$other/"+d, `{"digest":"`+d+`"}`)
		}, nil},
		"nothing in what was half pushed": {func(s *shop) {
			s.has("_local/referrers/org/app/$image/$other", `{"digest":"$other"}`, "_local/referrers/org/app/$image/$config", `{"digest":"$config"}`)
		}, nil},
		"what refers to another subject": {func(s *shop) {
			s.has("_local/referrers/org/app/$other/$image", `{"digest":"$image"}`)
			d := s.hasManifest(`{"subject":{"size":5,"digest":"$other"}}`, "x").String()
			s.has("$manifests/"+d, `{"x/y":"`+d+`"}`, "_local/referrers/org/app/$image/"+d, `{"digest":"`+d+`"}`)
		}, []string{"_local/referrers/org/app/$image/$referrer: lists a manifest that has another subject, or none",
			"_local/referrers/org/app/$other/$image: lists a manifest that has another subject, or none"}},
		"what describes another manifest": {func(s *shop) {
			s.has("_local/referrers/org/app/$other/$image", `{"digest":"$other"}`, "_local/referrers/org/app/$other/$config", `{}`)
		}, []string{"_local/referrers/org/app/$other/$config: describes another manifest than $config",
			"_local/referrers/org/app/$other/$image: describes another manifest than $image"}},
		"damaged entries": {func(s *shop) {
			s.has("_local/referrers/org/app/$other/$image", `{`, "_local/uploads/ABC", `{`, "_local/upstream/sources/$other", `{}`)
		}, []string{"_local/referrers/org/app/$other/$image: is damaged: unexpected end of JSON input",
			"_local/uploads/ABC: is damaged: unexpected end of JSON input", "_local/upstream/sources/$other: names no repository"}},
		"strays among referrers": {func(s *shop) {
			s.has("_local/referrers/stray", "", "_local/referrers/$other/$image", "", "_local/referrers/org/app/stray", "",
				"_local/referrers/org/app/$other/stray", "", "_local/referrers/org/app/$other/$config/x", "")
		}, []string{"_local/referrers/$other" + belongs, "_local/referrers/org/app/$other/$config" + belongs,
			"_local/referrers/org/app/$other/stray" + belongs, "_local/referrers/org/app/stray" + belongs, "_local/referrers/stray" + belongs}},

		"nothing in what was fetched and has lost its body": {func(s *shop) {
			s.has("$fetched/latest", `{"x/y":"$other"}`, "$fetched/$other", `{"x/y":"$other"}`)
		}, nil},
		"damage of what was fetched": {func(s *shop) {
			s.has("$fetched/latest", `{`, "$fetched/$other", `{"x/y":"$image"}`, "$blobs/$wrong/data", "not it",
				"$fetched/$wrong", `{"x/y":"$wrong"}`, "_local/upstream/repos/stray", "", "_local/upstream/stray", "",
				"_local/upstream/sources/stray", "", "_local/upstream/sources/$image/x", "")
		}, []string{"$blobs/$wrong/data: has the content of " + sum("not it").String(),
			"$fetched/latest: is damaged: unexpected end of JSON input", "$fetched/$other: names another manifest, $image",
			"_local/upstream/repos/stray" + belongs, "_local/upstream/sources/$image" + belongs,
			"_local/upstream/sources/stray" + belongs, "_local/upstream/stray" + belongs}},

		"nothing in the content of uploads, and in quarantine": {func(s *shop) {
			s.has("_local/segments/ABC", "content", "_local/quarantine/$config", "not it")
		}, nil},
		"strays in an area": {func(s *shop) {
			s.has("_local/stray", "", "_local/tmp/x", "", "quay.io/repos", "", "_local/quarantine/stray", "")
		}, []string{"_local/quarantine/stray" + belongs, "_local/stray" + belongs, "_local/tmp" + belongs, "quay.io/repos" + belongs}},
		"nothing beside areas": {func(s *shop) { s.has("lost+found/x", "", "_prune", "") }, nil},
		"damage in every namespace": {func(s *shop) {
			s.has("quay.io/blobs/$other/data", "wrong", "docker.io/repos/a/manifests/x", `{"x/y":"$image"}`)
		},
			[]string{"docker.io/repos/a/manifests/x: its manifest is not there: $image", "quay.io/blobs/$other/data: has the content of $wrong"}},
	} {
		t.Run(what, func(t *testing.T) {
			s := newShop(t)
			size := s.imageSize()
			tt.damage(s)
			s.age()
			before := s.files()
			got := s.inspect(false)
			for i := range got {
				got[i] = strings.ReplaceAll(got[i], s.root, "")
			}
			var want []string
			for _, line := range tt.want {
				line = strings.NewReplacer("$size", size, "$index", sum(s.fill(`{"manifests":[{"size":`+size+`,"digest":"$image"}]}`)).String(),
					"$own", sum(s.fill(`{"manifests":[{"size":111,"digest":"$other"}]}`)).String(),
					"$referrer", sum(s.fill(`{"subject":{"size":5,"digest":"$other"}}`)).String()).Replace(line)
				want = append(want, s.fill(line))
			}
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("it finds\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
			if after := s.files(); !maps.Equal(before, after) {
				t.Errorf("the store was\n%v, and is\n%v", before, after)
			}
		})
	}
}

// A child may be recorded under an older name of its repository.
func TestCheckKnowsOlderNames(t *testing.T) {
	s := newShop(t)
	d := s.hasIndex("index", "$image").String()
	s.has("_local/repos/library/app/manifests/"+d, `{"x/y":"`+d+`"}`, "_local/repos/app/manifests/$image", `{"x/y":"$image"}`)
	driver, err := filesystem.Attach(s.root)
	if err != nil {
		t.Fatal(err)
	}
	finds(t, local.New(driver, local.Options{Older: namespace.Auto.Older}), false)
	finds(t, local.New(driver, local.Options{}), false,
		"_local/repos/library/app/manifests/"+d+": refers to "+s.image.String()+", which is no manifest of the repository")
}

// age makes all files old.
func (s *shop) age() {
	s.Helper()
	old := time.Now().Add(-24 * time.Hour)
	for path := range s.files() {
		if err := os.Chtimes(path, old, old); err != nil {
			s.Fatal(err)
		}
	}
}

// files are those of the store, with their sizes and times.
func (s *shop) files() map[string]string {
	s.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(s.root, func(path string, e os.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() || e.Name() == ".lock" {
			return err
		}
		info, err := e.Info()
		if err == nil {
			all[path] = fmt.Sprint(info.Size(), " ", info.ModTime())
		}
		return err
	})
	if err != nil {
		s.Fatal(err)
	}
	return all
}

// imageSize is in bytes.
func (s *shop) imageSize() string {
	s.Helper()
	info, err := os.Stat(s.blob(s.image))
	if err != nil {
		s.Fatal(err)
	}
	return fmt.Sprint(info.Size())
}
