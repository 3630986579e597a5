// Package supervisor is everything about units at run time: jobs, service
// states, sockets, timers, and coming back after a crash of itself.
//
// Engine is the core. One goroutine (Engine.Run) owns all unit state. Whatever
// happens reaches it as an Event that carries unit and invocation; one that no
// longer fits is dropped. What it does to the world goes through the Kernel
// interface, which a test can replace.
//
// States of a service (Active/Sub), as systemd names them:
//
//	inactive/dead -> activating/start-pre -> start -> start-post -> active/running|exited
//	active -> deactivating/stop -> stop-sigterm -> final-sigkill -> inactive/dead
//	                                                             -> failed/failed
//	                                                             -> activating/auto-restart -> start-pre
//
// Sockets: inactive/dead, active/listening (watched), active/running (their
// service has them). Timers: active/waiting, active/running, active/elapsed.
// Targets: active/active.
//
// Before each spawn and after each event that changed something, the state goes
// to PID 1 as a snapshot. A supervisor that finds one adopts the processes in
// it; PID 1 reports the ends of those that it adopted meanwhile.
//
// Goroutines: the engine's loop; the poller; "notify" and "pid1", which read
// their sockets; "events", which writes boot events; one per captured output; the control server's; the console.
// All live as long as the process.
package supervisor
