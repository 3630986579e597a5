package apps

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/ingot-os/ingot/api"
)

// segment is one part of an app's path (Marathon's PathId).
var segment = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$`)

// Limits that keep one definition from hurting the cluster.
const (
	maxSegment   = 64
	maxID        = 512
	maxInstances = 10000
	maxPorts     = 100
)

// validate says everything that is wrong with an app whose defaults are in.
func validate(a *api.App, bad *problems) {
	validateID(a.ID, bad)
	validateCommand(a, bad)
	validateSizes(a, bad)
	validateNetwork(a, bad)
	validateHealth(a, bad)
	validatePlacement(a, bad)
	validateStrategy(a, bad)
	for k := range a.Env {
		if k == "" || strings.ContainsAny(k, "=\x00") || strings.ContainsRune(a.Env[k], 0) {
			bad.add("/env/"+k, "is not a name and value that a process can be given")
		}
	}
}

func validateID(id string, bad *problems) {
	if id == "" || id == "/" {
		bad.add("/id", "must not be empty")
		return
	}
	if len(id) > maxID {
		bad.add("/id", "is longer than %d", maxID)
	}
	for s := range strings.SplitSeq(id[1:], "/") {
		switch {
		case !segment.MatchString(s):
			bad.add("/id", "must be lower case letters, digits, hyphens and dots between slashes, has %q", s)
		case len(s) > maxSegment:
			bad.add("/id", "has a part longer than %d", maxSegment)
		case slices.Contains([]string{"restart", "tasks", "versions"}, s):
			bad.add("/id", "%q is a word of the API and cannot be part of a path", s)
		}
	}
}

func validateCommand(a *api.App, bad *problems) {
	cmd := a.Cmd != nil && *a.Cmd != ""
	image := a.Container != nil && a.Container.Docker != nil && a.Container.Docker.Image != ""
	switch {
	case cmd && len(a.Args) > 0:
		bad.add("/", "AppDefinition must either contain one of 'cmd' or 'args', and/or a 'container'.")
	case !cmd && len(a.Args) == 0 && !image:
		bad.add("/", "AppDefinition must either contain one of 'cmd' or 'args', and/or a 'container'.")
	case !cmd && !image:
		bad.add("/args", "need a container image to be the arguments of")
	}
	if a.Container == nil {
		return
	}
	switch a.Container.Type {
	case "DOCKER":
		if !image {
			bad.add("/container/docker/image", "must not be empty")
		}
	case "MESOS":
		if a.Container.Docker != nil && !image {
			bad.add("/container/docker/image", "must not be empty")
		}
	default:
		bad.add("/container/type", "must be one of DOCKER, MESOS")
	}
}

func validateSizes(a *api.App, bad *problems) {
	within := func(path string, v, low, high float64) {
		if v < low || v > high {
			bad.add(path, "must be from %v to %v", low, high)
		}
	}
	within("/cpus", a.CPUs, 0.001, 1e6)
	within("/mem", a.Mem, 1, 1e9)
	within("/disk", a.Disk, 0, 1e12)
	within("/gpus", a.GPUs, 0, 1e4)
	within("/instances", float64(a.Instances), 0, maxInstances)
	within("/backoffSeconds", a.BackoffSeconds, 0, 1e6)
	within("/backoffFactor", a.BackoffFactor, 1, 1e3)
	within("/maxLaunchDelaySeconds", a.MaxLaunchDelaySeconds, 0, 1e6)
	within("/taskKillGracePeriodSeconds", a.TaskKillGracePeriodSeconds, 0, 1e5)
}

func validateNetwork(a *api.App, bad *problems) {
	if len(a.Networks) != 1 {
		bad.add("/networks", "more than one network is %s", unsupported)
		return
	}
	switch a.Networks[0].Mode {
	case "host":
		if a.Container != nil && len(a.Container.PortMappings) > 0 {
			bad.add("/container/portMappings", "need networks of mode container/bridge; with mode host use portDefinitions")
		}
	case "container/bridge":
		if len(a.PortDefinitions) > 0 {
			bad.add("/portDefinitions", "need networks of mode host; with mode container/bridge use container.portMappings")
		}
	case "container":
		bad.add("/networks(0)/mode", "container is %s", unsupported)
	default:
		bad.add("/networks(0)/mode", "must be one of host, container/bridge")
	}
	validatePorts(a, bad)
}

func validatePorts(a *api.App, bad *problems) {
	ports := portsOf(a)
	if len(ports) > maxPorts {
		bad.add("/portDefinitions", "are more than %d", maxPorts)
	}
	names, fixed := map[string]bool{}, map[int]bool{}
	for _, p := range ports {
		switch {
		case p.name != "" && !portName.MatchString(p.name):
			bad.add(p.path+"/name", "must be at most 63 lower case letters, digits and hyphens")
		case p.name != "" && names[p.name]:
			bad.add(p.path+"/name", "%q is used twice", p.name)
		}
		names[p.name] = true
		if !slices.Contains([]string{"tcp", "udp", "udp,tcp"}, p.protocol) {
			bad.add(p.path+"/protocol", "must be one of tcp, udp, udp,tcp")
		}
		if min(p.host, p.container, p.service) < 0 || max(p.host, p.container, p.service) > 65535 {
			bad.add(p.path, "must be a port from 0 to 65535")
		}
		if p.host != 0 && fixed[p.host] {
			bad.add(p.path, "host port %d is used twice", p.host)
		}
		fixed[p.host] = true
	}
}

var portName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

var checkProtocols = []string{"HTTP", "HTTPS", "TCP", "COMMAND", "MESOS_HTTP", "MESOS_HTTPS", "MESOS_TCP"}

func validateHealth(a *api.App, bad *problems) {
	ports := len(portsOf(a))
	for i, h := range a.HealthChecks {
		path := fmt.Sprintf("/healthChecks(%d)", i)
		if !slices.Contains(checkProtocols, h.Protocol) {
			bad.add(path+"/protocol", "must be one of %s", strings.Join(checkProtocols, ", "))
		}
		if (h.Protocol == "COMMAND") != (h.Command != nil && h.Command.Value != "") {
			bad.add(path+"/command", "goes with protocol COMMAND and no other")
		}
		if h.PortIndex != nil && (*h.PortIndex < 0 || *h.PortIndex >= ports) {
			bad.add(path+"/portIndex", "Health check port indices must address an element of the ports array or container port mappings.")
		}
		if h.Port != nil && (*h.Port < 1 || *h.Port > 65535) {
			bad.add(path+"/port", "must be a port from 1 to 65535")
		}
		if h.Path != "" && !strings.HasPrefix(h.Path, "/") {
			bad.add(path+"/path", "must begin with a slash")
		}
		if h.IntervalSeconds <= 0 || h.TimeoutSeconds <= 0 || h.GracePeriodSeconds < 0 || h.DelaySeconds < 0 || h.MaxConsecutiveFailures < 0 {
			bad.add(path, "intervalSeconds and timeoutSeconds must be more than 0, the others not negative")
		}
	}
}

func validatePlacement(a *api.App, bad *problems) {
	for i, c := range a.Constraints {
		if err := api.CheckConstraint(c); err != nil {
			bad.add(fmt.Sprintf("/constraints(%d)", i), "%v", err)
		}
	}
	for i, r := range a.AcceptedResourceRoles {
		if r != api.ResourceRoleAny && r != api.ResourceRolePublic {
			bad.add(fmt.Sprintf("/acceptedResourceRoles(%d)", i), "%q is not one of *, slave_public", r)
		}
	}
}

func validateStrategy(a *api.App, bad *problems) {
	share := func(path string, v float64) {
		if v < 0 || v > 1 {
			bad.add(path, "must be from 0 to 1")
		}
	}
	if u := a.UpgradeStrategy; u != nil {
		share("/upgradeStrategy/minimumHealthCapacity", u.MinimumHealthCapacity)
		share("/upgradeStrategy/maximumOverCapacity", u.MaximumOverCapacity)
	}
	if u := a.UnreachableStrategy; u != nil && (u.InactiveAfterSeconds < 0 || u.ExpungeAfterSeconds < u.InactiveAfterSeconds) {
		bad.add("/unreachableStrategy", "inactiveAfterSeconds must not be negative, expungeAfterSeconds not before it")
	}
	if !slices.Contains([]string{"YOUNGEST_FIRST", "OLDEST_FIRST"}, a.KillSelection) {
		bad.add("/killSelection", "must be one of YOUNGEST_FIRST, OLDEST_FIRST")
	}
}
