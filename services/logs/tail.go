package logs

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// lookEvery is how often a followed file is looked at for more.
const lookEvery = 250 * time.Millisecond

// tail finds where the last n lines begin, reading backwards in blocks.
func tail(f *os.File, n int) (int64, error) {
	at, err := f.Seek(0, io.SeekEnd)
	if err != nil || n == 0 {
		return at, err
	}
	end := at
	buf := make([]byte, 32<<10)
	for at > 0 {
		block := buf[:min(at, int64(len(buf)))]
		at -= int64(len(block))
		if _, err := f.ReadAt(block, at); err != nil && err != io.EOF {
			return 0, err
		}
		for i := len(block) - 1; i >= 0; i-- {
			// The last byte's newline ends the last line, it does not begin one.
			if block[i] != '\n' || at+int64(i)+1 == end {
				continue
			}
			if n--; n == 0 {
				return at + int64(i) + 1, nil
			}
		}
	}
	return 0, nil
}

// send copies from an offset to the end and, if asked, what comes after it,
// until the caller leaves, the component ends or the task has ended. A file that
// has shrunk was cut by gc and goes on from its new beginning.
func (h *handler) send(w http.ResponseWriter, r *http.Request, f *os.File, at int64, q query) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	rc := http.NewResponseController(w)
	for {
		ended := !q.follow || h.ended(q.id) // before the copy: its last words are then in the file
		n, err := io.Copy(w, io.NewSectionReader(f, at, 1<<62))
		at += n
		if err != nil || rc.Flush() != nil || ended {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-tick.C:
		}
		if st, err := f.Stat(); err == nil && st.Size() < at {
			at = 0
		}
	}
}

// ended tells whether the agent or the runtime has noted the task's end.
func (h *handler) ended(id string) bool {
	if _, err := os.Stat(filepath.Join(h.tasks, id, "status.json")); err == nil {
		return true
	}
	b, err := os.ReadFile(filepath.Join(h.tasks, id, "task.json"))
	return err == nil && bytes.Contains(b, []byte(`"exit":`))
}
