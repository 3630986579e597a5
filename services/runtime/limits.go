package runtime

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/ingot-os/ingot/api"
)

// The tree of control groups: shims in one branch, tasks in another, so that
// neither dies with containerd's own cgroup.
const (
	cgroupRoot = "/sys/fs/cgroup"
	shimCgroup = "/shims"
	taskCgroup = "/tasks"
)

// maxPids bounds the processes and threads of one task, maxFiles the open files
// of each process.
const (
	maxPids  = 4096
	maxFiles = 65536
)

// findFiles is maxFiles or, where that is less, what this process may have:
// asking for more than the shim has keeps a task from starting.
func findFiles() uint64 {
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		return 1024
	}
	return min(l.Max, maxFiles)
}

// limits says which controllers of the unified hierarchy the kernel offers. A
// limit without its controller would keep the task from starting.
type limits struct{ cpu, memory, pids bool }

func unified() bool {
	_, err := os.Stat(filepath.Join(cgroupRoot, "cgroup.controllers"))
	return err == nil
}

func findLimits() limits {
	b, err := os.ReadFile(filepath.Join(cgroupRoot, "cgroup.controllers"))
	if err != nil {
		return limits{}
	}
	has := strings.Fields(string(b))
	return limits{
		cpu: slices.Contains(has, "cpu"), memory: slices.Contains(has, "memory"), pids: slices.Contains(has, "pids"),
	}
}

// resources are the limits of a task. As in Mesos, cpus is a share under
// contention, not a ceiling; mem is a ceiling, and reaching it ends the whole
// task (memory.oom.group) instead of a process picked from it.
func (l limits) resources(a api.Resources) *specs.LinuxResources {
	r := &specs.LinuxResources{}
	if l.cpu && a.CPUs > 0 {
		shares := max(uint64(a.CPUs*1024), 2)
		r.CPU = &specs.LinuxCPU{Shares: &shares}
	}
	if l.memory && a.Mem > 0 {
		limit := int64(a.Mem * (1 << 20))
		r.Memory = &specs.LinuxMemory{Limit: &limit}
		r.Unified = map[string]string{"memory.oom.group": "1"}
	}
	if l.pids {
		limit := int64(maxPids)
		r.Pids = &specs.LinuxPids{Limit: &limit}
	}
	return r
}

// oomKilled reads whether the kernel killed in the task's cgroup for want of
// memory. The cgroup stays until the task is deleted.
func oomKilled(id string) bool {
	b, err := os.ReadFile(filepath.Join(cgroupRoot, taskCgroup, id, "memory.events"))
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, "oom_kill "); ok {
			n, _ := strconv.Atoi(strings.TrimSpace(v))
			return n > 0
		}
	}
	return false
}
