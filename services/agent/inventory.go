package agent

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/ingot-os/ingot/api"
)

// reservedMiB is the memory that the platform's own processes keep on an agent.
const reservedMiB = 128

// inventory is what this node offers.
func inventory(node api.NodeIdentity, data string) (api.AgentInventory, error) {
	mem, err := memTotal("/proc/meminfo")
	if err != nil {
		return api.AgentInventory{}, err
	}
	if err := os.MkdirAll(data, 0o750); err != nil {
		return api.AgentInventory{}, fmt.Errorf("make agent's folder: %w", err)
	}
	var st unix.Statfs_t
	if err := unix.Statfs(data, &st); err != nil {
		return api.AgentInventory{}, fmt.Errorf("size of %s: %w", data, err)
	}
	return api.AgentInventory{
		Node: node.Name, Address: node.Address, Roles: node.Roles,
		Total: api.Resources{
			CPUs: float64(runtime.NumCPU()),
			Mem:  float64(max(mem-reservedMiB, 0)),
			Disk: float64(st.Blocks * uint64(st.Bsize) >> 20),
		},
	}, nil
}

// memTotal reads the kernel's MemTotal in MiB (proc_meminfo(5)).
func memTotal(path string) (int, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, fmt.Errorf("read memory size: %w", err)
	}
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, "MemTotal:"); ok {
			kb, err := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(v), "kB")))
			if err != nil {
				return 0, fmt.Errorf("read memory size: %w", err)
			}
			return kb >> 10, nil
		}
	}
	return 0, fmt.Errorf("read memory size: no MemTotal in %s", path)
}
