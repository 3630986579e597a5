package journal

import (
	"bufio"
	"errors"
	"os"
	"strings"

	"github.com/ingot-os/ingot/api"
)

const info = 6 // syslog(3) level of a line without a prefix

// Capture makes records of a unit's output until its end; it closes r. The
// caller runs it in a goroutine of its own.
func (j *Journal) Capture(unit string, r *os.File) {
	defer r.Close()
	b := bufio.NewReaderSize(r, j.limits.Line)
	for {
		line, err := b.ReadSlice('\n')
		if len(line) > 0 {
			j.line(unit, string(line))
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) { // a line past the buffer becomes several records
			return
		}
	}
}

func (j *Journal) line(unit, text string) {
	priority, message := SplitPriority(strings.TrimRight(text, "\r\n"))
	if message != "" {
		j.Write(api.LogEntry{Unit: unit, Priority: priority, Message: message})
	}
}

// SplitPriority takes a syslog level <N> off a line (sd-daemon(3)).
func SplitPriority(line string) (int, string) {
	if len(line) > 2 && line[0] == '<' && line[1] >= '0' && line[1] <= '7' && line[2] == '>' {
		return int(line[1] - '0'), strings.TrimPrefix(line[3:], " ")
	}
	return info, line
}
