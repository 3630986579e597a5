// Package state is the scheduler's keys in the store: their names, the JSON in
// them, and how they are read and written.
//
// One key per app, version, deployment, allocation, status, failure and node,
// below /v1/. What expires is on leases: /v1/alive/NODE says that a node's
// agent reported within api.LeaseSeconds and costs no write to disk.
//
// Only a leader writes: each transaction compares the leader's election key,
// so that one who has lost it without noticing changes nothing. Allocations are
// written in transactions of one node each, guarded by that node's own
// /v1/resv/NODE. Values of another release: unknown fields are ignored.
//
// It refuses decisions. Its one goroutine is WatchLife's, which ends with its
// context.
package state

import (
	"strings"
	"time"

	"github.com/ingot-os/ingot/api"
)

// Prefix is where all keys live.
const Prefix = "/v1/"

// LeaderPrefix is the scheduler's election.
const LeaderPrefix = Prefix + "leader/scheduler"

const (
	appPrefix     = Prefix + "spec/app"
	versionPrefix = Prefix + "specver/app"
	failurePrefix = Prefix + "failure/app"
	deployPrefix  = Prefix + "deploy/"
	allocPrefix   = Prefix + "alloc/"
	statusPrefix  = Prefix + "status/"
	nodePrefix    = Prefix + "node/"
	resvPrefix    = Prefix + "resv/"
	alivePrefix   = Prefix + "alive/"
)

// App is the key of an app, whose id begins with a slash.
func App(id string) string { return appPrefix + id }

// Version is the key of one version of an app's definition.
func Version(id, version string) string { return versionPrefix + id + "@" + version }

// Failure is the key of an app's last failure.
func Failure(id string) string { return failurePrefix + id }

// Deployment is the key of a deployment.
func Deployment(id string) string { return deployPrefix + id }

// Alloc is the key of an allocation.
func Alloc(node, id string) string { return allocPrefix + node + "/" + id }

// Status is the key of what was observed of an allocation.
func Status(node, id string) string { return statusPrefix + node + "/" + id }

// Node is the key of a node's inventory.
func Node(name string) string { return nodePrefix + name }

// AppRecord is an app as it should be.
type AppRecord struct {
	Spec     api.App `json:"spec"`
	Removing bool    `json:"removing,omitempty"`
}

// AllocRecord is an allocation; Stop asks its node to end it.
type AllocRecord struct {
	api.Alloc
	Stop bool `json:"stop,omitempty"`
}

// DeploymentRecord is a deployment and what to go back to.
type DeploymentRecord struct {
	api.Deployment
	App      string   `json:"app"`
	Previous *api.App `json:"previous,omitempty"` // nil: there was none
}

// NodeRecord is a node's inventory and how it was last seen.
type NodeRecord struct {
	api.AgentInventory
	Alive bool      `json:"alive"`
	Since time.Time `json:"since"`
}

// nodeOf names the node whose guard a key is under, if any.
func nodeOf(key string) string {
	for _, p := range []string{allocPrefix, statusPrefix} {
		if rest, ok := strings.CutPrefix(key, p); ok {
			node, _, _ := strings.Cut(rest, "/")
			return node
		}
	}
	return ""
}
