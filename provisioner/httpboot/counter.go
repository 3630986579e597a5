package httpboot

import (
	"io"
	"math"
	"net/http"
	"time"
)

// Progress is reported each step; a client that takes no step for so long is
// gone.
const (
	step  = 1 << 20
	stall = time.Minute
)

// counter reports bytes as they are sent, a step at a time, and gives each
// step a deadline.
type counter struct {
	http.ResponseWriter
	rc     *http.ResponseController
	note   func(n int64)
	sent   int64
	status int
	err    error
}

func (c *counter) WriteHeader(status int) {
	c.status = status
	c.ResponseWriter.WriteHeader(status)
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p)
	c.add(int64(n), err)
	return n, err
}

// ReadFrom passes pieces down to the connection. It takes net/http's
// LimitedReader apart: sendfile(2) is used only for a single one over a file.
func (c *counter) ReadFrom(r io.Reader) (total int64, err error) {
	left := int64(math.MaxInt64)
	if l, ok := r.(*io.LimitedReader); ok {
		r, left = l.R, l.N
	}
	for left > 0 && err == nil {
		_ = c.rc.SetWriteDeadline(time.Now().Add(stall)) // absent in tests' recorders
		var n int64
		n, err = io.Copy(c.ResponseWriter, io.LimitReader(r, min(step, left)))
		total += n
		left -= n
		c.add(n, err)
		if n == 0 {
			break
		}
	}
	return total, err
}

func (c *counter) add(n int64, err error) {
	c.sent += n
	if err != nil {
		c.err = err
	}
	if n > 0 {
		c.note(n)
	}
}
