package journal

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/ingot-os/ingot/api"
)

// Query is what to read: the last Lines records of a unit ("" is all units),
// and then what comes.
type Query struct {
	Unit   string
	Lines  int // 0: all
	Follow bool
}

// Read calls each for every record until the query is answered, ctx ends, or
// each returns an error.
func (j *Journal) Read(ctx context.Context, q Query, each func(api.LogEntry) error) error {
	ch := make(chan api.LogEntry, 256)
	j.mu.Lock()
	if q.Follow {
		j.follow[ch] = q.Unit
	}
	tail, err := j.tail(q)
	j.mu.Unlock()
	defer j.unfollow(ch)
	if err != nil {
		return err
	}
	for _, e := range tail {
		if err := each(e); err != nil {
			return err
		}
	}
	for q.Follow {
		select {
		case <-ctx.Done():
			return nil
		case e := <-ch:
			if err := each(e); err != nil {
				return err
			}
		}
	}
	return nil
}

func (j *Journal) unfollow(ch chan api.LogEntry) {
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.follow, ch)
}

func (j *Journal) tail(q Query) ([]api.LogEntry, error) {
	var out []api.LogEntry
	for _, name := range []string{j.older(), j.current()} {
		err := scan(name, func(e api.LogEntry) {
			if q.Unit != "" && e.Unit != q.Unit {
				return
			}
			out = append(out, e)
			if q.Lines > 0 && len(out) >= 2*q.Lines { // keep the tail without moving it for each record
				out = append(out[:0], out[len(out)-q.Lines:]...)
			}
		})
		if err != nil {
			return nil, err
		}
	}
	if q.Lines > 0 && len(out) > q.Lines {
		out = out[len(out)-q.Lines:]
	}
	return out, nil
}

// scan reads one file; lines that are no record (a torn tail) are skipped.
func scan(name string, each func(api.LogEntry)) error {
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read journal: %w", err)
	}
	defer f.Close()
	r := bufio.NewReader(f)
	for {
		line, err := r.ReadBytes('\n')
		var e api.LogEntry
		if len(bytes.TrimSpace(line)) > 0 && json.Unmarshal(line, &e) == nil {
			each(e)
		}
		if err != nil {
			return nil // end of file
		}
	}
}
