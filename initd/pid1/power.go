package pid1

import (
	"time"

	"golang.org/x/sys/unix"
)

// powerOff ends the machine. The supervisor has stopped the services; what is
// left is asked, then killed.
func powerOff(action string) {
	say("%s", action)
	_ = unix.Kill(-1, unix.SIGTERM)
	await(2 * time.Second)
	_ = unix.Kill(-1, unix.SIGKILL)
	await(time.Second)
	unix.Sync()
	cmd := unix.LINUX_REBOOT_CMD_POWER_OFF
	if action == "reboot" {
		cmd = unix.LINUX_REBOOT_CMD_RESTART
	}
	if err := unix.Reboot(cmd); err != nil {
		say("%s: %v", action, err)
	}
}

// await reaps until no process but this one is left, or the time is over.
func await(limit time.Duration) {
	for end := time.Now().Add(limit); time.Now().Before(end); {
		pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil)
		if err == unix.ECHILD {
			return
		}
		if pid == 0 {
			time.Sleep(10 * time.Millisecond)
		}
	}
}
