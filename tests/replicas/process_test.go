package replicas

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// process is a program that runs beside a test, which kills or ends it. What it
// writes goes to the end of a file.
type process struct {
	name    string
	running *os.Process
	ended   chan struct{} // closed when it has ended, with err set
	err     error
}

// start starts a program.
func start(log string, command *exec.Cmd) (*process, error) {
	file, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	command.Stdout, command.Stderr = file, file
	if err := command.Start(); err != nil {
		return nil, err
	}
	p := &process{name: filepath.Base(command.Path), running: command.Process, ended: make(chan struct{})}
	go func() {
		p.err = command.Wait()
		close(p.ended)
	}()
	return p, nil
}

// kill ends it as kill -9 does. One that has ended by itself is a fault.
func (p *process) kill() error {
	select {
	case <-p.ended:
		return fmt.Errorf("%s has ended by itself: %w", p.name, p.err)
	default:
	}
	err := p.running.Kill()
	<-p.ended
	return err
}

// terminate tells it to end, which it must do in the given time, and well.
func (p *process) terminate(within time.Duration) error {
	if p.running.Signal(syscall.SIGTERM) != nil { // there is nothing to tell any more
		<-p.ended
		return fmt.Errorf("%s has ended by itself: %w", p.name, p.err)
	}
	select {
	case <-p.ended:
		return p.err
	case <-time.After(within):
		return errors.Join(fmt.Errorf("%s still runs %v after SIGTERM", p.name, within), p.kill())
	}
}

// show shows the end of a log if the test has failed.
func show(t *testing.T, log string) {
	const most = 8 << 10
	t.Cleanup(func() {
		if !t.Failed() {
			return
		}
		text, err := os.ReadFile(log)
		if err != nil {
			t.Error(err)
		}
		t.Logf("the end of %s:\n%s", log, text[max(0, len(text)-most):])
	})
}

// loopback is an address of the tests' own network, in which nobody else is.
func loopback(n int) string { return fmt.Sprintf("127.0.0.%d:9000", 10+n) }
