package initramfs

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/u-root/u-root/pkg/cpio"

	"github.com/ingot-os/ingot/image/tree"
)

var entries = []tree.Entry{
	{Path: "dev", Mode: fs.ModeDir | 0o755},
	{Path: "init", Mode: 0o755, Data: []byte("#!")},
	{Path: "m", Mode: fs.ModeDir | 0o755},
	{Path: "m/00-a.ko", Mode: 0o644, Data: []byte("module")},
	{Path: "link", Mode: fs.ModeSymlink | 0o777, Link: "init"},
	{Path: "root.size", Mode: 0o644, Data: []byte("0\n")},
	{Path: "root.img", Mode: 0o644},
}

func written(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, entries); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestReadByURoot(t *testing.T) {
	r := cpio.Newc.Reader(bytes.NewReader(written(t)))
	var got []tree.Entry
	for {
		rec, err := r.ReadRecord()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if rec.MTime != 0 || rec.UID != 0 || rec.GID != 0 {
			t.Errorf("%s: time %d, owner %d:%d", rec.Name, rec.MTime, rec.UID, rec.GID)
		}
		data, err := io.ReadAll(io.NewSectionReader(rec, 0, int64(rec.FileSize)))
		if err != nil {
			t.Fatal(err)
		}
		e := tree.Entry{Path: rec.Name, Mode: fs.FileMode(rec.Mode & 0o777)}
		switch rec.Mode & 0o170000 {
		case typeDir:
			e.Mode |= fs.ModeDir
		case typeLink:
			e.Mode, e.Link = e.Mode|fs.ModeSymlink, string(data)
		default:
			if len(data) > 0 {
				e.Data = data
			}
		}
		got = append(got, e)
	}
	if d := cmp.Diff(entries, got); d != "" {
		t.Errorf("(-written +read):\n%s", d)
	}
}

func TestListedByCpio(t *testing.T) {
	tool, err := exec.LookPath("cpio")
	if err != nil {
		t.Skip("no cpio: install the package cpio")
	}
	cmd := exec.CommandContext(t.Context(), tool, "-t", "--quiet")
	cmd.Stdin = bytes.NewReader(written(t))
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(strings.Fields(string(out)), " "); got != "dev init m m/00-a.ko link root.size root.img" {
		t.Errorf("cpio lists %s", got)
	}
}

func TestSourceThatIsGone(t *testing.T) {
	err := Write(io.Discard, []tree.Entry{{Path: "init", Source: t.TempDir() + "/none"}})
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "init") {
		t.Error(err)
	}
}
