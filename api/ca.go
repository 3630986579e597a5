package api

// SignRequest asks the site's CA for a node's certificate: POST /v1/sign on
// PortCA, provisioner only.
type SignRequest struct {
	CSR       string   `json:"csr"` // PEM PKCS#10
	Name      string   `json:"name"`
	Roles     []Role   `json:"roles"`
	Addresses []string `json:"addresses"` // IP addresses that the node serves on
}

// RenewRequest asks for a new certificate for the caller itself, with the name,
// roles and addresses of the one it calls with: POST /v1/renew on PortCA.
type RenewRequest struct {
	CSR string `json:"csr"` // PEM PKCS#10
}

// SignReply is the answer to both.
type SignReply struct {
	Certificate string `json:"certificate"` // PEM
}
