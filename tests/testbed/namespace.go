package testbed

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
)

const ip = "ip" // the command that gives addresses

// enter runs this test binary again inside, and returns its exit code.
func enter(ctx context.Context, dir string) (int, error) {
	// The kernel ends the process inside, and with it all others there, when
	// the thread that started it is gone: it must not go before the process.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	inside := exec.CommandContext(ctx, "/proc/self/exe", os.Args[1:]...)
	inside.Stdout, inside.Stderr = os.Stdout, os.Stderr
	cache, err := os.UserCacheDir()
	if err != nil {
		return 0, err
	}
	inside.Env = environment(dir, cache)
	inside.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:   syscall.CLONE_NEWPID | syscall.CLONE_NEWNET,
		Unshareflags: syscall.CLONE_NEWNS, // in this way Go makes every mount private
		Pdeathsig:    syscall.SIGKILL,
	}
	err = inside.Run()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && exit.Exited() {
		return exit.ExitCode(), nil
	}
	return 0, err
}

// environment is all that the inside knows of the outside's environment, and
// where the cache is: a proxy cannot be reached from there, and the user's
// credentials and settings are no business of a test.
func environment(dir, cache string) []string {
	return []string{
		folder + "=" + dir,
		"PATH=" + os.Getenv("PATH"),
		"CI=" + os.Getenv("CI"),
		"XDG_CACHE_HOME=" + cache,
		"HOME=" + filepath.Join(dir, "home"),
		"TMPDIR=" + filepath.Join(dir, "tmp"),
	}
}

// settle makes the namespaces a small machine of their own.
func settle(dir string) error {
	if os.Getpid() != 1 {
		return fmt.Errorf("%s is set, but these are not the namespaces it stands for", folder)
	}
	for _, dir := range []string{os.Getenv("HOME"), os.Getenv("TMPDIR"), filepath.Join(dir, imagesDir)} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
	}
	if err := mountPrivately(filepath.Join(dir, "memory")); err != nil {
		return err
	}
	_, err := Run(exec.Command(ip, "link", "set", "lo", "up"))
	return err
}

// mountPrivately lets the host's configuration and state show through, but
// for those of the container tools, and keeps every change to them inside.
func mountPrivately(memory string) error {
	if err := mount("proc", "/proc", ""); err != nil { // of the processes inside
		return err
	}
	for _, dir := range []string{"/run", memory} {
		if err := mount("tmpfs", dir, "mode=0755"); err != nil {
			return err
		}
	}
	for _, dir := range []string{"/etc", "/var/lib"} {
		if err := mountChangeable(dir, filepath.Join(memory, dir)); err != nil {
			return err
		}
	}
	for _, dir := range []string{"/etc/docker", "/etc/containerd"} {
		if err := mount("tmpfs", dir, "mode=0755"); err != nil {
			return err
		}
	}
	return nil
}

// mountChangeable lays over a folder another one that takes the changes.
func mountChangeable(dir, memory string) error {
	changes, work := filepath.Join(memory, "changes"), filepath.Join(memory, "work")
	for _, dir := range []string{changes, work} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	return mount("overlay", dir, "lowerdir="+dir+",upperdir="+changes+",workdir="+work)
}

func mount(kind, on, options string) error {
	if err := os.MkdirAll(on, 0o755); err != nil {
		return err
	}
	if err := syscall.Mount(kind, on, kind, 0, options); err != nil {
		return fmt.Errorf("mount %s on %s: %w", kind, on, err)
	}
	return nil
}
