package testbed

import (
	"bytes"
	"encoding/json"
	"net/http"
	"testing"
)

type document = map[string]any

// login is what Keystone gives to the user.
type login struct{ token, user string }

func (k *Keystone) login(t testing.TB) login {
	t.Helper()
	domain := document{"id": "default"}
	user := document{"name": keystoneUser, "password": keystonePassword, "domain": domain}
	var answer struct {
		Token struct{ User struct{ ID string } }
	}
	header := k.post(t, "", "/auth/tokens", document{"auth": document{
		"identity": document{"methods": []string{"password"}, "password": document{"user": user}},
		"scope":    document{"project": document{"name": keystoneProject, "domain": domain}},
	}}, &answer)
	return login{token: header.Get("X-Subject-Token"), user: answer.Token.User.ID}
}

// addStore has clients find Swift, which is at a URL.
func (k *Keystone) addStore(t testing.TB, url string) {
	t.Helper()
	token := k.login(t).token
	var answer struct{ Service struct{ ID string } }
	k.post(t, token, "/services", document{"service": document{"name": "swift", "type": "object-store"}}, &answer)
	k.post(t, token, "/endpoints", document{"endpoint": document{
		"service_id": answer.Service.ID,
		"region_id":  keystoneRegion,
		"interface":  "public",
		"url":        url + "/v1/AUTH_%(project_id)s",
	}}, nil)
}

// addCredential makes an application credential of the user's.
func (k *Keystone) addCredential(t testing.TB) (id, secret string) {
	t.Helper()
	user := k.login(t)
	var answer struct {
		Credential struct{ ID, Secret string } `json:"application_credential"`
	}
	k.post(t, user.token, "/users/"+user.user+"/application_credentials",
		document{"application_credential": document{"name": uuid()}}, &answer)
	return answer.Credential.ID, answer.Credential.Secret
}

// post has Keystone create something, and reads its answer.
func (k *Keystone) post(t testing.TB, token, path string, content document, answer any) http.Header {
	t.Helper()
	body, err := json.Marshal(content)
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, k.api()+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("X-Auth-Token", token)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusCreated {
		t.Fatalf("Keystone answers for %s with %s", path, response.Status)
	}
	if answer != nil {
		if err := json.NewDecoder(response.Body).Decode(answer); err != nil {
			t.Fatal(err)
		}
	}
	return response.Header
}
