package api

import (
	"fmt"
	"slices"
	"strings"
)

// Role is one of the parts that a node plays; a node carries a set of them and
// their unit targets compose.
type Role string

// The roles of nodes. The target of role R is the unit R.target.
const (
	RoleMaster      Role = "master"
	RoleAgent       Role = "agent"
	RolePublicAgent Role = "public-agent"
)

// The roles of callers that are not nodes, carried in the same place of a
// certificate.
const (
	RoleOperator    Role = "operator"
	RoleProvisioner Role = "provisioner"
)

// NodeRoles lists the roles that a machine may be admitted with.
var NodeRoles = []Role{RoleMaster, RoleAgent, RolePublicAgent}

// ParseRoles reads roles joined by "+" or ",", as in "master+agent".
func ParseRoles(s string) ([]Role, error) {
	var roles []Role
	for f := range strings.FieldsFuncSeq(s, func(r rune) bool { return r == '+' || r == ',' }) {
		r := Role(f)
		if !slices.Contains(NodeRoles, r) {
			return nil, fmt.Errorf("role %q is not one of master, agent, public-agent", f)
		}
		if !slices.Contains(roles, r) {
			roles = append(roles, r)
		}
	}
	if len(roles) == 0 {
		return nil, fmt.Errorf("no role in %q: name one of master, agent, public-agent", s)
	}
	return roles, nil
}

// Target is the unit that a node with this role starts.
func (r Role) Target() string { return string(r) + ".target" }

// RunsTasks tells whether nodes of this role run containers.
func (r Role) RunsTasks() bool { return r == RoleAgent || r == RolePublicAgent }
