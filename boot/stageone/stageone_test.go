package stageone

import "testing"

func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{enoughMemory([]byte("MemTotal:         123456 kB\n")), "this machine has 120 MiB, Ingot needs 256 MiB"},
		{enoughMemory([]byte("MemTotal:         222208 kB\n")), ""},
		{whole(5, 10), "boot image truncated: 5 of 10 bytes arrived; check the boot server and power-cycle"},
		{whole(arrived(10, 8), 10), ""},
		{whole(arrived(8192, 8), 8192), "boot image truncated: 4096 of 8192 bytes arrived; check the boot server and power-cycle"},
	} {
		got := ""
		if c.err != nil {
			got = c.err.Error()
		}
		if got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}
