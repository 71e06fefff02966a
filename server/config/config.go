// Package config is every environment variable of the program; nothing else
// reads them. Those of OpenStack's programs, OS_… and ST_…, are read by storage/swift.
//
// Names begin with ZUUL_REGISTRY_. A variable set to the empty string counts as
// not set, because compose files pass on variables that nobody has set. Any
// variable may be given as <NAME>_FILE instead, the path of a file whose
// content is the value, but for one newline at its end.
package config

import (
	"context"
	"errors"
	"log/slog"
	"reflect"
	"strings"
	"time"

	"github.com/sethvargo/go-envconfig"

	"opendev.org/zuul/zuul-registry/server/namespace"
)

// Prefix is what the names of all variables begin with.
const Prefix = "ZUUL_REGISTRY_"

// Values of Storage and LogFormat.
const (
	Filesystem = "filesystem"
	Swift      = "swift"
	Text       = "text"
	JSON       = "json"
)

// Config is the settings of the program, one field a variable; kinds has what
// a variable of each kind may hold. What has no default and is not set is
// empty: Password and Secret are then for the caller to make.
type Config struct {
	Address                 string         `env:"ADDRESS,default=:9000" kind:"address" meaning:"where to listen, on IPv4 and IPv6 if there is no host; port 0 takes a free one"`
	PushAddress             string         `env:"PUSH_ADDRESS" kind:"address" meaning:"where to listen for pushes, serving nothing from upstream there; ADDRESS then only reads"`
	PublicURL               string         `env:"PUBLIC_URL" kind:"url" meaning:"what clients reach the registry by, such as https://registry.example.com; taken from each request's Host if not set"`
	TLS                     bool           `env:"TLS,default=on" kind:"switch" meaning:"on serves HTTPS, off plain HTTP"`
	TLSCert                 string         `env:"TLS_CERT,default=data/tls/cert.pem" kind:"path" meaning:"path of the certificate, PEM; made, self-signed, if neither it nor the key is there, and read again when it changes"`
	TLSKey                  string         `env:"TLS_KEY,default=data/tls/cert.key" kind:"path" meaning:"path of the certificate's key, PEM"`
	TLSHosts                []string       `env:"TLS_HOSTS,default=localhost,127.0.0.1,::1,<hostname>" kind:"hosts" meaning:"names and addresses that a certificate is made for; <hostname> is this machine's name"`
	Username                string         `env:"USERNAME,default=zuul" kind:"username" meaning:"name of the user who may write"`
	Password                Secret         `env:"PASSWORD" kind:"text" meaning:"password of the user who may write; a new one is made and printed at each start if not set"`
	WritersHtpasswd         string         `env:"WRITERS_HTPASSWD" kind:"path" meaning:"path of an htpasswd file (bcrypt) of further users who may write"`
	ReadersHtpasswd         string         `env:"READERS_HTPASSWD" kind:"path" meaning:"path of an htpasswd file (bcrypt) of users who may read"`
	AnonymousRead           bool           `env:"ANONYMOUS_READ,default=true" kind:"bool" meaning:"true lets everybody read, false only known users"`
	Secret                  Secret         `env:"SECRET" kind:"key" meaning:"what tokens are signed with, at least 32 bytes and the same for all replicas of a registry; made at each start if not set"`
	TokenLifetime           time.Duration  `env:"TOKEN_LIFETIME,default=1h" kind:"duration" meaning:"how long a token is good"`
	Storage                 string         `env:"STORAGE,default=filesystem" kind:"storage" meaning:"where images are kept: filesystem, on this machine, or swift, in OpenStack, for any number of replicas"`
	StorageRoot             string         `env:"STORAGE_ROOT,default=data/storage" kind:"path" meaning:"directory of the filesystem storage"`
	StorageSync             bool           `env:"STORAGE_SYNC,default=true" kind:"bool" meaning:"true has a push on the disk before it is acknowledged; false is for a store that may be lost with its machine"`
	SwiftContainer          string         `env:"SWIFT_CONTAINER" kind:"container" meaning:"container of the swift storage, made if absent; the account is in the variables of OpenStack's own programs, OS_CLOUD, OS_AUTH_URL… or ST_AUTH…"`
	SwiftPartSize           int64          `env:"SWIFT_PART_SIZE,default=16MiB" kind:"size" meaning:"how much of an upload makes a part, which is an object in Swift"`
	SwiftConnections        int            `env:"SWIFT_CONNECTIONS,default=8" kind:"connections" meaning:"how many parts may be on their way to Swift: times SWIFT_PART_SIZE, the memory that uploads take"`
	SwiftRetries            int            `env:"SWIFT_RETRIES,default=7" kind:"retries" meaning:"how often what fails in Swift is tried again, with pauses that grow to 5s, for a minute at most"`
	Namespacing             namespace.Mode `env:"NAMESPACING,default=auto" kind:"namespacing" meaning:"how names are read: auto, a host at the beginning is the registry, and else it is docker.io; path, the first component is the registry, and each registry is kept apart; none, as they are, but what is not here is looked for as in auto"`
	Upstreams               Upstreams      `env:"UPSTREAMS,default=docker.io=https://registry-1.docker.io,quay.io=https://quay.io,gcr.io=https://gcr.io,ghcr.io=https://ghcr.io,registry.k8s.io=https://registry.k8s.io" kind:"upstreams" meaning:"where images that are not here are fetched from, <namespace>=<url> with commas between them; none fetches nothing"`
	UpstreamAuthFile        string         `env:"UPSTREAM_AUTH_FILE" kind:"path" meaning:"path of a file with credentials for upstreams, in the format of Docker's config.json; who may read here may then read what they open"`
	UpstreamCAFile          string         `env:"UPSTREAM_CA_FILE" kind:"path" meaning:"path of a file with further CA certificates, PEM, that are trusted for upstreams"`
	UpstreamTagTTL          time.Duration  `env:"UPSTREAM_TAG_TTL,default=5m" kind:"age" meaning:"how long an upstream's tag is answered without asking again; 0 asks each time"`
	UpstreamTimeout         time.Duration  `env:"UPSTREAM_TIMEOUT,default=30s" kind:"duration" meaning:"how long an upstream may take to its first byte, and to each next piece of what it sends"`
	PruneManifestAge        time.Duration  `env:"PRUNE_MANIFEST_AGE" kind:"grace" meaning:"age at which prune takes tags and manifests that were pushed; never if not set"`
	PruneUploadAge          time.Duration  `env:"PRUNE_UPLOAD_AGE,default=24h" kind:"grace" meaning:"age at which prune takes uploads that were not finished, and blobs that nothing refers to"`
	PruneCacheAge           time.Duration  `env:"PRUNE_CACHE_AGE,default=168h" kind:"grace" meaning:"how long prune leaves what was fetched from upstreams after somebody last asked for it"`
	PruneInterval           time.Duration  `env:"PRUNE_INTERVAL" kind:"interval" meaning:"how often serve prunes by itself; never if not set"`
	PruneDryRun             bool           `env:"PRUNE_DRY_RUN,default=false" kind:"bool" meaning:"true has prune only say what it would take"`
	CheckQuarantine         bool           `env:"CHECK_QUARANTINE,default=false" kind:"bool" meaning:"true has check move damaged blobs to quarantine/ of their area, so that they can be pushed or fetched again"`
	CopySourceAuthFile      string         `env:"COPY_SOURCE_AUTH_FILE" kind:"path" meaning:"path of a file with credentials for the registries that copy reads, in the format of Docker's config.json; $REGISTRY_AUTH_FILE, or where Podman and Docker look, if not set"`
	CopySourceCAFile        string         `env:"COPY_SOURCE_CA_FILE" kind:"path" meaning:"path of a file with further CA certificates, PEM, that are trusted for the registries that copy reads, beside what certs.d of Podman and Docker has for each"`
	CopyDestinationAuthFile string         `env:"COPY_DESTINATION_AUTH_FILE" kind:"path" meaning:"as COPY_SOURCE_AUTH_FILE, for the registries that copy writes"`
	CopyDestinationCAFile   string         `env:"COPY_DESTINATION_CA_FILE" kind:"path" meaning:"as COPY_SOURCE_CA_FILE, for the registries that copy writes"`
	CopyTimeout             time.Duration  `env:"COPY_TIMEOUT,default=1m" kind:"duration" meaning:"how long a registry may take, in copy, to its first byte, and to send or take each next piece"`
	ReportRequire           []string       `env:"REPORT_REQUIRE_SPECULATIVE" kind:"images" meaning:"images, with commas between them, that report demands to have been pulled, and from what was pushed here alone; it fails otherwise"`
	ReportClients           []string       `env:"REPORT_CLIENTS" kind:"hosts" meaning:"addresses, with commas between them, of those whose pulls count for REPORT_REQUIRE_SPECULATIVE; everybody's if not set"`
	ReportJSON              string         `env:"REPORT_JSON" kind:"path" meaning:"path of a file that report writes all of it to"`
	ReportPage              string         `env:"REPORT_PAGE" kind:"path" meaning:"path of a file that report writes it to as a page, HTML, that needs no other file"`
	ReportAuthFile          string         `env:"REPORT_AUTH_FILE" kind:"path" meaning:"as COPY_SOURCE_AUTH_FILE, for the registry that report reads"`
	ReportCAFile            string         `env:"REPORT_CA_FILE" kind:"path" meaning:"as COPY_SOURCE_CA_FILE, for the registry that report reads"`
	MetricsAddress          string         `env:"METRICS_ADDRESS" kind:"address" meaning:"where to answer /metrics of Prometheus, by plain HTTP and to everybody; nowhere if not set"`
	LogLevel                slog.Level     `env:"LOG_LEVEL,default=info" kind:"level" meaning:"least severity logged: debug, info, warn or error"`
	LogFormat               string         `env:"LOG_FORMAT,default=text" kind:"format" meaning:"format of the log: text or json"`
}

// Variable is one environment variable as it is documented and in force.
// Default and Value are empty where there is none; the Value of a secret that
// is set is "***".
type Variable struct {
	Name    string // with Prefix
	Meaning string
	Default string
	Value   string
}

// Load makes the settings of an environment as os.Environ gives it. The error
// joins a Fault for each variable that is wrong or not known.
func Load(environ []string) (Config, error) {
	var c Config
	if err := fill(&c, environ); err != nil {
		return Config{}, err
	}
	return c, nil
}

// Describe lists every variable in the order of Config. The zero Config has
// all but the values.
func (c Config) Describe() []Variable {
	var all []Variable
	for _, s := range settings(reflect.ValueOf(c)) {
		all = append(all, Variable{
			Name:    Prefix + s.name,
			Meaning: s.Tag.Get("meaning"),
			Default: s.unset,
			Value:   s.kind.print(s.value.Interface()),
		})
	}
	return all
}

// setting is a field of a struct like Config.
type setting struct {
	reflect.StructField
	value reflect.Value
	name  string // without Prefix
	unset string // the default
	kind  kind
}

func settings(target reflect.Value) []setting {
	var all []setting
	known := kinds()
	for i := range target.NumField() {
		field := target.Type().Field(i)
		name, options, _ := strings.Cut(field.Tag.Get("env"), ",")
		unset := strings.TrimPrefix(options, "default=")
		all = append(all, setting{field, target.Field(i), name, unset, known[field.Tag.Get("kind")]})
	}
	return all
}

// fill sets the fields of the struct that target points to.
func fill(target any, environ []string) error {
	all := settings(reflect.ValueOf(target).Elem())
	names := make([]string, len(all))
	for i, s := range all {
		names[i] = s.name
	}
	given, faults := read(environ, names)
	for _, s := range all {
		if err := s.decode(given); err != nil {
			faults = append(faults, s.fault(given[Prefix+s.name], err))
		}
	}
	return errors.Join(faults...)
}

// decode sets the field alone: envconfig stops at the first value that it
// cannot decode, and all of them are to be reported.
func (s setting) decode(given map[string]value) error {
	lookup := envconfig.LookuperFunc(func(name string) (string, bool) {
		v, ok := given[name]
		return v.text, ok
	})
	alone := reflect.New(reflect.StructOf([]reflect.StructField{s.StructField}))
	err := envconfig.ProcessWith(context.Background(), &envconfig.Config{
		Target:   alone.Interface(),
		Lookuper: envconfig.PrefixLookuper(Prefix, lookup),
		Mutators: []envconfig.Mutator{s.kind},
	})
	s.value.Set(alone.Elem().Field(0))
	return err
}
