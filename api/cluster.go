package api

import "time"

// Resources of a node, or asked for by an instance.
type Resources struct {
	CPUs float64 `json:"cpus"`
	Mem  float64 `json:"mem"`  // MiB
	Disk float64 `json:"disk"` // MiB
	GPUs float64 `json:"gpus"`
}

// AgentInventory is what an agent registers with: POST /agent/v1/register.
type AgentInventory struct {
	Node       string            `json:"node"`
	Address    string            `json:"address"`
	Roles      []Role            `json:"roles"`
	Total      Resources         `json:"total"`
	Attributes map[string]string `json:"attributes,omitempty"`
}

// NodeSummary is a node as the scheduler sees it: GET /v1/nodes.
type NodeSummary struct {
	AgentInventory
	Alive bool      `json:"alive"`
	Since time.Time `json:"since"` // of Alive's last change
	Used  Resources `json:"used"`
	Tasks int       `json:"tasks"`
}

// Alloc is one instance placed on one node: the unit of desired state.
type Alloc struct {
	ID      string            `json:"id"` // task id: hello.instance-UUID._app.1
	App     string            `json:"app"`
	Version string            `json:"version"` // of the app definition
	Node    string            `json:"node"`
	Image   string            `json:"image,omitempty"` // empty: the base image
	Cmd     string            `json:"cmd,omitempty"`   // run by /bin/sh -c
	Args    []string          `json:"args,omitempty"`
	User    string            `json:"user,omitempty"`
	Env     map[string]string `json:"env,omitempty"`
	Res     Resources         `json:"res"`
	Network string            `json:"network"` // host | bridge
	Ports   []AllocPort       `json:"ports,omitempty"`
	Health  []HealthCheck     `json:"health,omitempty"`
	// KillGraceSeconds is the time between SIGTERM and SIGKILL.
	KillGraceSeconds float64   `json:"kill_grace_seconds"`
	Force            bool      `json:"force_pull,omitempty"`
	Created          time.Time `json:"created"`
}

// AllocPort is one port of an instance, host side and container side.
type AllocPort struct {
	Name      string `json:"name,omitempty"`
	Protocol  string `json:"protocol"` // tcp | udp | udp,tcp
	Host      int    `json:"host"`
	Container int    `json:"container"` // equal to Host in host networking
}

// AllocSet is all that a node should run: one line of the NDJSON stream
// GET /agent/v1/allocs. Each line replaces the one before it.
type AllocSet struct {
	Revision int64   `json:"revision"`
	Allocs   []Alloc `json:"allocs"`
}

// TaskState is a task's state in Mesos' words.
type TaskState string

// Task states, as in mesos.proto.
const (
	TaskStaging     TaskState = "TASK_STAGING"
	TaskStarting    TaskState = "TASK_STARTING"
	TaskRunning     TaskState = "TASK_RUNNING"
	TaskKilling     TaskState = "TASK_KILLING"
	TaskFinished    TaskState = "TASK_FINISHED"
	TaskFailed      TaskState = "TASK_FAILED"
	TaskKilled      TaskState = "TASK_KILLED"
	TaskUnreachable TaskState = "TASK_UNREACHABLE"
)

// Terminal tells whether a task in this state will never run again.
func (s TaskState) Terminal() bool {
	return s == TaskFinished || s == TaskFailed || s == TaskKilled
}

// AllocStatus is what an agent observed of one instance.
type AllocStatus struct {
	ID        string    `json:"id"`
	State     TaskState `json:"state"`
	Message   string    `json:"message,omitempty"`
	ExitCode  int       `json:"exit_code,omitempty"`
	Healthy   *bool     `json:"healthy,omitempty"` // nil: no health check, or none done yet
	StartedAt time.Time `json:"started_at,omitzero"`
	UpdatedAt time.Time `json:"updated_at"`
	IP        string    `json:"ip,omitempty"` // container's own address in bridge networking
}

// StatusReport carries statuses that changed (all of them if Full) from an
// agent; an empty one is a heartbeat. POST /agent/v1/status.
type StatusReport struct {
	Node     string        `json:"node"`
	Full     bool          `json:"full,omitempty"`
	Statuses []AllocStatus `json:"statuses,omitempty"`
}

// HeartbeatSeconds is how often an agent reports at least, and LeaseSeconds how
// long the cluster believes it without a report.
const (
	HeartbeatSeconds = 3
	LeaseSeconds     = 12
)

// RouteTable is what the router serves: one line of the NDJSON stream
// GET /v1/routes. Each line replaces the one before it.
type RouteTable struct {
	Revision int64   `json:"revision"`
	Services []Route `json:"services"`
}

// Route leads /service/NAME/ to the running instances of an app that carries
// DC/OS' labels DCOS_SERVICE_NAME, DCOS_SERVICE_SCHEME, DCOS_SERVICE_PORT_INDEX.
type Route struct {
	Name        string   `json:"name"`
	App         string   `json:"app"`
	Scheme      string   `json:"scheme"` // http | https
	RewriteURLs bool     `json:"rewrite_urls"`
	Endpoints   []string `json:"endpoints"` // host:port, healthy ones first
}
