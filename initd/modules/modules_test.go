package modules

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestLoadGoesOnAfterFailures(t *testing.T) {
	answers := map[string]error{
		"/m/there.ko": unix.EEXIST, "/m/nohw.ko": unix.ENODEV,
		"/m/packed.ko": unix.ENOEXEC, "/m/lost.ko": fmt.Errorf("open: %w", unix.ENOENT),
	}
	paths, err := parse(strings.NewReader("/m/lost.ko\n# comment\n\n/m/packed.ko\n/m/there.ko\n/m/nohw.ko\n /m/fine.ko \n"))
	if err != nil {
		t.Fatal(err)
	}
	var tried []string
	var warned bytes.Buffer
	n, err := load(paths, func(p string) error { tried = append(tried, p); return answers[p] }, log.New(&warned, "", 0))
	if want := []string{"/m/lost.ko", "/m/packed.ko", "/m/there.ko", "/m/nohw.ko", "/m/fine.ko"}; !slices.Equal(tried, want) {
		t.Errorf("tried %v, want %v", tried, want)
	}
	if n != 2 {
		t.Errorf("%d modules in the kernel, want 2", n)
	}
	for _, want := range []string{"module lost:", "module packed:", "still compressed"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not say %q", err, want)
		}
	}
	if !strings.HasPrefix(warned.String(), "<4>kernel module nohw:") {
		t.Errorf("warning is %q", warned.String())
	}
}

func TestMissingHardwareAloneIsNoError(t *testing.T) {
	_, err := load([]string{"/m/a.ko"}, func(string) error { return unix.ENODEV }, log.New(&bytes.Buffer{}, "", 0))
	if err != nil {
		t.Error(err)
	}
}

// TestRunAsksTheKernel hands a file that is no module to finit_module.
func TestRunAsksTheKernel(t *testing.T) {
	dir := t.TempDir()
	ko, list := filepath.Join(dir, "bogus.ko"), filepath.Join(dir, "load")
	for path, text := range map[string]string{ko: "not an ELF file", list: ko + "\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	err := Run(context.Background(), []string{"--list", list})
	if err == nil || !strings.Contains(err.Error(), "load kernel module bogus: ") {
		t.Errorf("error is %v", err)
	}
	if err := Run(context.Background(), []string{"--list", list + "x"}); err == nil {
		t.Error("no error without a list")
	}
}
