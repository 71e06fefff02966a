package replicas

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	godigest "github.com/opencontainers/go-digest"
)

// TestLedger shows what the ledger takes for wrong.
func TestLedger(t *testing.T) {
	at := func(seconds int) time.Time { return time.Unix(int64(seconds), 0) }
	l := newLedger()
	const ref = "registry.test:9000/app:latest"
	l.pushes[ref] = []*push{
		{ref: ref, image: "first", begin: at(10), end: at(20), digest: "acknowledged"},
		{ref: ref, image: "failed", begin: at(30), end: at(40)},
		{ref: ref, image: "second", begin: at(50), end: at(60), digest: "acknowledged"},
		{ref: ref, image: "beside", begin: at(55), end: at(65), digest: "acknowledged"},
		{ref: ref, image: "running", begin: at(70)},
	}
	tests := []struct {
		rule  string
		image string
		asked int
		wrong bool
	}{
		{"what was acknowledged", "first", 25, false},
		{"what was not, and came", "failed", 45, false},
		{"what is replaced just now", "first", 55, false},
		{"what was replaced", "first", 61, true},
		{"what failed, and was replaced", "failed", 61, true},
		{"one of two at the same time", "second", 80, false},
		{"the other one", "beside", 80, false},
		{"what is pushed just now", "running", 80, false},
		{"what nobody has pushed", "stranger", 80, true},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			if err := l.check(ref, tt.image, at(tt.asked)); (err != nil) != tt.wrong {
				t.Errorf("%s at %d: %v", tt.image, tt.asked, err)
			}
		})
	}
}

// TestWhole: an image is not whole when anything of it is another one.
func TestWhole(t *testing.T) {
	one, other := newLayer(1, 1000), newLayer(2, 1000)
	image, err := makeImage(t.TempDir(), one)
	if err != nil {
		t.Fatal(err)
	}
	if id, err := readPulled(image.layout); err != nil || id != image.id {
		t.Errorf("it is %s, %v; want %s", id, err, image.id)
	}
	file := filepath.Join(image.layout, blobPath(godigest.FromBytes(one.content)))
	for what, content := range map[string][]byte{"another": other.content, "shorter": one.content[:500], "empty": nil} {
		if err := os.WriteFile(file, content, 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := readPulled(image.layout); err == nil {
			t.Errorf("that the layer is %s was not found", what)
		}
	}
	mislabelled, err := makeImage(t.TempDir(), layer{one.content, other.diffID})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := readPulled(mislabelled.layout); err == nil {
		t.Error("that there is something else in the layer was not found")
	}
}
