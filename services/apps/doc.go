// Package apps is the Marathon v2 API: it reads app definitions, says what is
// wrong with them in Marathon's shapes, and answers /v2/… and /ping.
//
// It owns the language (Parse, Merge, Validate), what an instance of an app is
// (Instance: command, image, ports and environment of one task) and the HTTP
// routes. It keeps nothing: what exists and what runs belongs to whoever
// implements Cluster, which the scheduler does in the same process.
//
// Of a definition:
//
//   - A field that Ingot gives no behaviour yet and that would change what runs
//     (volumes, secrets, pods, fetch, readinessChecks, container networks …) is
//     refused with 422 at its path and "not supported in this release", unless
//     it is null or empty, as Marathon's clients send many.
//   - Read-only fields (tasks, versionInfo, deployments …) are ignored, so that
//     what GET answered can be PUT back.
//   - Fields that Marathon does not know are ignored and not kept, as Marathon
//     does; the answer names them in the header Ingot-Ignored-Fields.
//   - null means the default. Legacy spellings (ports, docker.network,
//     docker.portMappings) are rewritten to today's.
//
// Events, groups, pods and plugins are not served. No goroutines.
package apps
