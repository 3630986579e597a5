// Package rack is a rack of virtual machines with empty memory and no disks, on
// one wire, next to a site's provisioner: what `ingot up` powers on and what the
// stories break.
//
// # What it makes
//
// A user-space switch (package wire); a network namespace with a tap on that
// switch, in which the provisioner runs as a program of its own with the
// kernel's sockets; the machines (package vm). The router's port of the master
// is offered on the host through a listening socket made outside the namespace
// and inherited by the provisioner as file descriptor ForwardFD.
//
// # Order of calls
//
//	ParseRack, Preflight   what is wanted, and whether this host can
//	Up                     all of it, or an error and nothing left behind
//	Serve                  the control socket, until the context ends
//	Close                  takes down what Up made
//
// Other processes use Dial(dir) for the verbs and Down(dir) for the end. Down
// needs no daemon: Dir/processes.json and Dir/rack.json say what was made, so it
// works when the daemon was killed or never finished. It ends no process whose
// pid and start time are not recorded there, and removes no file that a rack
// does not make.
//
// # It refuses
//
// to know how a site is made: tokens and the provisioner's configuration are
// its caller's. A second rack in the same folder. More than one master, for now.
//
// # Machines
//
// A machine is on or off. A machine that resets itself is powered on again at
// once (a guest's reboot is a new QEMU), but stays off, with a problem event,
// after rebootLimit resets within a minute. One that powers itself off stays off.
//
// # Goroutines
//
// One follows the provisioner's events, one watches the provisioner's process,
// one watches each machine; Close waits for all. Those of wire, vm and child
// are theirs.
package rack
