package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
)

// Kind says what sort of failure an error is, where a caller branches on it.
type Kind string

// Kinds of error and the HTTP status each one travels as.
const (
	KindInvalid     Kind = "invalid"      // 422: the request reads, its content does not hold
	KindBadRequest  Kind = "bad-request"  // 400: the request does not read
	KindUnauth      Kind = "unauthorized" // 401: no proof of identity
	KindForbidden   Kind = "forbidden"    // 403: proven, but not allowed
	KindNotFound    Kind = "not-found"    // 404
	KindConflict    Kind = "conflict"     // 409
	KindUnavailable Kind = "unavailable"  // 503: try again later
	KindInternal    Kind = "internal"     // 500
)

var statusOf = map[Kind]int{
	KindInvalid: http.StatusUnprocessableEntity, KindBadRequest: http.StatusBadRequest,
	KindUnauth: http.StatusUnauthorized, KindForbidden: http.StatusForbidden,
	KindNotFound: http.StatusNotFound, KindConflict: http.StatusConflict,
	KindUnavailable: http.StatusServiceUnavailable, KindInternal: http.StatusInternalServerError,
}

// Error is a failure as it crosses a process: a kind, one line that says what
// was being done to what, and the next step where it is known. Its JSON keeps
// Marathon's "message" so that Marathon's clients print it.
type Error struct {
	Kind    Kind          `json:"kind"`
	Message string        `json:"message"`
	Hint    string        `json:"hint,omitempty"`
	Details []ErrorDetail `json:"details,omitempty"`
}

// ErrorDetail names one wrong place of a document, in Marathon's shape.
type ErrorDetail struct {
	Path   string   `json:"path"`
	Errors []string `json:"errors"`
}

// Errorf makes an Error of a kind.
func Errorf(k Kind, format string, args ...any) *Error {
	return &Error{Kind: k, Message: fmt.Sprintf(format, args...)}
}

func (e *Error) Error() string {
	s := e.Message
	for _, d := range e.Details {
		for _, m := range d.Errors {
			s += "; " + d.Path + ": " + m
		}
	}
	if e.Hint != "" {
		s += " (" + e.Hint + ")"
	}
	return s
}

// WithHint adds the next step.
func (e *Error) WithHint(format string, args ...any) *Error {
	e.Hint = fmt.Sprintf(format, args...)
	return e
}

// Status is the HTTP status that the kind travels as.
func (e *Error) Status() int {
	if s, ok := statusOf[e.Kind]; ok {
		return s
	}
	return http.StatusInternalServerError
}

// KindOfStatus is the kind that an HTTP status stands for, for answers of
// servers that name none.
func KindOfStatus(status int) Kind {
	for k, s := range statusOf {
		if s == status {
			return k
		}
	}
	return KindInternal
}

// KindOf finds the kind in an error's chain; an error without one is internal.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return KindInternal
}

// WriteError answers a request with an error in the one shape that all of
// Ingot's servers use.
func WriteError(w http.ResponseWriter, err error) {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		e = &Error{Kind: KindInternal, Message: err.Error()}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(e.Status())
	_ = json.NewEncoder(w).Encode(e) // the caller is gone if this fails
}
