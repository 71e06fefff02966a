package replicas

import (
	"flag"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"opendev.org/zuul/zuul-registry/tests/testbed"
)

// A run is made like another one, as far as time allows, by
// tests/run replicas -v -run TestReplicas -args -seed NUMBER
var seed = flag.Uint64("seed", rand.Uint64()>>32, "what chance begins with")

// TestReplicas has replicas, Swift and the proxy do their work while everything fails
// that may, and tells what was survived.
func TestReplicas(t *testing.T) {
	bed := testbed.Open(t)
	testbed.Need(t, haproxyCommand)
	site := bed.StartEngine(t).OpenSite(t)
	pushing := openBench(t, site, "pushers", password)
	pulling := openBench(t, site, "pullers", "")
	t.Logf("-seed %d", *seed)
	p := open(t, bed, pushing.address(t), *seed)
	pushing.trust(t, p.haproxy.pem)

	t.Run("what was acknowledged in a storm is there", func(t *testing.T) {
		begin := time.Now()
		l := p.storm(t, p.workers(t, pushing), p.workers(t, pulling))
		t.Logf("the storm took %v", time.Since(begin))
		p.awaitReady(t)
		var reading sync.WaitGroup
		for _, r := range p.replicas {
			reading.Go(func() { r.readBack(t, l, p.tally) })
		}
		reading.Wait()
		t.Logf("and all was read after %v", time.Since(begin))
		p.check(t)
		p.mostlyDone(t)
	})
	t.Run("an upload goes from replica to replica", p.passOn)
	t.Run("one that a killed replica had goes on at another", p.resume)
	t.Run("a replica that is not ready is spared", p.spare)
	t.Run("replicas are renewed", p.renew)
	t.Logf("survived, with -seed %d:\n%s", *seed, p.tally)
}

// check has the program itself look for anything wrong in the store.
func (p *place) check(t *testing.T) {
	t.Helper()
	command := p.replicas[0].command()
	command.Args = append(command.Args, "check")
	if _, err := testbed.Run(command); err != nil {
		t.Error(err)
	}
}

// mostlyDone finds that most of what was tried was done: tools that can do nothing
// would leave nothing to read back.
func (p *place) mostlyDone(t *testing.T) {
	t.Helper()
	if done, failed := p.tally.of(acknowledged), p.tally.of(notPushed); failed > done {
		t.Errorf("%d pushes were acknowledged, and %d failed", done, failed)
	}
	if done, failed := p.tally.of(gotten), p.tally.of(notGotten); failed > done {
		t.Errorf("%d pulls ended well, and %d failed", done, failed)
	}
}
