package api

// Ports that Ingot's own programs listen on. Everything but boot files and
// time is mTLS, or TLS with a token.
const (
	PortBoot      = 80   // provisioner: boot files over HTTP, firmware can do no better
	PortEnrol     = 7300 // provisioner: enrolment, TLS, pinned by the token
	PortRegistry  = 7500 // provisioner side: container images, mTLS
	PortNode      = 7100 // every node: the node API, mTLS
	PortScheduler = 7200 // master: Marathon API, agents' streams, routes; mTLS
	PortCA        = 7210 // master: signing and renewal; mTLS
	PortRouter    = 443  // master: the front door; TLS with token or client certificate
	PortStore     = 2379 // master, loopback only: etcd's client port; mTLS
	PortTaskLog   = 7400 // agents: standard output and error of tasks; mTLS
)

// Host ports given to tasks that ask for port 0: Mesos' default range.
const (
	TaskPortFirst = 31000
	TaskPortLast  = 32000
)
