package supervisor

import (
	"syscall"
	"time"

	"github.com/ingot-os/ingot/api"
	"github.com/ingot-os/ingot/units"
)

// Kernel is the world as the engine needs it. Its methods are called from the
// engine's loop only and do not wait; what happens later is posted as an Event.
type Kernel interface {
	Processes
	Sockets

	Now() time.Duration                              // since power-on
	After(d time.Duration, ev Event) (cancel func()) // posts ev
	Save(snapshot []byte)
	Log(unit string, priority int, text string)
	Tell(api.BootEvent)
	Power(action string)
}

// Processes is the part of Kernel about processes and their groups.
type Processes interface {
	// Prepare makes what an invocation stands on: control group, folders, pipe for output.
	Prepare(u *units.Unit, invocation string) error
	// Start runs one command; its end is posted as EventExit.
	Start(s Start) (pid int, err error)
	// Adopt watches a process of an earlier supervisor; false if it is gone.
	Adopt(unit, invocation string, pid int) bool
	Signal(pid int, sig syscall.Signal)
	SignalGroup(unit, invocation string, sig syscall.Signal)
	KillGroup(unit, invocation string)
	PIDs(unit, invocation string) []int
	// Cleanup removes what Prepare made, as far as no process is left in it.
	Cleanup(u *units.Unit, invocation string)
}

// Sockets is the part of Kernel about the descriptors of socket units.
type Sockets interface {
	Bind(u *units.Unit) error // again after a crash: the kept descriptors
	Watch(unit string)        // one EventReady when a connection waits
	Unwatch(unit string)
	Unbind(u *units.Unit)
}

// Start is one command of a unit to run.
type Start struct {
	Unit       *units.Unit
	Invocation string
	Command    units.Command
	MainPID    int      // for $MAINPID; 0: none
	Sockets    []string // active socket units of the service
	Main       bool     // gets the sockets and NOTIFY_SOCKET
}

// EventKind says what happened.
type EventKind int

// Kinds of event.
const (
	EventExit    EventKind = iota // PID of Unit, Invocation ended with Status
	EventNotify                   // PID of Unit, Invocation said Text (sd_notify(3))
	EventTimeout                  // the timer Gen of Unit ran out
	EventReady                    // a connection waits at socket Unit
	EventCall                     // run Call in the loop
)

// Event is one input of the engine.
type Event struct {
	Kind       EventKind
	Unit       string
	Invocation string
	PID        int
	Status     syscall.WaitStatus
	Lost       bool // the process is gone and nobody knows its status
	Text       string
	Gen        int
	Call       func()
}
