package root

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseModinfo(t *testing.T) {
	got := parseModinfo("license=GPL\x00alias=fs-erofs\x00depends=libcrc32c,netfs\x00softdep=pre: crc32c xxhash post: late\x00softdep=post: other\x00vermagic=6.12\x00")
	want := info{depends: []string{"libcrc32c", "netfs"}, before: []string{"crc32c", "xxhash"}, aliases: []string{"fs-erofs"}}
	if d := cmp.Diff(want, got, cmp.AllowUnexported(info{})); d != "" {
		t.Error(d)
	}
	if got := parseModinfo("depends=\x00"); len(got.depends) > 0 {
		t.Errorf("empty depends: %q", got.depends)
	}
}

// fakeKernel has modules that are read already: no ELF, no xz.
func fakeKernel(infos map[string]info) *Kernel {
	k := &Kernel{
		Version: "7.1", infos: infos, builtin: map[string]bool{"ext4": true},
		packed: map[string][]byte{}, files: map[string]string{}, plain: map[string][]byte{},
	}
	for name := range infos {
		k.packed[name], k.files[name] = []byte{0}, strings.ReplaceAll(name, "_", "-")+".ko"
		k.crypto = append(k.crypto, name)
	}
	return k
}

func TestOrder(t *testing.T) {
	k := fakeKernel(map[string]info{
		"erofs":        {depends: []string{"libcrc32c"}, before: []string{"crc32c"}},
		"libcrc32c":    {},
		"crc32c_intel": {aliases: []string{"crc32c"}},
		"virtio_net":   {depends: []string{"net_failover"}},
		"net_failover": {depends: []string{"failover"}},
		"failover":     {},
		"ring":         {depends: []string{"ring"}},
		"broken":       {depends: []string{"gone"}},
		"optional":     {before: []string{"nowhere"}},
	})
	for _, c := range []struct{ wanted, want, fail string }{
		{"erofs", "crc32c-intel.ko libcrc32c.ko erofs.ko", ""},
		{"ext4 virtio-net virtio_net", "failover.ko net-failover.ko virtio-net.ko", ""},
		{"ring", "ring.ko", ""},
		{"optional", "optional.ko", ""},
		{"broken", "", "broken needs gone: this kernel has no such module"},
		{"absent", "", "modules of kernel 7.1: absent"},
	} {
		t.Run(c.wanted, func(t *testing.T) {
			got, err := k.Order(strings.Fields(c.wanted))
			if c.fail != "" {
				if err == nil || !strings.Contains(err.Error(), c.fail) {
					t.Errorf("error %v, want %q", err, c.fail)
				}
				return
			}
			if s := strings.Join(fileNames(got), " "); err != nil || s != c.want {
				t.Errorf("%s, %v; want %s", s, err, c.want)
			}
		})
	}
}

func fileNames(modules []Module) (names []string) {
	for _, m := range modules {
		names = append(names, m.File)
	}
	return names
}
