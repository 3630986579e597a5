package api

import "time"

// UnitStatus is the state of one unit on one node.
type UnitStatus struct {
	Unit        string    `json:"unit"`
	Description string    `json:"description,omitempty"`
	Load        string    `json:"load"`   // loaded | error
	Active      string    `json:"active"` // inactive | activating | active | deactivating | failed
	Sub         string    `json:"sub"`    // dead | start-pre | start | running | exited | listening | waiting | auto-restart | …
	Result      string    `json:"result,omitempty"`
	MainPID     int       `json:"main_pid,omitempty"`
	Restarts    int       `json:"restarts,omitempty"`
	Invocation  string    `json:"invocation,omitempty"`
	Since       time.Time `json:"since"`
	// Boot times in microseconds of CLOCK_BOOTTIME: job started, unit active.
	StartedUS int64    `json:"started_us,omitempty"`
	ActiveUS  int64    `json:"active_us,omitempty"`
	PssKB     int64    `json:"pss_kb,omitempty"` // proportional set size of its processes
	Error     string   `json:"error,omitempty"`
	Warnings  []string `json:"warnings,omitempty"`
}

// NodeStatus is one screen of a node.
type NodeStatus struct {
	Name      string       `json:"name"`
	Roles     []Role       `json:"roles,omitempty"`
	Version   string       `json:"version"`
	Image     string       `json:"image,omitempty"` // sha256:… of the running root image
	BootID    string       `json:"boot_id"`
	State     string       `json:"state"` // starting | running | degraded | stopping
	Problems  []Problem    `json:"problems,omitempty"`
	UptimeUS  int64        `json:"uptime_us"`
	Clock     string       `json:"clock"` // synchronized | unsynchronized
	MemTotal  int64        `json:"mem_total_bytes"`
	MemUsed   int64        `json:"mem_used_bytes"` // MemTotal - MemAvailable
	InitUS    int64        `json:"init_us"`        // CLOCK_BOOTTIME when init's main ran
	Targets   []UnitStatus `json:"targets,omitempty"`
	Addresses []string     `json:"addresses,omitempty"`
}

// Problem says what is wrong, since when, and the next step.
type Problem struct {
	What  string    `json:"what"`
	Since time.Time `json:"since"`
	Next  string    `json:"next,omitempty"`
}

// LogEntry is one journal record.
type LogEntry struct {
	Time     time.Time         `json:"time"`
	Unit     string            `json:"unit"`
	Priority int               `json:"priority"` // syslog(3) level: 3 error, 4 warning, 6 info
	PID      int               `json:"pid,omitempty"`
	Message  string            `json:"message"`
	Fields   map[string]string `json:"fields,omitempty"`
}

// BootEvent is one line of JSON that a booting node writes to the
// virtio-serial port named EventPort, for whoever watches the machine.
type BootEvent struct {
	Event string `json:"event"` // init | unit | enrolled | problem
	Unit  string `json:"unit,omitempty"`
	State string `json:"state,omitempty"` // active | failed
	Name  string `json:"name,omitempty"`
	Text  string `json:"text,omitempty"`
	US    int64  `json:"us"` // CLOCK_BOOTTIME
}

// ImageFile is where PID 1 notes the digest of the running root image,
// sha256:HEX; absent on a machine that was not booted from one.
const ImageFile = "/run/ingot/image"

// EventPort is the virtio-serial port that carries BootEvents.
const EventPort = "org.ingot.events"
