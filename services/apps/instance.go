package apps

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/ingot-os/ingot/api"
)

// port is one port of an app in either networking.
type port struct {
	path, name, protocol     string
	host, container, service int
}

// portsOf lists an app's ports in the order of PORT0, PORT1 …
func portsOf(a *api.App) []port {
	var out []port
	if Bridged(*a) {
		if a.Container == nil {
			return nil
		}
		for i, m := range a.Container.PortMappings {
			p := port{fmt.Sprintf("/container/portMappings(%d)", i), m.Name, m.Protocol, 0, m.ContainerPort, m.ServicePort}
			if m.HostPort != nil {
				p.host = *m.HostPort
			}
			out = append(out, p)
		}
		return out
	}
	for i, d := range a.PortDefinitions {
		p := port{fmt.Sprintf("/portDefinitions(%d)", i), d.Name, d.Protocol, 0, 0, d.Port}
		if a.RequirePorts {
			p.host = d.Port
		}
		out = append(out, p)
	}
	return out
}

// Bridged tells whether an app's instances have a network of their own.
func Bridged(a api.App) bool {
	return len(a.Networks) > 0 && a.Networks[0].Mode == "container/bridge"
}

// ServicePorts lists what Marathon calls an app's service ports.
func ServicePorts(a api.App) []int {
	var out []int
	for _, p := range portsOf(&a) {
		out = append(out, p.service)
	}
	return out
}

// HostPorts lists the host ports that an instance needs; 0 is any.
func HostPorts(a api.App) []int {
	var out []int
	for _, p := range portsOf(&a) {
		out = append(out, p.host)
	}
	return out
}

// Place is where an instance runs: a node, its address, one host port for each
// of HostPorts.
type Place struct {
	Node, Address string
	Ports         []int
}

// Resources is what one instance takes.
func Resources(a api.App) api.Resources {
	return api.Resources{CPUs: a.CPUs, Mem: a.Mem, Disk: a.Disk, GPUs: a.GPUs}
}

// TaskID is the id of an app's instance, in Marathon's form.
func TaskID(app, uuid string) string {
	return strings.ReplaceAll(strings.Trim(app, "/"), "/", "_") + ".instance-" + uuid + "._app.1"
}

// InstanceID is the part of a task's id that names the instance.
func InstanceID(task string) string {
	id, _, _ := strings.Cut(task, "._app.")
	return id
}

// Instance is an app's instance on its place, with its environment complete.
func Instance(a api.App, id string, at Place) api.Alloc {
	alloc := api.Alloc{
		ID: id, App: a.ID, Version: a.Version, Node: at.Node,
		Args: a.Args, User: a.User, Res: Resources(a), Network: "host",
		Health: a.HealthChecks, KillGraceSeconds: a.TaskKillGracePeriodSeconds,
	}
	if alloc.KillGraceSeconds == 0 {
		alloc.KillGraceSeconds = 3 // Marathon's default
	}
	if a.Cmd != nil {
		alloc.Cmd = *a.Cmd
	}
	if a.Container != nil && a.Container.Docker != nil {
		alloc.Image, alloc.Force = a.Container.Docker.Image, a.Container.Docker.ForcePullImage
	}
	if Bridged(a) {
		alloc.Network = "bridge"
	}
	for i, p := range portsOf(&a) {
		ap := api.AllocPort{Name: p.name, Protocol: p.protocol, Host: at.Ports[i], Container: at.Ports[i]}
		if alloc.Network == "bridge" && p.container != 0 {
			ap.Container = p.container
		}
		alloc.Ports = append(alloc.Ports, ap)
	}
	alloc.Env = environment(a, alloc, at.Address)
	return alloc
}

// Sandbox is where a task finds its sandbox, as in Mesos' containers.
const Sandbox = "/mnt/mesos/sandbox"

// environment is a task's, in Marathon's order: what the app says wins.
func environment(a api.App, alloc api.Alloc, host string) map[string]string {
	env := map[string]string{
		"HOST": host, "MESOS_TASK_ID": alloc.ID, "MESOS_SANDBOX": Sandbox,
		"MARATHON_APP_ID": a.ID, "MARATHON_APP_VERSION": a.Version,
		"MARATHON_APP_RESOURCE_CPUS": decimal(a.CPUs), "MARATHON_APP_RESOURCE_MEM": decimal(a.Mem),
		"MARATHON_APP_RESOURCE_DISK": decimal(a.Disk), "MARATHON_APP_RESOURCE_GPUS": decimal(a.GPUs),
	}
	if alloc.Image != "" {
		env["MARATHON_APP_DOCKER_IMAGE"] = alloc.Image
	}
	labels(a.Labels, env)
	ports(alloc, env)
	maps.Copy(env, a.Env)
	return env
}

// decimal writes a quantity as Marathon does: 0.1, 128.0.
func decimal(v float64) string {
	s := strconv.FormatFloat(v, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

var notInName = regexp.MustCompile(`[^A-Z0-9_]`)

func envName(s string) string { return notInName.ReplaceAllString(strings.ToUpper(s), "_") }

// labels become variables when they are short enough, as in Marathon (512).
func labels(from, env map[string]string) {
	var names []string
	for _, k := range slices.Sorted(maps.Keys(from)) {
		if len(k) > 512 || len(from[k]) > 512 || strings.ContainsRune(from[k], 0) {
			continue
		}
		names = append(names, envName(k))
		env["MARATHON_APP_LABEL_"+envName(k)] = from[k]
	}
	env["MARATHON_APP_LABELS"] = strings.Join(names, " ")
}

// ports tells a task the ports to listen on: the container's side.
func ports(alloc api.Alloc, env map[string]string) {
	var all []string
	for i, p := range alloc.Ports {
		n := strconv.Itoa(p.Container)
		all = append(all, n)
		env["PORT"+strconv.Itoa(i)] = n
		env["PORT_"+n] = strconv.Itoa(p.Host)
		if p.Name != "" {
			env["PORT_"+envName(p.Name)] = n
		}
	}
	if len(all) > 0 {
		env["PORT"], env["PORTS"] = all[0], strings.Join(all, ",")
	}
}
