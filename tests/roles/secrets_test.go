package roles

import (
	"strings"
	"testing"

	"opendev.org/zuul/zuul-registry/tests/testbed"
)

// sentry looks on a host for what must stay secret, while plays go on.
type sentry struct {
	host *testbed.Host
	pid  string
}

// On the host: what the sentry saw, which only root may read.
const seen = "/root/command-lines"

// watch has a sentry see every command line on a host until it is asked.
func watch(t *testing.T, host *testbed.Host) *sentry {
	t.Helper()
	const look = `
import os, time
seen = set()
with open("` + seen + `", "w") as file:
    while True:
        for process in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open("/proc/%s/cmdline" % process) as line:
                    words = line.read()
            except OSError:  # it has ended
                continue
            if words not in seen:
                seen.add(words)
                print(words.replace("\0", " "), file=file, flush=True)
        time.sleep(0.02)
`
	host.Write(t, "/root/look.py", 0o600, []byte(look))
	pid := host.Run(t, "sh", "-c", "python3 /root/look.py >/dev/null 2>&1 & echo $!")
	return &sentry{host, pid}
}

// saw ends the watch, and returns the command lines.
func (s *sentry) saw(t *testing.T) string {
	t.Helper()
	s.host.Run(t, "kill", s.pid)
	return s.host.Read(t, seen)
}

// guarded finds that none of the secrets on a host can be read by others, and
// that no log has them.
func guarded(t *testing.T, host *testbed.Host, secrets ...string) {
	t.Helper()
	for _, place := range leaks(t, host, secrets...) {
		t.Errorf("on %s there are secrets in %s", host.Name, place)
	}
}

// leaks are the places on a host where others than root and the owner can read
// a secret.
func leaks(t *testing.T, host *testbed.Host, secrets ...string) (places []string) {
	t.Helper()
	host.Write(t, "/root/secrets", 0o600, []byte(strings.Join(secrets, "\n")+"\n"))
	// As a user of no group, with the secrets to look for as input.
	readable := host.Run(t, "sh", "-c", `
setpriv --reuid=nobody --regid=nogroup --clear-groups -- \
    grep --recursive --files-with-matches --no-messages --fixed-strings --devices=skip --file=- \
        /etc /home /opt /root /run /srv /tmp /usr/local /var </root/secrets
true`)
	for file := range strings.Lines(readable) {
		places = append(places, strings.TrimSpace(file))
	}
	logged := host.Run(t, "sh", "-c", `
if test -d /run/systemd/system; then
    journalctl --no-pager --output=export | grep --text --fixed-strings --file=/root/secrets
fi
true`)
	if logged != "" {
		places = append(places, "the journal: "+logged)
	}
	return places
}

// untold finds no secret in what somebody wrote, such as a console.
func untold(t *testing.T, where, text string, secrets ...string) {
	t.Helper()
	for _, secret := range secrets {
		if len(secret) < 16 {
			t.Fatalf("%q is no secret", secret)
		}
		if n := strings.Index(text, secret); n >= 0 {
			begin := strings.LastIndex(text[:n], "\n") + 1
			line, _, _ := strings.Cut(text[begin:], "\n")
			t.Errorf("in %s is a secret: %s", where, line)
		}
	}
}

// findLeaks finds what somebody told who should not have, on a host with
// systemd.
func findLeaks(t *testing.T, host *testbed.Host) {
	t.Helper()
	const secret = "nobody may know this"
	sentry := watch(t, host)
	host.Run(t, "sh", "-c", "sleep 0.2 # "+secret)
	if lines := sentry.saw(t); !strings.Contains(lines, secret) {
		t.Errorf("nobody saw the command line among:\n%s", lines)
	}

	host.Write(t, "/home/zuul/told/everybody", 0o644, []byte("This is it: "+secret+"."))
	host.Write(t, "/home/zuul/told/nobody", 0o600, []byte(secret))
	host.Run(t, "sh", "-c", "chmod 755 /home/zuul; logger --id "+secret+"; journalctl --sync")
	places := leaks(t, host, secret)
	if len(places) != 2 || places[0] != "/home/zuul/told/everybody" || !strings.HasPrefix(places[1], "the journal: ") {
		t.Errorf("the secret was told everybody and in the journal, but: %q", places)
	}
	host.Run(t, "sh", "-c", "chmod 700 /home/zuul; rm -r /home/zuul/told")
}
