package swift

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path"
	"strings"

	"github.com/gophercloud/gophercloud/v2/openstack/config/clouds"
	"github.com/ncw/swift/v2"

	"opendev.org/zuul/zuul-registry/server/peer"
)

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
		return nil, errors.New("there is no account: allowed are OS_CLOUD; OS_AUTH_URL with OS_USERNAME, OS_PASSWORD and OS_PROJECT_NAME, " +
			"or with OS_APPLICATION_CREDENTIAL_ID and OS_APPLICATION_CREDENTIAL_SECRET; ST_AUTH, ST_USER and ST_KEY")
	}
	c.EndpointType = endpointType(string(c.EndpointType))
	chooseVersion(c, os.Getenv("OS_AUTH_URL") != "")
	authorities := os.Getenv("OS_CACERT")
	if authorities == "" {
		return c, nil
	}
	trusted, err := peer.OpenAuthorities(authorities)
	if err != nil {
		return nil, err
	}
	c.Transport = newTransport(&tls.Config{RootCAs: trusted})
	return c, nil
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
		if recover() != nil {
			err = fmt.Errorf("cloud %q of clouds.yaml has no auth", os.Getenv("OS_CLOUD"))
		}
	}()
	var options []clouds.ParseOption
	if authorities := os.Getenv("OS_CACERT"); authorities != "" {
		options = append(options, clouds.WithCACertPath(authorities))
	}
	auth, endpoint, trust, err := clouds.Parse(options...)
	if err != nil {
		return nil, err
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
