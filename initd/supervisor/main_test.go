package supervisor

import (
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ingot-os/ingot/api/serve"
)

// TestMain makes the test binary play two more parts: the services of the node
// under test (as /bin/helper) and the step into its root.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "helper" {
		helper(os.Args[1:])
	}
	if root := os.Getenv("TEST_ENTER_ROOT"); root != "" {
		enterRoot(root)
	}
	os.Exit(m.Run())
}

// enterRoot runs as PID 1 of a new pid and mount namespace and becomes initd.
func enterRoot(root string) {
	must(unix.Mount(root, root, "", unix.MS_BIND, ""))
	must(unix.Chdir(root))
	must(unix.Mount(".", "/", "", unix.MS_MOVE, ""))
	must(unix.Chroot("."))
	must(unix.Chdir("/"))
	env := []string{"INGOT_CONSOLE=none", "INGOT_UNITS=/etc/units"}
	must(unix.Exec("/sbin/initd", []string{"initd"}, env))
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "test helper:", err)
		os.Exit(99)
	}
}

// helper is a service.
func helper(args []string) {
	switch args[0] {
	case "wait":
		untilStopped()
	case "ready":
		serve.Notify("READY=1")
		untilStopped()
	case "never": // neither ready nor polite
		signal.Ignore(syscall.SIGTERM)
		for {
			time.Sleep(time.Hour)
		}
	case "say":
		fmt.Println("<5>" + args[1])
	case "fail":
		os.Exit(7)
	case "talk": // prints for ever: a broken pipe would kill it
		for i := 0; ; i++ {
			fmt.Println("line", i)
			time.Sleep(5 * time.Millisecond)
		}
	case "whoami":
		fmt.Printf("uid=%d gid=%d dir=%s run=%s\n", os.Getuid(), os.Getgid(), cwd(), os.Getenv("RUNTIME_DIRECTORY"))
	case "echo":
		echo()
	}
	os.Exit(0)
}

func untilStopped() {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	<-stop
}

func cwd() string {
	d, _ := os.Getwd()
	return d
}

// echo answers each connection with its pid and ends after 100 ms without one.
func echo() {
	if os.Getenv("LISTEN_PID") != strconv.Itoa(os.Getpid()) {
		os.Exit(5)
	}
	l, err := net.FileListener(os.NewFile(3, "socket"))
	must(err)
	serve.Notify("READY=1")
	for {
		must(l.(*net.UnixListener).SetDeadline(time.Now().Add(100 * time.Millisecond)))
		c, err := l.Accept()
		if err != nil {
			return
		}
		fmt.Fprintln(c, os.Getpid())
		c.Close()
	}
}
