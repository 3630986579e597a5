package api

import (
	"fmt"
	"regexp"
	"strconv"
)

// Resource roles of DC/OS: what an app accepts and a node offers.
const (
	ResourceRoleAny    = "*"
	ResourceRolePublic = "slave_public" // public agents
)

// ConstraintOperators are Marathon's; IS is exact equality.
var ConstraintOperators = []string{"UNIQUE", "CLUSTER", "GROUP_BY", "MAX_PER", "LIKE", "UNLIKE", "IS"}

// CheckConstraint tells what is wrong with one [field, operator, value?].
func CheckConstraint(c []string) error {
	if len(c) != 2 && len(c) != 3 {
		return fmt.Errorf("needs a field, an operator and at most one value, has %d parts", len(c))
	}
	op, value := c[1], ""
	if len(c) == 3 {
		value = c[2]
	}
	switch op {
	case "LIKE", "UNLIKE":
		if value == "" {
			return fmt.Errorf("%s needs a regular expression", op)
		}
		if _, err := regexp.Compile(value); err != nil {
			return fmt.Errorf("%s: %v", op, err)
		}
	case "MAX_PER":
		if n, err := strconv.Atoi(value); err != nil || n < 1 {
			return fmt.Errorf("MAX_PER needs a whole number from 1, has %q", value)
		}
	case "IS":
		if value == "" {
			return fmt.Errorf("IS needs a value")
		}
	case "UNIQUE":
		if value != "" {
			return fmt.Errorf("UNIQUE takes no value")
		}
	case "GROUP_BY":
		if n, err := strconv.Atoi(value); value != "" && (err != nil || n < 1) {
			return fmt.Errorf("GROUP_BY takes a whole number from 1, has %q", value)
		}
	case "CLUSTER":
	default:
		return fmt.Errorf("operator %q is not one of %v", op, ConstraintOperators)
	}
	return nil
}
