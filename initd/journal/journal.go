// Package journal keeps what units print: one JSON line (api.LogEntry) per
// record in DIR/journal, the file before it in DIR/journal.1.
//
// A unit's lines past its rate limit are counted, not kept; the count becomes a
// record of its own. The two files together stay below the size cap. A record is
// one write; a torn tail, from a crash in the middle of it, is closed with a
// newline at the next open and skipped by readers.
//
// Goroutines: one per stream that Capture was given, ending at end of file.
package journal

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/ingot-os/ingot/api"
)

// Limits of a journal.
type Limits struct {
	Bytes    int64         // of both files together
	Burst    int           // records of one unit within Interval
	Interval time.Duration // systemd's RateLimitIntervalSec
	Line     int           // longest message kept
}

// Defaults fit a node whose /var is memory.
var Defaults = Limits{Bytes: 8 << 20, Burst: 1000, Interval: 10 * time.Second, Line: 8 << 10}

// Journal is an open journal.
type Journal struct {
	dir    string
	limits Limits

	mu     sync.Mutex // guards all below
	file   *os.File
	size   int64
	rate   map[string]*window
	follow map[chan api.LogEntry]string // subscribers and their unit ("": all)
}

type window struct {
	start   time.Time
	count   int
	dropped int
}

// Open opens the journal in a folder, which it makes.
func Open(dir string, l Limits) (*Journal, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	j := &Journal{dir: dir, limits: l, rate: map[string]*window{}, follow: map[chan api.LogEntry]string{}}
	if err := j.open(); err != nil {
		return nil, err
	}
	return j, nil
}

func (j *Journal) current() string { return filepath.Join(j.dir, "journal") }

func (j *Journal) older() string { return filepath.Join(j.dir, "journal.1") }

func (j *Journal) open() error {
	f, err := os.OpenFile(j.current(), os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o640)
	if err != nil {
		return fmt.Errorf("open journal: %w", err)
	}
	st, err := f.Stat()
	if err != nil {
		f.Close()
		return fmt.Errorf("open journal: %w", err)
	}
	j.file, j.size = f, st.Size()
	return j.closeTornTail()
}

func (j *Journal) closeTornTail() error {
	last := []byte{'\n'}
	if j.size > 0 {
		if _, err := j.file.ReadAt(last, j.size-1); err != nil {
			return fmt.Errorf("open journal: %w", err)
		}
	}
	if last[0] != '\n' {
		return j.append([]byte("\n"))
	}
	return nil
}

// Write adds a record; a record without a time gets the present one. What cannot
// be written is lost: there is no one to tell.
func (j *Journal) Write(e api.LogEntry) {
	if e.Time.IsZero() {
		e.Time = time.Now().UTC()
	}
	if len(e.Message) > j.limits.Line {
		e.Message = e.Message[:j.limits.Line] + "…"
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	keep, dropped := j.admit(e.Unit, e.Time)
	if dropped > 0 {
		note := fmt.Sprintf("%d records dropped: more than %d in %s", dropped, j.limits.Burst, j.limits.Interval)
		j.put(api.LogEntry{Time: e.Time, Unit: e.Unit, Priority: 4, Message: note})
	}
	if keep {
		j.put(e)
	}
}

// admit counts a record against its unit's rate; at the start of a new window it
// returns how many the last one lost.
func (j *Journal) admit(unit string, now time.Time) (keep bool, dropped int) {
	w := j.rate[unit]
	if w == nil {
		w = &window{}
		j.rate[unit] = w
	}
	if since := now.Sub(w.start); since < 0 || since > j.limits.Interval { // a clock set back starts one too
		dropped = w.dropped
		*w = window{start: now}
	}
	if w.count++; w.count > j.limits.Burst {
		w.dropped++
		return false, dropped
	}
	return true, dropped
}

func (j *Journal) put(e api.LogEntry) {
	line, err := json.Marshal(e)
	if err != nil {
		return // strings and numbers always marshal
	}
	_ = j.append(append(line, '\n'))
	for ch, unit := range j.follow {
		if unit == "" || unit == e.Unit {
			select {
			case ch <- e:
			default: // a reader that is too slow misses records, not we
			}
		}
	}
}

func (j *Journal) append(line []byte) error {
	if j.size+int64(len(line)) > j.limits.Bytes/2 {
		if err := j.rotate(); err != nil {
			return err
		}
	}
	n, err := j.file.Write(line)
	j.size += int64(n)
	if err != nil {
		return fmt.Errorf("write journal: %w", err)
	}
	return nil
}

func (j *Journal) rotate() error {
	if err := os.Rename(j.current(), j.older()); err != nil {
		return fmt.Errorf("rotate journal: %w", err)
	}
	j.file.Close()
	return j.open()
}

// Close closes the file; a record written later is lost.
func (j *Journal) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.file.Close()
}
