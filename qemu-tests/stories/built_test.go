package stories

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/ingot-os/ingot/qemu-tests/rack"
	"github.com/ingot-os/ingot/qemu-tests/vm"
)

// built is what the stories take as given.
type built struct {
	program, image, cmdline string
}

// needBuilt finds program and image, or skips and says what is missing.
func needBuilt(t *testing.T) built {
	t.Helper()
	b := built{program: place(t, "INGOT_PROGRAM", "ingot"), image: place(t, "INGOT_IMAGE", "image")}
	if _, err := exec.LookPath(vm.QEMU); err != nil {
		t.Skipf("needs %s (Debian package qemu-system-x86)", vm.QEMU)
	}
	data, err := os.ReadFile(filepath.Join(b.image, "manifest.json"))
	if err != nil {
		t.Skipf("needs a built image: %v (make image)", err)
	}
	var manifest struct {
		Cmdline string `json:"cmdline"`
	}
	if err := json.Unmarshal(data, &manifest); err != nil {
		t.Fatal(err)
	}
	b.cmdline = manifest.Cmdline
	return b
}

// needRack skips where no rack can be powered on.
func needRack(t *testing.T, machines string) built {
	t.Helper()
	b := needBuilt(t)
	if _, err := os.Stat(b.program); err != nil {
		t.Skipf("needs the built program: %v (make image)", err)
	}
	all, err := rack.ParseRack(machines)
	if err != nil {
		t.Fatal(err)
	}
	if err := rack.Preflight(rack.Config{Machines: all, Forward: forward}); err != nil {
		t.Skipf("no rack here: %v", err)
	}
	return b
}

// place is a path out of the environment, or below build/ of the repository.
func place(t *testing.T, env, name string) string {
	t.Helper()
	path := os.Getenv(env)
	if path == "" {
		path = filepath.Join("..", "..", "build", name)
	}
	path, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// keep copies files of a failed story to build/failed/STORY.
func keep(t *testing.T, files map[string]string) {
	t.Helper()
	dir := filepath.Join(place(t, "INGOT_FAILED", "failed"), filepath.FromSlash(t.Name()))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Logf("keep what happened: %v", err)
		return
	}
	for name, from := range files {
		data, err := os.ReadFile(from)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), data, 0o644)
		}
		if err != nil && !os.IsNotExist(err) {
			t.Logf("keep what happened: %v", err)
		}
	}
	t.Logf("what happened is in %s", dir)
}
