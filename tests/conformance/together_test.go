package conformance

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
)

// together runs clients at the same time: all begin when all are ready.
func together(t *testing.T, clients int, client func(n int) error) {
	t.Helper()
	var ready, done sync.WaitGroup
	faults := make([]error, clients)
	ready.Add(clients)
	for n := range clients {
		done.Go(func() {
			ready.Done()
			ready.Wait()
			faults[n] = client(n)
		})
	}
	done.Wait()
	if err := errors.Join(faults...); err != nil {
		t.Fatal(err)
	}
}

// Clients that finish the same blob at once all succeed, and none sees less
// than the whole right after.
func TestSameBlobIsFinishedAtOnce(t *testing.T) {
	t.Parallel()
	for _, algorithm := range []string{"sha256", "sha512"} {
		t.Run(algorithm, func(t *testing.T) {
			for round := range 5 {
				repo := newRepository(t, public)
				b := repo.bulk("layer", 400_000)
				if algorithm == "sha512" {
					b = b.by512()
				}
				const clients = 4
				var uploads []*upload
				for n := range clients {
					u := repo.startUpload()
					if n%2 == 0 { // the others send all with the PUT
						u.follow(u.patch().content(b.content).expect(http.StatusAccepted), len(b.content))
					}
					uploads = append(uploads, u)
				}
				together(t, clients, func(n int) error {
					q := uploads[n].commit(b.digest)
					if n%2 == 1 {
						q.content(b.content)
					}
					if _, err := q.check(http.StatusCreated); err != nil {
						return fmt.Errorf("round %d: %w", round, err)
					}
					return repo.seesBlob(b)
				})
			}
		})
	}
}

// seesBlob is servesBlob for goroutines beside the test's own.
func (r *repository) seesBlob(b blob) error {
	head, err := r.head("/blobs/" + b.digest).check(http.StatusOK)
	if err != nil {
		return err
	}
	if got := head.get("Content-Length"); got != fmt.Sprint(len(b.content)) {
		return fmt.Errorf("%s: %s bytes, want %d", head.request, got, len(b.content))
	}
	get, err := r.get("/blobs/" + b.digest).check(http.StatusOK)
	if err == nil && !bytes.Equal(get.body, b.content) {
		err = fmt.Errorf("%s: %d bytes, other than those pushed", get.request, len(get.body))
	}
	return err
}

// While a blob is pushed over and over, those who read it see the whole.
func TestBlobIsReadWhileItIsPushedAgain(t *testing.T) {
	t.Parallel()
	repo := newRepository(t, public)
	b := repo.bulk("layer", 200_000)
	repo.has(b)
	together(t, 4, func(n int) error {
		for range 10 {
			if n%2 == 0 {
				q := repo.post("/blobs/uploads/").query("digest", b.digest).content(b.content)
				if _, err := q.check(http.StatusCreated); err != nil {
					return err
				}
			}
			if err := repo.seesBlob(b); err != nil {
				return err
			}
		}
		return nil
	})
}

// Builds push their images to one repository at the same time; each finds all
// of its own, and a tag that they share names one of them, whole.
func TestImagesArePushedAtOnce(t *testing.T) {
	t.Parallel()
	repo := newRepository(t, public)
	const clients = 6
	base := repo.bulk("base layer", 50_000) // of all
	images := make([]manifest, clients)
	var tags []string
	for n := range clients {
		images[n] = imageOf(repo.text(fmt.Sprint("config ", n)), base, repo.bulk(fmt.Sprint("layer ", n), 50_000)).manifest()
		tags = append(tags, fmt.Sprint("build-", n))
	}
	repo.startUpload() // logs in
	together(t, clients, func(n int) error {
		for _, b := range []blob{repo.text(fmt.Sprint("config ", n)), base, repo.bulk(fmt.Sprint("layer ", n), 50_000)} {
			if _, err := repo.post("/blobs/uploads/").query("digest", b.digest).content(b.content).check(http.StatusCreated); err != nil {
				return err
			}
		}
		for _, reference := range []string{images[n].digest, tags[n], "latest"} {
			if _, err := repo.putManifest(reference, images[n]).check(http.StatusCreated); err != nil {
				return err
			}
		}
		a, err := repo.get("/manifests/" + tags[n]).check(http.StatusOK)
		if err == nil && !bytes.Equal(a.body, images[n].content) {
			err = fmt.Errorf("%s is not what was just pushed", a.request)
		}
		return err
	})
	wantTags(t, repo.get("/tags/list"), append(tags, "latest"))
	latest := repo.get("/manifests/latest").expect(http.StatusOK)
	if !slices.ContainsFunc(images, func(m manifest) bool { return bytes.Equal(m.content, latest.body) }) {
		t.Errorf("%s is none of the images pushed: %s", latest.request, latest.summary())
	}
	for n, image := range images {
		repo.serves(tags[n], image)
	}
}

// Two requests of one upload are one after the other: what does not fit then
// is refused, and nothing is mixed.
func TestSameChunkIsSentAtOnce(t *testing.T) {
	t.Parallel()
	repo := newRepository(t, public)
	b := repo.bulk("layer", 100_000)
	for range 5 {
		u := repo.startUpload()
		taken := make([]bool, 3)
		together(t, len(taken), func(n int) error {
			a, err := u.patch().chunk(b.content, 0, 50_000).check(http.StatusAccepted, http.StatusRequestedRangeNotSatisfiable)
			taken[n] = err == nil && a.status == http.StatusAccepted
			return err
		})
		if slices.Index(taken, true) < 0 {
			t.Fatal("the chunk was taken of nobody")
		}
		if got := u.received(); got != 50_000 {
			t.Fatalf("the upload has %d bytes, want the chunk once", got)
		}
		u.commit(b.digest).chunk(b.content, 50_000, 100_000).expect(http.StatusCreated)
		u.servesBlob(b)
		repo.delete("/blobs/" + b.digest).expect(http.StatusAccepted)
	}
}

// Repositories that are pushed and deleted side by side do not disturb others.
func TestPushBesideDelete(t *testing.T) {
	t.Parallel()
	repo := newRepository(t, public)
	images := make([]manifest, 4)
	for n := range images {
		images[n] = repo.image(fmt.Sprint("image ", n))
	}
	together(t, len(images), func(n int) error {
		for range 5 {
			tag := fmt.Sprint("tag-", n)
			steps := []struct {
				request *request
				want    int
			}{
				{repo.putManifest(tag, images[n]), http.StatusCreated},
				{repo.get("/manifests/" + tag), http.StatusOK},
				{repo.delete("/manifests/" + images[n].digest).as(asWriter()), http.StatusAccepted},
				{repo.get("/manifests/" + tag), http.StatusNotFound},
			}
			for _, step := range steps {
				if _, err := step.request.check(step.want); err != nil {
					return err
				}
			}
		}
		return nil
	})
	for n := range images {
		repo.lacks(fmt.Sprint("tag-", n))
	}
}
