package child

import (
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

func TestChildEnds(t *testing.T) {
	p, err := Start(exec.Command("sleep", "60"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if !p.ID.Alive() {
		t.Fatal("a started child is not alive")
	}
	stranger := Ident{PID: p.ID.PID, Started: p.ID.Started + 1}
	if stranger.Alive() {
		t.Fatal("a process of another start time counts as the same")
	}
	if err := stranger.Signal(syscall.SIGKILL); err != nil || !p.ID.Alive() {
		t.Fatalf("signal to a stranger: %v, child alive: %v", err, p.ID.Alive())
	}
	if err := p.Stop(10 * time.Second); err != nil {
		t.Fatal(err)
	}
	if p.ID.Alive() || p.Err() == nil {
		t.Fatalf("after Stop: alive %v, err %v", p.ID.Alive(), p.Err())
	}
	if err := p.Kill(); err != nil {
		t.Fatalf("kill of an ended child: %v", err)
	}
	if !p.ID.Wait(time.Second) {
		t.Fatal("wait for an ended process ran out")
	}
}

func TestWaitRunsOut(t *testing.T) {
	id, err := Identify(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if id.Wait(10 * time.Millisecond) {
		t.Fatal("this process is said to have ended")
	}
}
