package vm

import (
	"bufio"
	"encoding/json"
	"io"
)

// monitorLine is the part of QEMU's machine protocol that says why it ends
// (QEMU docs/interop/qmp-spec: greeting, SHUTDOWN's reason).
type monitorLine struct {
	QMP   json.RawMessage `json:"QMP"`
	Event string          `json:"event"`
	Data  struct {
		Reason string `json:"reason"`
	} `json:"data"`
}

// readMonitor answers QEMU's greeting and keeps the reason of its shutdown.
func (m *Machine) readMonitor() {
	c, err := m.qmp.Accept()
	if err != nil {
		return // QEMU ended before it connected
	}
	defer c.Close()
	lines := bufio.NewScanner(c)
	lines.Buffer(nil, 1<<20)
	greeted := false
	for lines.Scan() {
		var l monitorLine
		if json.Unmarshal(lines.Bytes(), &l) != nil {
			continue // a reply that says nothing to us
		}
		if l.QMP != nil && !greeted {
			greeted = true
			if _, err := io.WriteString(c, `{"execute":"qmp_capabilities"}`+"\n"); err != nil {
				return
			}
			close(m.up)
		}
		m.note(l)
	}
}

func (m *Machine) note(l monitorLine) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch l.Event {
	case "GUEST_PANICKED":
		m.reason = "guest-panic"
	case "SHUTDOWN":
		if m.reason == "" {
			m.reason = l.Data.Reason
		}
	}
}
