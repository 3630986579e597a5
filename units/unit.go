// Package units is the unit language of Ingot: systemd's syntax with systemd's
// meaning for the directives that it supports, and a named warning for each
// directive that it does not.
//
// It is pure: text in, values out. Parse reads one file, Load a stack of
// folders with drop-ins and templates, Graph adds implicit dependencies, and
// Graph.Start says which units a start pulls in. Every diagnostic carries file,
// line and column. It refuses to touch the system: users, paths and programs
// that a unit names are looked at by initd.
package units

import (
	"path"
	"strings"
	"time"
)

// Kind is what a unit manages, told by the suffix of its name.
type Kind string

// Kinds of unit.
const (
	KindService Kind = "service"
	KindSocket  Kind = "socket"
	KindTimer   Kind = "timer"
	KindTarget  Kind = "target"
)

// KindOf reads the kind from a unit's name; the second result is false if the
// name has no suffix of a known kind.
func KindOf(name string) (Kind, bool) {
	k := Kind(strings.TrimPrefix(path.Ext(name), "."))
	switch k {
	case KindService, KindSocket, KindTimer, KindTarget:
		return k, true
	}
	return "", false
}

// defaultTimeout is systemd's DefaultTimeoutStartSec less a nanosecond, so that
// finish can tell it from a value in a file.
const defaultTimeout = 90*time.Second - 1

// Forever is the duration that systemd calls infinity.
const Forever time.Duration = 1<<63 - 1

// Unit is one loaded unit: [Unit], and the section of its kind.
type Unit struct {
	Name string
	Kind Kind
	File string

	Description         string
	Wants               []string
	Requires            []string
	BindsTo             []string
	PartOf              []string
	After               []string
	Before              []string
	DefaultDependencies bool
	StartLimitInterval  time.Duration // systemd.unit(5): no more than Burst starts within it; 0 = no limit
	StartLimitBurst     int

	Service Service
	Socket  Socket
	Timer   Timer

	Warnings []Diagnostic
}

// Service is the [Service] section: systemd.service(5), systemd.exec(5),
// systemd.kill(5) and systemd.resource-control(5).
type Service struct {
	Type            string // simple exec oneshot notify
	RemainAfterExit bool
	NotifyAccess    string // main all

	ExecStartPre  []Command
	ExecStart     []Command
	ExecStartPost []Command
	ExecStop      []Command

	Restart         string // no always on-success on-failure
	RestartMode     string // normal direct
	RestartDelay    time.Duration
	RestartSteps    int
	RestartMaxDelay time.Duration

	TimeoutStart time.Duration
	TimeoutStop  time.Duration
	KillMode     string // control-group mixed process none
	KillSignal   int

	User                string
	Group               string
	SupplementaryGroups []string
	Environment         []string // NAME=value
	EnvironmentFile     []string // a leading "-": may be absent
	WorkingDirectory    string
	UMask               int // -1: not set
	NoNewPrivileges     bool
	LimitNOFILE         uint64 // 0: inherited
	OOMScoreAdjust      *int
	RuntimeDirectory    []string
	StateDirectory      []string

	MemoryMax int64 // bytes; 0: not set, -1: infinity
	TasksMax  int64
	CPUWeight int64
	Delegate  bool
}

// Command is one line of an Exec directive, split but not yet expanded.
type Command struct {
	Argv       []string
	IgnoreFail bool // prefix -
	Privileged bool // prefix +: User= does not apply
	Verbatim   bool // prefix :: no expansion of environment variables
}

// Socket is the [Socket] section.
type Socket struct {
	Listen             []string // ListenStream=: /path, PORT or ADDRESS:PORT
	SocketMode         uint32
	SocketUser         string
	SocketGroup        string
	Backlog            int
	Service            string
	FileDescriptorName string
}

// Timer is the [Timer] section.
type Timer struct {
	Triggers []Trigger
	Unit     string
}

// Trigger is one On…Sec directive.
type Trigger struct {
	Base  string // OnBootSec OnActiveSec OnUnitActiveSec OnUnitInactiveSec
	Delay time.Duration
}

// newUnit holds systemd's defaults.
func newUnit(name string, kind Kind) *Unit {
	return &Unit{
		Name: name, Kind: kind, DefaultDependencies: true,
		StartLimitInterval: 10 * time.Second, StartLimitBurst: 5,
		Service: Service{
			Restart: "no", RestartMode: "normal", RestartDelay: 100 * time.Millisecond, RestartMaxDelay: Forever,
			TimeoutStart: defaultTimeout, TimeoutStop: 90 * time.Second,
			KillMode: "control-group", KillSignal: sigterm, UMask: -1,
		},
		Socket: Socket{SocketMode: 0o666, Backlog: 4096},
	}
}

// Activates is the unit that a socket or timer starts, or "".
func (u *Unit) Activates() string {
	service := strings.TrimSuffix(u.Name, path.Ext(u.Name)) + ".service"
	switch u.Kind {
	case KindSocket:
		return orElse(u.Socket.Service, service)
	case KindTimer:
		return orElse(u.Timer.Unit, service)
	}
	return ""
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
