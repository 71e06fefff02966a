package testbed

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"
)

// The ports that Swift has by convention.
const (
	proxyPort     = "8080"
	objectPort    = "6200"
	containerPort = "6201"
	accountPort   = "6202"
	cachePort     = "11211"
)

// device is the folder of one of the devices.
func device(n int) string { return fmt.Sprintf("d%d", n) }

// settings are the files in /etc/swift.
func (s *Swift) settings(o SwiftOptions) map[string][]byte {
	return map[string][]byte{
		"swift.conf": fmt.Appendf(nil, `[swift-hash]
swift_hash_path_suffix = of this test
[storage-policy:0]
name = single
default = yes
[swift-constraints]
container_listing_limit = %d
`, cmp.Or(o.Listing, 10000)),
		"proxy-server.conf":     s.proxySettings(o),
		"account-server.conf":   s.serverSettings("account", accountPort),
		"container-server.conf": s.serverSettings("container", containerPort),
		"object-server.conf":    s.serverSettings("object", objectPort),
		"account.ring.gz":       s.ring(accountPort, 1),
		"container.ring.gz":     s.ring(containerPort, 1),
		"object.ring.gz":        s.ring(objectPort, o.Copies),
	}
}

// always are settings of every server: it is one process, and patient. With the
// usual patience a busy machine would be taken for a broken device, which Swift
// leaves alone for a minute.
const always = `[DEFAULT]
bind_ip = %s
bind_port = %s
workers = 0
user = root
conn_timeout = 10
node_timeout = 60
`

// serverSettings are those of a server that stores something. An object is in
// the listing of its container as soon as it is stored: Swift usually waits a
// second for that, and brings the listing up to date later, by a daemon that is
// not here.
func (s *Swift) serverSettings(kind, port string) []byte {
	return fmt.Appendf(nil, always+`log_level = WARNING
devices = %[3]s
mount_check = false
fallocate_reserve = 0
disable_fallocate = true
container_update_timeout = 60
[pipeline:main]
pipeline = healthcheck %[4]s-server
[filter:healthcheck]
use = egg:swift#healthcheck
[app:%[4]s-server]
use = egg:swift#%[4]s
`, s.address, port, s.devices, kind)
}

// proxySettings are those of the server for clients, with the parts that a
// registry needs. Swift adds those that it never is without.
func (s *Swift) proxySettings(o SwiftOptions) []byte {
	login, filters := "tempauth", `[filter:tempauth]
use = egg:swift#tempauth
user_`+strings.Replace(swiftUser, ":", "_", 1)+` = `+swiftKey+` .admin
`
	if s.keystone != nil {
		login, filters = "authtoken keystoneauth", s.keystone.filters()
	}
	return fmt.Appendf(nil, always+`expose_info = true
[pipeline:main]
pipeline = healthcheck proxy_logging memcache bulk %[3]s slo proxy_logging proxy-server
[filter:healthcheck]
use = egg:swift#healthcheck
[filter:proxy_logging]
use = egg:swift#proxy_logging
[filter:memcache]
use = egg:swift#memcache
memcache_servers = %[1]s:%[5]s
[filter:bulk]
use = egg:swift#bulk
%[4]s[filter:slo]
use = egg:swift#slo
max_manifest_segments = %[6]d
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
error_suppression_limit = 1000000
`, s.address, proxyPort, login, filters, cachePort, cmp.Or(o.Segments, 1000))
}

// ring says where all accounts, containers or objects are: in one partition, of
// which each device has a copy. It is written as Swift's serialize_v1 does; Swift's
// own command for it would take as long as all the rest.
func (s *Swift) ring(port string, copies int) []byte {
	var devices []any
	var partition []uint16 // the devices that have it
	for n := range copies {
		devices = append(devices, map[string]any{
			"id": n, "region": 1, "zone": 1, "weight": 1, "device": device(n), "meta": "",
			"ip": s.address, "port": json.Number(port),
			"replication_ip": s.address, "replication_port": json.Number(port),
		})
		partition = append(partition, uint16(n))
	}
	description, err := json.Marshal(map[string]any{
		"byteorder":     "big",
		"part_shift":    32, // of a hash of as many bits, which leaves none for partitions
		"replica_count": copies,
		"devs":          devices,
	})
	if err != nil {
		panic(err) // of what is written here
	}
	const version = uint16(1)
	var file bytes.Buffer
	packed := gzip.NewWriter(&file)
	for _, part := range []any{[]byte("R1NG"), version, uint32(len(description)), description, partition} {
		_ = binary.Write(packed, binary.BigEndian, part) // into memory
	}
	_ = packed.Close()
	return file.Bytes()
}
