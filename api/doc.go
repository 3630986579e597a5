// Package api holds the nouns that cross a process boundary in Ingot: machine
// documents, node state, cluster objects in the JSON shapes of DC/OS, and the
// kinds of error.
//
// It refuses behaviour: types, validation and String only, standard library
// only, so that every room of the house may import it. Durations and sizes
// carry their unit in the name of the field; times are RFC 3339 in UTC.
package api
