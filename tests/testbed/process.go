package testbed

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// process is a server that runs beside a test until the test ends, or stops
// it. Then it is told to end, and must do so in its time and with success. What
// it wrote is shown if the test failed.
type process struct {
	name    string
	log     string
	running *os.Process
	grace   time.Duration // within which it ends after it was told to
	cut     bool          // it knows of no good end: being told to ends it
	ended   chan struct{} // closed when it has ended, with err set
	err     error
}

// start starts a command as a process that ends within the given time of
// being told to.
func start(t testing.TB, dir string, grace time.Duration, command *exec.Cmd) *process {
	t.Helper()
	p := &process{
		name:  filepath.Base(command.Path),
		log:   filepath.Join(dir, "log"),
		grace: grace,
		ended: make(chan struct{}),
	}
	log, err := os.Create(p.log)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	command.Stdout, command.Stderr = log, log
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	p.running = command.Process
	go func() {
		p.err = command.Wait()
		close(p.ended)
	}()
	t.Cleanup(func() {
		p.stop(t)
		if t.Failed() {
			t.Logf("%s wrote:\n%s", p.name, p.tail())
		}
	})
	return p
}

func (p *process) stop(t testing.TB) {
	t.Helper()
	// The error says that it has ended before: then Wait knows why.
	_ = p.running.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
		if p.err != nil && !p.cut {
			t.Errorf("%s ended with %v", p.name, p.err)
		}
	case <-time.After(p.grace):
		t.Errorf("%s still runs %v after SIGTERM", p.name, p.grace)
		_ = p.running.Kill()
		<-p.ended
	}
}

// await waits until ready has no error.
func (p *process) await(t testing.TB, limit time.Duration, ready func() error) {
	t.Helper()
	if err := await(t.Context(), limit, p.ended, ready); err != nil {
		t.Fatalf("%s is not ready: %v", p.name, err)
	}
}

// tail is the end of what the process wrote.
func (p *process) tail() string {
	const most = 16 << 10
	file, err := os.Open(p.log)
	if err != nil {
		return err.Error()
	}
	defer file.Close()
	if size, err := file.Seek(0, io.SeekEnd); err == nil && size > most {
		_, _ = file.Seek(-most, io.SeekEnd)
	} else {
		_, _ = file.Seek(0, io.SeekStart)
	}
	text, err := io.ReadAll(file)
	if err != nil {
		return fmt.Sprintf("%s%v", text, err)
	}
	return string(text)
}
