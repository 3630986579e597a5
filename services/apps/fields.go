package apps

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/ingot-os/ingot/api"
)

// object is a JSON object on its way to an App.
type object = map[string]any

// fate is what happens to a field of a definition.
type fate int

const (
	keep     fate = iota + 1
	readOnly      // comes from GET, ignored
	refuse        // 422 unless empty
)

// appFields are the fields of Marathon's App (RAML types app.raml).
var appFields = map[string]fate{
	"id": keep, "cmd": keep, "args": keep, "user": keep, "cpus": keep, "mem": keep, "disk": keep, "gpus": keep,
	"instances": keep, "env": keep, "labels": keep, "container": keep, "networks": keep, "portDefinitions": keep,
	"requirePorts": keep, "healthChecks": keep, "constraints": keep, "acceptedResourceRoles": keep,
	"backoffSeconds": keep, "backoffFactor": keep, "maxLaunchDelaySeconds": keep, "taskKillGracePeriodSeconds": keep,
	"dependencies": keep, "killSelection": keep, "upgradeStrategy": keep, "unreachableStrategy": keep,
	"ports": keep, // legacy, rewritten

	"version": readOnly, "versionInfo": readOnly, "tasksStaged": readOnly, "tasksRunning": readOnly, "tasksHealthy": readOnly,
	"tasksUnhealthy": readOnly, "deployments": readOnly, "tasks": readOnly, "lastTaskFailure": readOnly,
	"taskStats": readOnly, "readinessCheckResults": readOnly, "servicePorts": readOnly,

	"secrets": refuse, "fetch": refuse, "uris": refuse, "storeUrls": refuse, "readinessChecks": refuse, "check": refuse,
	"residency": refuse, "resourceLimits": refuse, "executorResources": refuse, "ipAddress": refuse, "tty": refuse,
}

var containerFields = map[string]fate{
	"type": keep, "docker": keep, "portMappings": keep,
	"volumes": refuse, "linuxInfo": refuse, "appc": refuse,
}

var dockerFields = map[string]fate{
	"image": keep, "forcePullImage": keep,
	"network": keep, "portMappings": keep, // legacy, rewritten
	"privileged": refuse, "parameters": refuse, "credential": refuse, "pullConfig": refuse,
}

const unsupported = "not supported in this release"

// sift removes what is read-only or unknown, refuses what is not supported, and
// returns the names of the unknown.
func sift(o object, fields map[string]fate, path string, bad *problems) []string {
	var unknown []string
	for _, name := range slices.Sorted(maps.Keys(o)) {
		switch fields[name] {
		case keep:
			continue
		case refuse:
			if !empty(o[name]) {
				bad.add(path+"/"+name, unsupported)
			}
		case readOnly:
		default:
			unknown = append(unknown, strings.TrimPrefix(path+"/"+name, "/"))
		}
		delete(o, name)
	}
	return unknown
}

// empty tells whether a value asks for nothing.
func empty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case bool:
		return !v
	case string:
		return v == ""
	case []any:
		return len(v) == 0
	case object:
		return len(v) == 0
	}
	return false
}

// dropNulls removes explicit nulls at every depth: they mean the default.
func dropNulls(v any) {
	switch v := v.(type) {
	case object:
		for k, e := range v {
			if e == nil {
				delete(v, k)
			}
			dropNulls(e)
		}
	case []any:
		for _, e := range v {
			dropNulls(e)
		}
	}
}

// setDefaults fills in what o does not say.
func setDefaults(o object, defaults object) {
	for k, v := range defaults {
		if _, said := o[k]; !said {
			o[k] = v
		}
	}
}

// child returns the object at a field; a value of another type is a problem.
func child(o object, name, path string, bad *problems) (object, bool) {
	v, said := o[name]
	if !said {
		return nil, false
	}
	c, ok := v.(object)
	if !ok {
		bad.add(path+"/"+name, "must be an object")
		delete(o, name)
	}
	return c, ok
}

// children returns the objects of a list.
func children(o object, name, path string, bad *problems) []object {
	v, said := o[name]
	if !said {
		return nil
	}
	list, ok := v.([]any)
	if !ok {
		bad.add(path+"/"+name, "must be a list")
		delete(o, name)
		return nil
	}
	var out []object
	for i, e := range list {
		c, ok := e.(object)
		if !ok {
			bad.add(fmt.Sprintf("%s/%s(%d)", path, name, i), "must be an object")
			delete(o, name)
			return nil
		}
		out = append(out, c)
	}
	return out
}

// problems collects what is wrong with a definition, by path.
type problems struct{ details []api.ErrorDetail }

func (p *problems) add(path, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	for i, d := range p.details {
		if d.Path == path {
			p.details[i].Errors = append(d.Errors, text)
			return
		}
	}
	p.details = append(p.details, api.ErrorDetail{Path: path, Errors: []string{text}})
}

func (p *problems) err() error {
	if len(p.details) == 0 {
		return nil
	}
	return &api.Error{Kind: api.KindInvalid, Message: "Object is not valid", Details: p.details}
}
