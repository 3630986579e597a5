package cli

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
)

// board shows what is being done now, for how long, in one line per subject.
// On a terminal the lines are drawn over; elsewhere a line is printed when its
// subject comes to a new stage, and now and then while it goes on. One goroutine redraws each second until close.
type board struct {
	w   io.Writer
	tty bool

	mu     sync.Mutex // guards what follows
	lines  []line
	drawn  int // lines on the terminal that belong to the board
	start  time.Time
	closed bool
	end    chan struct{}
	clock  sync.WaitGroup
}

type line struct {
	subject, stage, detail string
	since                  time.Time // of the stage
	printed                time.Time // last, off a terminal
}

// plainEvery is how often a stage that goes on is printed again off a terminal.
const plainEvery = 10 * time.Second

func newBoard(w io.Writer) *board {
	b := &board{w: w, start: time.Now(), end: make(chan struct{})}
	if f, ok := w.(*os.File); ok {
		b.tty = term.IsTerminal(int(f.Fd()))
	}
	if b.tty {
		b.clock.Go(b.tick)
	}
	return b
}

func (b *board) tick() {
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		select {
		case <-b.end:
			return
		case <-t.C:
			b.mu.Lock()
			b.draw()
			b.mu.Unlock()
		}
	}
}

// phase begins a new set of lines; those of the last phase stay as they are.
func (b *board) phase(string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.draw()
	b.lines, b.drawn = nil, 0
}

// set says what a subject does now.
func (b *board) set(subject, stage, detail string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	i := slices.IndexFunc(b.lines, func(l line) bool { return l.subject == subject })
	if i < 0 {
		b.lines = append(b.lines, line{subject: subject})
		i = len(b.lines) - 1
	}
	l := &b.lines[i]
	fresh := l.stage != stage
	if fresh {
		l.stage, l.since = stage, time.Now()
	}
	l.detail = detail
	switch {
	case b.tty:
		b.draw()
	case fresh || time.Since(l.printed) >= plainEvery:
		l.printed = time.Now()
		fmt.Fprintf(b.w, "%7.1f s  %s\n", time.Since(b.start).Seconds(), l.text())
	}
}

// say prints a line that stays, above those that change.
func (b *board) say(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.erase()
	fmt.Fprintf(b.w, "%7.1f s  %s\n", time.Since(b.start).Seconds(), fmt.Sprintf(format, args...))
	b.draw()
}

func (b *board) close() {
	b.mu.Lock()
	already := b.closed
	b.closed = true
	if !already {
		close(b.end)
		b.draw()
	}
	b.mu.Unlock()
	b.clock.Wait()
}

// Control sequences of ECMA-48: cursor up, erase to the end of the page.
func (b *board) erase() {
	if b.tty && b.drawn > 0 {
		fmt.Fprintf(b.w, "\x1b[%dA\x1b[J", b.drawn)
	}
	b.drawn = 0
}

func (b *board) draw() {
	if !b.tty {
		return
	}
	b.erase()
	width, _, err := term.GetSize(int(b.w.(*os.File).Fd()))
	if err != nil || width < 20 {
		width = 80
	}
	var s strings.Builder
	for _, l := range b.lines {
		text := []rune(fmt.Sprintf("%7.1f s  %s", time.Since(b.start).Seconds(), l.text()))
		s.WriteString(string(text[:min(len(text), width-1)]) + "\n")
	}
	b.drawn = len(b.lines)
	fmt.Fprint(b.w, s.String())
}

func (l *line) text() string {
	s := fmt.Sprintf("%-8s %s", l.subject, l.stage)
	if l.detail != "" {
		s += "  " + l.detail
	}
	if d := time.Since(l.since); d >= 2*time.Second {
		s += fmt.Sprintf("  (%.0f s)", d.Seconds())
	}
	return s
}
