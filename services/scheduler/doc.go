// Package scheduler decides what runs where: it holds the cluster's nodes, apps
// and instances, places instances on nodes and tells agents what to run. With
// services/apps in the same process it is the Marathon API.
//
// It runs as `ingotd scheduler` on each master, listening on :7200 with mTLS.
// One of them leads (an election in the store); the others answer 503 with the
// leader's name.
//
// A term of leadership:
//
//	elected -> load all of the state -> loop -> deposed, store lost, or told to end
//
// One goroutine, the term's loop, owns the model. HTTP handlers send it
// functions (ask); the store's watch sends it nodes that came or went; a timer
// wakes it for back-offs. After each round it reconciles, writes what changed in
// one batch, and only then publishes and answers. A write that does not succeed
// ends the term: the next one loads the truth again. So a restart loses nothing
// and does nothing twice.
//
// Instances, as the model sees them:
//
//	placed -> reported running -> (healthy) -> told to stop -> reported ended -> forgotten
//	          reported ended by itself: a failure; another is placed after the app's back-off
//	          node's lease ended: unreachable, replaced at once (unreachableStrategy 0/0)
//	          node returns: surplus instances on it are the first to be stopped
//
// Agents get level-triggered state: each line of their stream is all that the
// node should run, what is missing from it is to be stopped. A node that was
// never heard of since the term began is believed for api.LeaseSeconds.
//
// An instance whose health check says no gets no requests; its agent ends it
// after maxConsecutiveFailures, which arrives here as a failure like any other.
//
// Goroutines: the term's loop, the lease watch (state.WatchLife), the
// election's keep-alive; Run waits for them.
package scheduler
