package api

import "strings"

// ValidTaskID tells whether a task id may name a folder and a control group:
// letters, digits, '.', '_' and '-', at most 200 of them, no dot in front.
func ValidTaskID(id string) bool {
	if id == "" || len(id) > 200 || strings.HasPrefix(id, ".") {
		return false
	}
	return strings.IndexFunc(id, func(c rune) bool {
		word := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		return !word && c != '.' && c != '_' && c != '-'
	}) < 0
}
