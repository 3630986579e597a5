package vm

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/ingot-os/ingot/api"
)

// Event is what a node said on its event port, and when the host read it.
type Event struct {
	api.BootEvent
	Host time.Time `json:"host"`
}

// maxLine bounds a line: the guest is not to be trusted with our memory.
const maxLine = 64 << 10

// readEvents reads the event port to its end, into the log and to OnEvent.
func (m *Machine) readEvents() {
	c, err := m.events.Accept()
	if err != nil {
		return // QEMU ended before it connected
	}
	defer c.Close()
	log, err := os.OpenFile(m.path(EventsLog), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		fmt.Fprintf(m.log, "event log: %v\n", err)
		return
	}
	defer log.Close()
	lines := bufio.NewScanner(c)
	lines.Buffer(nil, maxLine)
	enc := json.NewEncoder(log)
	for lines.Scan() {
		e := parseEvent(lines.Bytes(), time.Now())
		if err := enc.Encode(e); err != nil {
			fmt.Fprintf(m.log, "event log: %v\n", err)
			return
		}
		if m.Config.OnEvent != nil {
			m.Config.OnEvent(e)
		}
	}
}

// parseEvent reads one line; what does not read is a problem of the node.
func parseEvent(line []byte, now time.Time) Event {
	e := Event{Host: now.UTC()}
	if err := json.Unmarshal(line, &e.BootEvent); err != nil || e.Event == "" {
		e.BootEvent = api.BootEvent{Event: "problem", Text: fmt.Sprintf("unreadable line on the event port: %.200q", line)}
	}
	return e
}
