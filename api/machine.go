package api

import "time"

// MachineFacts is what a machine says of itself. It is a claim, not a proof.
type MachineFacts struct {
	UUID    string   `json:"uuid,omitempty"`   // SMBIOS type 1
	Serial  string   `json:"serial,omitempty"` // SMBIOS type 1
	MACs    []string `json:"macs"`             // lower case, colon separated
	Address string   `json:"address"`          // IPv4 address it speaks from
	Booted  string   `json:"booted,omitempty"` // digest of the running image, sha256:…
	Version string   `json:"version,omitempty"`
}

// EnrolRequest asks a site for admission: POST /v1/enrol on PortEnrol.
type EnrolRequest struct {
	Token string       `json:"token,omitempty"` // id.secret; empty asks to be listed as pending
	CSR   string       `json:"csr"`             // PEM PKCS#10, ECDSA P-256, self-signed proof of the key
	Facts MachineFacts `json:"facts"`
}

// EnrolReply admits a machine.
type EnrolReply struct {
	Node        NodeIdentity `json:"node"`
	Certificate string       `json:"certificate"` // PEM, leaf first
	CA          string       `json:"ca"`          // PEM
	// SealedCAKey is set once, for the first master: the site CA's PKCS#8 key
	// in HPKE (RFC 9180, DHKEM(P-256, HKDF-SHA256), HKDF-SHA256, AES-128-GCM)
	// sealed to the key of the CSR, info "ingot site ca key", as enc || ciphertext.
	SealedCAKey []byte `json:"sealed_ca_key,omitempty"`
}

// NodeIdentity is who a node is; stored beside its certificate as node.json.
type NodeIdentity struct {
	Name        string   `json:"name"`
	Site        string   `json:"site"`
	Roles       []Role   `json:"roles"`
	Address     string   `json:"address"`
	Masters     []string `json:"masters"`     // addresses
	Provisioner string   `json:"provisioner"` // address
	Registry    string   `json:"registry"`    // host:port of the site registry
}

// MachineState is where a machine stands with the site.
type MachineState string

// States of a machine.
const (
	MachineExpected MachineState = "expected" // known, never seen
	MachineBooting  MachineState = "booting"  // its firmware or its node asked for an address or an image
	MachinePending  MachineState = "pending"  // asked for admission without a valid token
	MachineAdmitted MachineState = "admitted" // a node
)

// Machine is the site's record of one machine.
type Machine struct {
	Name     string        `json:"name"`
	State    MachineState  `json:"state"`
	Roles    []Role        `json:"roles,omitempty"`
	MAC      string        `json:"mac"`
	Address  string        `json:"address,omitempty"`
	Firmware string        `json:"firmware,omitempty"` // bios-ipxe, uefi-http …
	Reason   string        `json:"reason,omitempty"`   // why it is pending, in words
	Since    time.Time     `json:"since"`
	Bytes    int64         `json:"bytes,omitempty"` // boot bytes sent to it since power-on
	Facts    *MachineFacts `json:"facts,omitempty"`
}

// TokenPrefix starts the SMBIOS OEM string (type 11) that carries a one-time
// token: "ingot.token=ID.SECRET@sha256:HEX", HEX being the SHA-256 of the site
// CA's DER certificate, which the machine pins.
const TokenPrefix = "ingot.token="

// DHCPOptionSite is the private-use DHCP option (RFC 3942) that carries the
// enrolment URL, https://ADDRESS:PORT, to a machine's initd.
const DHCPOptionSite = 224
