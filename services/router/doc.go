// Package router is the front door of a cluster: one TLS port through which an
// operator reaches Marathon's API, the services that run on the agents, the
// nodes and the output of tasks. It stands where DC/OS had Admin Router.
//
// It owns who may come in (an operator's certificate, or a token signed by the
// site's CA), which way a path leads (one table, routes.go) and what happens
// when an instance does not answer. It refuses state: routes come from the
// scheduler's stream GET /v1/routes and live in memory, so that init may end
// and start it at will; while the scheduler is away the last table holds.
//
// How a request to a service is tried (attempt.go): instances in turn, those
// that failed in the last seconds last. A request that may be repeated (GET,
// HEAD, OPTIONS without a body) goes to a second instance when the first one
// fails, or has sent no header after hedgeAfter; the first answer wins. Any
// other request goes on a connection of its own and to another instance only
// when no connection came about, since then it cannot have been seen. So one
// of two machines may lose its power, packets vanishing without a trace, and
// every GET still answers within two seconds.
//
// Goroutines: table.run follows the stream for as long as Run lives; each
// attempt of a request has one, which ends with that request's context.
package router
