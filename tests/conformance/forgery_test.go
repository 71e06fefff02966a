package conformance

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"hash"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"
)

// jwt is a token taken apart.
type jwt struct {
	header, claims map[string]any
	secret         string
	text           string
}

// takeApart reads a token of the server, which is signed with its SECRET.
func takeApart(t *testing.T, token string) jwt {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("%q is not a JWT", token)
	}
	j := jwt{secret: signingSecret, text: token}
	for i, into := range []*map[string]any{&j.header, &j.claims} {
		plain, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(plain, into); err != nil {
			t.Fatal(err)
		}
	}
	return j
}

// claim is the token with another claim.
func (j jwt) claim(name string, value any) jwt {
	j.claims = maps.Clone(j.claims)
	j.claims[name] = value
	return j
}

// algorithm is the token with another word on how it is signed.
func (j jwt) algorithm(name string) jwt {
	j.header = maps.Clone(j.header)
	j.header["alg"] = name
	return j
}

// by is the token signed with another secret.
func (j jwt) by(secret string) jwt {
	j.secret = secret
	return j
}

// unsigned is the token before its second dot.
func (j jwt) unsigned() string {
	encode := func(part map[string]any) string {
		text, err := json.Marshal(part)
		if err != nil {
			panic(err) // only of a fault in the test
		}
		return base64.RawURLEncoding.EncodeToString(text)
	}
	return encode(j.header) + "." + encode(j.claims)
}

// sign is the whole token.
func (j jwt) sign() string {
	hashes := map[any]func() hash.Hash{"HS256": sha256.New, "HS384": sha512.New384, "HS512": sha512.New}
	create, known := hashes[j.header["alg"]]
	if !known {
		return j.unsigned() + "."
	}
	mac := hmac.New(create, []byte(j.secret))
	mac.Write([]byte(j.unsigned()))
	return j.unsigned() + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// A token that is not the registry's own, or no longer good, is answered with
// a challenge, so that clients get a new one, whatever it was sent for.
func TestForgedToken(t *testing.T) {
	t.Parallel()
	repo := newRepository(t, public)
	image := repo.image("image")
	repo.tag("latest", image)
	real := takeApart(t, public.askToken(t, asWriter(), "repository:"+repo.name+":pull,push").
		expect(http.StatusOK).token())
	hourAgo := time.Now().Add(-time.Hour).Unix()

	t.Run("one that is signed as the registry does is good", func(t *testing.T) {
		repo.as(bearer(real.claim("made-by", "test").sign())).in(t).startUpload()
	})

	signature := real.text[strings.LastIndex(real.text, "."):]
	tests := []struct{ rule, token string }{
		{"another registry's", real.by("the secret of another registry, as long").sign()},
		{"expired", real.claim("exp", hourAgo).claim("iat", hourAgo-60).claim("nbf", hourAgo-60).sign()},
		{"tampered with", real.claim("made-by", "test").unsigned() + signature},
		{"without a signature", real.unsigned() + "."},
		{"cut", real.text[:len(real.text)-4]},
		{"with algorithm none", real.algorithm("none").sign()},
		{"with algorithm nOnE", real.algorithm("nOnE").sign()},
		{"with algorithm none and the signature kept", real.algorithm("none").unsigned() + signature},
		{"not a token", "not-a-token-at-all"},
		{"two dots", ".."},
		{"the secret itself", signingSecret},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			here := repo.as(bearer(tt.token)).in(t)
			here.post("/blobs/uploads/").refused("UNAUTHORIZED", http.StatusUnauthorized).
				demands("repository:"+repo.name, "push")
			here.get("/manifests/latest").refused("UNAUTHORIZED", http.StatusUnauthorized).
				demands("repository:"+repo.name, "pull")
			here.head("/blobs/" + image.digest).expect(http.StatusUnauthorized)
			public.request(t, http.MethodGet, "/v2/").as(here.who).refused("UNAUTHORIZED", http.StatusUnauthorized)
		})
	}
}

// Credentials that make no sense are as good as none for what needs some.
func TestMalformedCredentials(t *testing.T) {
	t.Parallel()
	repo := newRepository(t, public)
	tests := []string{
		"Basic !!!not-base64!!!",
		"Basic " + base64.StdEncoding.EncodeToString([]byte("no colon in here")),
		"Basic " + base64.StdEncoding.EncodeToString([]byte(":")),
		"Basic " + base64.StdEncoding.EncodeToString([]byte(writerName+":")),
		"Basic",
		"Bearer",
		"Bearer ",
		`Digest username="zuul", response="000"`,
		"nonsense",
	}
	for _, authorization := range tests {
		t.Run(authorization, func(t *testing.T) {
			who := credentials(authorization)
			public.request(t, http.MethodGet, "/v2/").as(who).refused("UNAUTHORIZED", http.StatusUnauthorized)
			repo.as(who).in(t).post("/blobs/uploads/").refused("UNAUTHORIZED", http.StatusUnauthorized).
				demands("repository:"+repo.name, "push")
		})
	}
}
