package runtime

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/contrib/seccomp"
	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/containerd/v2/pkg/oci"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/ingot-os/ingot/api"
	"github.com/ingot-os/ingot/services/runtime/bridge"
)

// sandboxMount is where a task finds its folder, as in Mesos.
const sandboxMount = "/mnt/mesos/sandbox"

// dropped are the capabilities of containerd's default set that Ingot's tasks
// do without: device nodes and audit records.
var dropped = []string{"CAP_MKNOD", "CAP_AUDIT_WRITE"}

// spec lists what makes a task's OCI specification, in the order that it is
// applied: the seccomp profile depends on the capabilities before it.
// WithImageConfig alone gives neither seccomp nor a cgroup namespace.
func (r *Runtime) spec(a api.Alloc, img client.Image, lease *bridge.Lease) []oci.SpecOpts {
	opts := []oci.SpecOpts{
		oci.WithImageConfigArgs(img, a.Args),
		oci.WithEnv(environment(a, r.node())),
		oci.WithCgroup(taskCgroup + "/" + a.ID),
		oci.WithLinuxNamespace(specs.LinuxNamespace{Type: specs.CgroupNamespace}),
		oci.WithNoNewPrivileges,
		oci.WithDroppedCapabilities(dropped),
		oci.WithRlimit(&specs.POSIXRlimit{Type: "RLIMIT_NOFILE", Soft: r.files, Hard: r.files}),
		oci.WithMounts(r.mounts(a)),
		r.withResources(a.Res),
	}
	if a.Cmd != "" {
		opts = append(opts, oci.WithProcessArgs("/bin/sh", "-c", a.Cmd))
	}
	if a.User != "" {
		opts = append(opts, oci.WithUser(a.User), oci.WithAdditionalGIDs(a.User))
	}
	opts = append(opts, r.network(a, lease)...)
	return append(opts, seccomp.WithDefaultProfile())
}

func (r *Runtime) network(a api.Alloc, lease *bridge.Lease) []oci.SpecOpts {
	if lease == nil {
		return []oci.SpecOpts{oci.WithHostNamespace(specs.NetworkNamespace), oci.WithHostname(hostname(r.node()))}
	}
	ns := specs.LinuxNamespace{Type: specs.NetworkNamespace, Path: r.net.NetnsPath(containerID(a.ID))}
	return []oci.SpecOpts{oci.WithLinuxNamespace(ns), oci.WithHostname(containerID(a.ID)[1:13])}
}

// hostname is a node's name as the kernel takes it: 64 bytes.
func hostname(node string) string {
	if node == "" {
		return "ingot"
	}
	return node[:min(len(node), 64)]
}

// node is this node's name; a missing identity only costs the name.
func (r *Runtime) node() string {
	id, err := r.cfg.Identity.Node()
	if err != nil {
		return ""
	}
	return id.Name
}

func (r *Runtime) withResources(want api.Resources) oci.SpecOpts {
	return func(_ context.Context, _ oci.Client, _ *containers.Container, s *oci.Spec) error {
		res := r.limits.resources(want)
		if s.Linux.Resources != nil {
			res.Devices = s.Linux.Resources.Devices
		}
		s.Linux.Resources = res
		// Not the shim's, which the kernel must never pick: a task is the one to go
		// when the node is out of memory.
		ordinary := 0
		s.Process.OOMScoreAdj = &ordinary
		return nil
	}
}

// mounts are the node's files that a task sees: its own folder, names and the
// way to the site's name servers.
func (r *Runtime) mounts(a api.Alloc) []specs.Mount {
	m := []specs.Mount{
		bind(r.sandbox(a.ID, "work"), sandboxMount, "rw"),
		bind(r.sandbox(a.ID, "hosts"), "/etc/hosts", "ro"),
	}
	if _, err := os.Stat(r.cfg.Resolv); err == nil {
		m = append(m, bind(r.cfg.Resolv, "/etc/resolv.conf", "ro"))
	}
	return m
}

func bind(from, to, mode string) specs.Mount {
	return specs.Mount{Type: "bind", Source: from, Destination: to, Options: []string{"rbind", mode, "nosuid", "nodev"}}
}

// writeHosts gives the task's own name an address.
func (r *Runtime) writeHosts(a api.Alloc, lease *bridge.Lease) error {
	text := "127.0.0.1 localhost\n::1 localhost\n"
	if lease != nil {
		text += fmt.Sprintf("%s %s\n", lease.IP, containerID(a.ID)[1:13])
	}
	path := r.sandbox(a.ID, "hosts")
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("write hosts file: %w", err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		return fmt.Errorf("write hosts file: %w", err)
	}
	return nil
}

// environment is the app's own plus Marathon's and Mesos' variables where the
// app or the scheduler has not set them (dcos.md section 2.2).
func environment(a api.Alloc, node string) []string {
	env := map[string]string{
		"HOST": node, "MESOS_TASK_ID": a.ID, "MESOS_SANDBOX": sandboxMount,
		"MARATHON_APP_ID": a.App, "MARATHON_APP_VERSION": a.Version,
		"MARATHON_APP_RESOURCE_CPUS": strconv.FormatFloat(a.Res.CPUs, 'f', -1, 64),
		"MARATHON_APP_RESOURCE_MEM":  strconv.FormatFloat(a.Res.Mem, 'f', -1, 64),
		"MARATHON_APP_RESOURCE_DISK": strconv.FormatFloat(a.Res.Disk, 'f', -1, 64),
	}
	var ports []string
	for i, p := range a.Ports {
		port := strconv.Itoa(p.Container)
		ports = append(ports, port)
		env["PORT"+strconv.Itoa(i)] = port
		if p.Name != "" {
			env["PORT_"+strings.ToUpper(strings.ReplaceAll(p.Name, "-", "_"))] = port
		}
	}
	if len(ports) > 0 {
		env["PORT"], env["PORTS"] = ports[0], strings.Join(ports, ",")
	}
	for k, v := range a.Env {
		env[k] = v
	}
	var list []string
	for k, v := range env {
		list = append(list, k+"="+v)
	}
	slices.Sort(list)
	return list
}
