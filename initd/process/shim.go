package process

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	shim    = "/proc/self/exe"
	envShim = "INGOT_EXEC" // UMASK:NONEWPRIVS
)

// environment adds what sd_listen_fds(3) wants; LISTEN_PID is the shim's work.
func (s Spec) environment() []string {
	env := s.Env
	if len(s.Sockets) > 0 {
		env = append(env, fmt.Sprintf("LISTEN_FDS=%d", len(s.Sockets)), "LISTEN_FDNAMES="+strings.Join(s.Names, ":"))
	}
	if s.shimmed() {
		env = append(env, fmt.Sprintf("%s=%d:%t", envShim, s.UMask, s.NoNewPrivileges))
	}
	return env
}

func (s Spec) shimmed() bool {
	return len(s.Sockets) > 0 || s.UMask >= 0 || s.NoNewPrivileges
}

func (s Spec) command() (string, []string) {
	if !s.shimmed() {
		return s.Argv[0], s.Argv
	}
	return shim, append([]string{"initd", "exec"}, s.Argv...)
}

// Shim is "initd exec PROGRAM ARGS…": it sets LISTEN_PID, umask and
// no_new_privs for itself and becomes the program. It returns only an error.
func Shim(argv []string) error {
	if len(argv) == 0 {
		return fmt.Errorf("exec: no program named")
	}
	runtime.LockOSThread() // no_new_privs belongs to the thread that execs
	umask, privs, _ := strings.Cut(os.Getenv(envShim), ":")
	os.Unsetenv(envShim)
	if os.Getenv("LISTEN_FDS") != "" {
		os.Setenv("LISTEN_PID", strconv.Itoa(os.Getpid()))
	}
	if mask, err := strconv.Atoi(umask); err == nil && mask >= 0 {
		unix.Umask(mask)
	}
	if privs == "true" {
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			return fmt.Errorf("exec %s: set no_new_privs: %w", argv[0], err)
		}
	}
	// The sockets came without close-on-exec and stay open.
	return fmt.Errorf("exec %s: %w", argv[0], unix.Exec(argv[0], argv, os.Environ()))
}
