package swift

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/gophercloud/gophercloud/v2/openstack/config/clouds"
	"github.com/ncw/swift/v2"

	"opendev.org/zuul/zuul-registry/server/peer"
)

// account is who logs in to Swift: the library does, and we keep count of its tokens.
type account struct {
	mu      sync.Mutex
	library *swift.Connection
	refusal error     // of the last login, if it was refused
	until   time.Time // when another is made
}

// afterRefusal is how long nobody asks again: users may be locked out who fail often.
const afterRefusal = 10 * time.Second

// session is where an account is, and what opens it.
type session struct {
	storage *url.URL
	token   string
}

// errRefused is what a login is that will not succeed soon.
var errRefused = errors.New("the login is refused")

func newAccount(c *swift.Connection) *account {
	c.UserAgent = userAgent
	if c.Transport == nil {
		c.Transport = newTransport(nil)
	}
	c.Transport = direct{c.Transport}
	return &account{library: c}
}

// session logs in unless there is a token that is good for a while. Its errors are not
// taken for those of what is asked for with the token.
func (a *account) session(ctx context.Context) (session, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.library.Authenticated() {
		if err := a.login(ctx); err != nil {
			return session{}, err
		}
	}
	storage, err := url.Parse(a.library.StorageUrl)
	return session{storage, a.library.AuthToken}, err
}

func (a *account) login(ctx context.Context) error {
	if time.Now().Before(a.until) {
		return a.refusal
	}
	err := a.library.Authenticate(ctx)
	if err == nil {
		return nil
	}
	err = a.explain(err)
	if errors.Is(err, errRefused) {
		a.refusal, a.until = err, time.Now().Add(afterRefusal)
	}
	return err
}

func (a *account) explain(err error) error {
	at := "a URL that is none"
	if u, wrong := url.Parse(a.library.AuthUrl); wrong == nil {
		at = u.Redacted()
	}
	if a.library.AuthToken != "" && a.library.StorageUrl == "" {
		return fmt.Errorf("%w: by %s there is no object-store for region %q and interface %q (OS_REGION_NAME, OS_INTERFACE), or no project is named (OS_PROJECT_NAME)",
			errRefused, at, a.library.Region, a.library.EndpointType)
	}
	for _, final := range []error{swift.AuthorizationFailed, swift.Forbidden, swift.BadRequest, errMoved} {
		if errors.Is(err, final) {
			return fmt.Errorf("%w at %s: %v", errRefused, at, err)
		}
	}
	return fmt.Errorf("the login at %s fails: %v", at, err)
}

// forget has the next session log in, unless somebody has done so since.
func (a *account) forget(token string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.library.AuthToken == token {
		a.library.UnAuthenticate()
	}
}

// AccountFromEnvironment is the account that the usual variables of OpenStack's
// programs describe: OS_CLOUD names one of clouds.yaml, OS_AUTH_URL and others one of
// Keystone's, with a password or an application credential, and ST_AUTH, ST_USER and
// ST_KEY one of Swift's own.
func AccountFromEnvironment() (*swift.Connection, error) {
	if os.Getenv("OS_CLOUD") != "" {
		return accountOfCloud()
	}
	c := &swift.Connection{
		TenantId:     os.Getenv("OS_PROJECT_ID"), // which the library knows by its old name
		EndpointType: endpointType(os.Getenv("OS_INTERFACE")),
	}
	if err := c.ApplyEnvironment(); err != nil {
		return nil, err
	}
	if c.AuthUrl == "" {
		return nil, errors.New("the swift storage has no account: set OS_CLOUD; or OS_AUTH_URL with OS_USERNAME, OS_PASSWORD and OS_PROJECT_NAME, " +
			"or with OS_APPLICATION_CREDENTIAL_ID and OS_APPLICATION_CREDENTIAL_SECRET; or ST_AUTH, ST_USER and ST_KEY")
	}
	c.EndpointType = endpointType(string(c.EndpointType))
	chooseVersion(c, os.Getenv("OS_AUTH_URL") != "")
	if err := lacking(c); err != nil {
		return nil, err
	}
	authorities := os.Getenv("OS_CACERT")
	if authorities == "" {
		return c, nil
	}
	trusted, err := peer.OpenAuthorities(authorities)
	if err != nil {
		return nil, fmt.Errorf("OS_CACERT: %w", err)
	}
	c.Transport = newTransport(&tls.Config{RootCAs: trusted})
	return c, nil
}

// lacking says what a login cannot do without.
func lacking(c *swift.Connection) error {
	isKeystone := c.AuthVersion != 1
	u, err := url.Parse(c.AuthUrl)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return errors.New("OS_AUTH_URL, or ST_AUTH, is no URL: http:// or https:// and a host are allowed, and maybe a path")
	case c.ApiKey == "" && c.ApplicationCredentialSecret == "" && isKeystone:
		return errors.New("OS_AUTH_URL is set, but neither OS_PASSWORD nor OS_APPLICATION_CREDENTIAL_SECRET is")
	case !isKeystone && (c.UserName == "" || c.ApiKey == ""):
		return errors.New("ST_AUTH is set, but not both of ST_USER and ST_KEY are")
	case c.AuthVersion == 3 && c.UserName != "" && c.ApplicationCredentialSecret == "" && c.Domain == "" && c.DomainId == "":
		return errors.New("OS_USERNAME is set, but neither OS_USER_DOMAIN_NAME nor OS_USER_DOMAIN_ID is")
	}
	return nil
}

// chooseVersion says what the library would else guess from the URL. Keystone's need
// not have a version in it any more. A URL that is none is told when it is used.
func chooseVersion(c *swift.Connection, keystone bool) {
	u, err := url.Parse(c.AuthUrl)
	switch {
	case c.AuthVersion != 0:
	case !keystone:
		c.AuthVersion = 1
	case err == nil && strings.HasPrefix(path.Base(u.Path), "v2."):
		c.AuthVersion = 2
	default:
		c.AuthVersion = 3
		if err == nil && path.Base(u.Path) != "v3" {
			c.AuthUrl = u.JoinPath("v3").String()
		}
	}
}

func accountOfCloud() (c *swift.Connection, err error) {
	defer func() { // the library's parser wants every cloud to have this
		if wrong := recover(); wrong != nil {
			err = fmt.Errorf("cloud %q of clouds.yaml: has it no auth? %v", os.Getenv("OS_CLOUD"), wrong)
		}
	}()
	var options []clouds.ParseOption
	if authorities := os.Getenv("OS_CACERT"); authorities != "" {
		options = append(options, clouds.WithCACertPath(authorities))
	}
	auth, endpoint, trust, err := clouds.Parse(options...)
	if err != nil {
		return nil, fmt.Errorf("cloud %q of clouds.yaml: %w", os.Getenv("OS_CLOUD"), err)
	}
	c = &swift.Connection{
		AuthUrl:                     auth.IdentityEndpoint,
		UserName:                    auth.Username,
		UserId:                      auth.UserID,
		ApiKey:                      auth.Password,
		Domain:                      auth.DomainName,
		DomainId:                    auth.DomainID,
		Tenant:                      auth.TenantName,
		TenantId:                    auth.TenantID,
		Token:                       auth.TokenID,
		ApplicationCredentialId:     auth.ApplicationCredentialID,
		ApplicationCredentialName:   auth.ApplicationCredentialName,
		ApplicationCredentialSecret: auth.ApplicationCredentialSecret,
		Region:                      endpoint.Region,
		EndpointType:                endpointType(string(endpoint.Availability)),
		Transport:                   newTransport(trust),
	}
	if scope := auth.Scope; scope != nil {
		c.TenantDomain, c.TenantDomainId, c.TrustId = scope.DomainName, scope.DomainID, scope.TrustID
	}
	chooseVersion(c, true)
	return c, nil
}

// endpointType is what the library calls it: “public”, and not “publicURL”.
func endpointType(name string) swift.EndpointType {
	return swift.EndpointType(strings.TrimSuffix(name, "URL"))
}
