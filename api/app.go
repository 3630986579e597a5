package api

import (
	"encoding/json"
	"fmt"
)

// App is a Marathon application definition, in the fields that this depth of
// Ingot gives behaviour. (dcos.md section 2.2; Marathon RAML App.)
type App struct {
	ID                         string                `json:"id"`
	Cmd                        *string               `json:"cmd,omitempty"`
	Args                       []string              `json:"args,omitempty"`
	User                       string                `json:"user,omitempty"`
	CPUs                       float64               `json:"cpus"`
	Mem                        float64               `json:"mem"`
	Disk                       float64               `json:"disk"`
	GPUs                       float64               `json:"gpus"`
	Instances                  int                   `json:"instances"`
	Env                        map[string]string     `json:"env,omitempty"`
	Labels                     map[string]string     `json:"labels,omitempty"`
	Container                  *Container            `json:"container,omitempty"`
	Networks                   []Network             `json:"networks,omitempty"`
	PortDefinitions            []PortDefinition      `json:"portDefinitions,omitempty"`
	RequirePorts               bool                  `json:"requirePorts"`
	HealthChecks               []HealthCheck         `json:"healthChecks,omitempty"`
	Constraints                [][]string            `json:"constraints,omitempty"`
	AcceptedResourceRoles      []string              `json:"acceptedResourceRoles,omitempty"`
	BackoffSeconds             float64               `json:"backoffSeconds"`
	BackoffFactor              float64               `json:"backoffFactor"`
	MaxLaunchDelaySeconds      float64               `json:"maxLaunchDelaySeconds"`
	TaskKillGracePeriodSeconds float64               `json:"taskKillGracePeriodSeconds,omitempty"`
	Dependencies               []string              `json:"dependencies,omitempty"`
	KillSelection              string                `json:"killSelection,omitempty"` // YOUNGEST_FIRST | OLDEST_FIRST
	UpgradeStrategy            *UpgradeStrategy      `json:"upgradeStrategy,omitempty"`
	UnreachableStrategy        *UnreachableStrategy  `json:"unreachableStrategy,omitempty"`
	Version                    string                `json:"version,omitempty"` // RFC 3339 with milliseconds
	VersionInfo                *VersionInfo          `json:"versionInfo,omitempty"`
	TasksStaged                int                   `json:"tasksStaged"`
	TasksRunning               int                   `json:"tasksRunning"`
	TasksHealthy               int                   `json:"tasksHealthy"`
	TasksUnhealthy             int                   `json:"tasksUnhealthy"`
	Deployments                []DeploymentReference `json:"deployments"`
	Tasks                      []Task                `json:"tasks,omitempty"`
	LastTaskFailure            *TaskFailure          `json:"lastTaskFailure,omitempty"`
}

// Container says what to run an app in.
type Container struct {
	Type         string        `json:"type"` // MESOS | DOCKER
	Docker       *Docker       `json:"docker,omitempty"`
	PortMappings []PortMapping `json:"portMappings,omitempty"`
}

// Docker names a container image.
type Docker struct {
	Image          string `json:"image"`
	ForcePullImage bool   `json:"forcePullImage"`
	Privileged     bool   `json:"privileged"`
}

// PortMapping gives a container's port a port of the host; host port 0 is any.
type PortMapping struct {
	ContainerPort int               `json:"containerPort"`
	HostPort      *int              `json:"hostPort,omitempty"`
	ServicePort   int               `json:"servicePort"`
	Protocol      string            `json:"protocol,omitempty"`
	Name          string            `json:"name,omitempty"`
	Labels        map[string]string `json:"labels,omitempty"`
}

// PortDefinition asks for a port of the host in host networking.
type PortDefinition struct {
	Port     int               `json:"port"`
	Protocol string            `json:"protocol,omitempty"`
	Name     string            `json:"name,omitempty"`
	Labels   map[string]string `json:"labels,omitempty"`
}

// Network is a way of being reached: host, container/bridge or container.
type Network struct {
	Mode string `json:"mode"`
	Name string `json:"name,omitempty"`
}

// HealthCheck is one of Marathon's health checks.
type HealthCheck struct {
	Protocol               string         `json:"protocol"` // HTTP MESOS_HTTP TCP MESOS_TCP COMMAND …
	Path                   string         `json:"path,omitempty"`
	PortIndex              *int           `json:"portIndex,omitempty"`
	Port                   *int           `json:"port,omitempty"`
	Command                *HealthCommand `json:"command,omitempty"`
	GracePeriodSeconds     float64        `json:"gracePeriodSeconds"`
	IntervalSeconds        float64        `json:"intervalSeconds"`
	TimeoutSeconds         float64        `json:"timeoutSeconds"`
	MaxConsecutiveFailures int            `json:"maxConsecutiveFailures"`
	DelaySeconds           float64        `json:"delaySeconds"`
	IgnoreHTTP1xx          bool           `json:"ignoreHttp1xx"`
}

// HealthCommand is a command run in the task's container.
type HealthCommand struct {
	Value string `json:"value"`
}

// DeploymentReference names a deployment that touches an app.
type DeploymentReference struct {
	ID string `json:"id"`
}

// Task is one instance as Marathon shows it.
type Task struct {
	ID                 string              `json:"id"`
	AppID              string              `json:"appId"`
	Host               string              `json:"host"`
	Ports              []int               `json:"ports"`
	State              TaskState           `json:"state"`
	StagedAt           string              `json:"stagedAt,omitempty"`
	StartedAt          string              `json:"startedAt,omitempty"`
	Version            string              `json:"version"`
	SlaveID            string              `json:"slaveId,omitempty"`
	HealthCheckResults []HealthCheckResult `json:"healthCheckResults,omitempty"`
	ServicePorts       []int               `json:"servicePorts,omitempty"`
	IPAddresses        []IPAddress         `json:"ipAddresses,omitempty"`
	Role               string              `json:"role,omitempty"`
}

// IPAddress is an address that a task's own sockets have.
type IPAddress struct {
	IPAddress string `json:"ipAddress"`
	Protocol  string `json:"protocol"` // IPv4 | IPv6
}

// HealthCheckResult is the newest result of a task's health checks.
type HealthCheckResult struct {
	Alive               bool   `json:"alive"`
	ConsecutiveFailures int    `json:"consecutiveFailures"`
	InstanceID          string `json:"instanceId,omitempty"`
}

// TaskFailure is the last failure of an app's tasks.
type TaskFailure struct {
	AppID     string    `json:"appId"`
	Host      string    `json:"host"`
	Message   string    `json:"message"`
	State     TaskState `json:"state"`
	TaskID    string    `json:"taskId"`
	Timestamp string    `json:"timestamp"`
	Version   string    `json:"version"`
}

// VersionInfo says when an app was last scaled and last changed otherwise.
type VersionInfo struct {
	LastScalingAt      string `json:"lastScalingAt"`
	LastConfigChangeAt string `json:"lastConfigChangeAt"`
}

// UpgradeStrategy bounds a rolling change, as shares of Instances.
type UpgradeStrategy struct {
	MinimumHealthCapacity float64 `json:"minimumHealthCapacity"`
	MaximumOverCapacity   float64 `json:"maximumOverCapacity"`
}

// UnreachableStrategy says when the instances of a lost node are replaced and
// forgotten. Its JSON is the string "disabled" or an object.
type UnreachableStrategy struct {
	Disabled             bool
	InactiveAfterSeconds float64
	ExpungeAfterSeconds  float64
}

type unreachableObject struct {
	InactiveAfterSeconds float64 `json:"inactiveAfterSeconds"`
	ExpungeAfterSeconds  float64 `json:"expungeAfterSeconds"`
}

// MarshalJSON writes Marathon's form.
func (u UnreachableStrategy) MarshalJSON() ([]byte, error) {
	if u.Disabled {
		return []byte(`"disabled"`), nil
	}
	return json.Marshal(unreachableObject{u.InactiveAfterSeconds, u.ExpungeAfterSeconds})
}

// UnmarshalJSON reads Marathon's form.
func (u *UnreachableStrategy) UnmarshalJSON(b []byte) error {
	if string(b) == `"disabled"` {
		*u = UnreachableStrategy{Disabled: true}
		return nil
	}
	var o unreachableObject
	if err := json.Unmarshal(b, &o); err != nil {
		return fmt.Errorf(`read unreachableStrategy: neither "disabled" nor an object: %w`, err)
	}
	*u = UnreachableStrategy{InactiveAfterSeconds: o.InactiveAfterSeconds, ExpungeAfterSeconds: o.ExpungeAfterSeconds}
	return nil
}
