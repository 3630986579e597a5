package handover

import (
	"errors"
	"io"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestMessagesCarryDescriptors(t *testing.T) {
	a, b, err := Pair()
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(b)
	state := strings.Repeat("state ", 100000)
	fd, err := Snapshot([]byte(state))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []Message{{Kind: KindSnapshot, FD: fd}, {Kind: KindExit, PID: 7, Status: 256, FD: -1}} {
		if err := Send(a, m, true); err != nil {
			t.Fatal(err)
		}
	}
	unix.Close(fd)
	got, err := Receive(b)
	if err != nil || got.Kind != KindSnapshot {
		t.Fatalf("%+v, %v", got, err)
	}
	text, err := ReadSnapshot(got.FD)
	unix.Close(got.FD)
	if err != nil || string(text) != state {
		t.Errorf("snapshot of %d bytes came as %d, %v", len(state), len(text), err)
	}
	if got, err = Receive(b); err != nil || got.PID != 7 || got.Status != 256 || got.FD != -1 {
		t.Errorf("%+v, %v", got, err)
	}
	unix.Close(a)
	if _, err = Receive(b); !errors.Is(err, io.EOF) {
		t.Errorf("after the other side has gone: %v, want EOF", err)
	}
}
