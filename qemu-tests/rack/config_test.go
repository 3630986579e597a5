package rack

import (
	"strings"
	"testing"

	"github.com/ingot-os/ingot/api"
	"github.com/ingot-os/ingot/qemu-tests/vm"
)

func TestParseRack(t *testing.T) {
	all, err := ParseRack(" m1:master a1:agent  a2:agent:mem=512 x1:none:uefi:rtc=1970-01-01 e1:public-agent+agent:token=none ")
	if err != nil {
		t.Fatal(err)
	}
	want := []Machine{
		{Name: "m1", Roles: []api.Role{"master"}, Firmware: "bios", MAC: "52:54:00:77:00:0b", MemoryMB: 768},
		{Name: "a1", Roles: []api.Role{"agent"}, Firmware: "bios", MAC: "52:54:00:77:00:0c", MemoryMB: 768},
		{Name: "a2", Roles: []api.Role{"agent"}, Firmware: "bios", MAC: "52:54:00:77:00:0d", MemoryMB: 512},
		{Name: "x1", Firmware: "uefi", MAC: "52:54:00:77:00:0e", MemoryMB: 768, RTC: "1970-01-01", NoToken: true},
		{Name: "e1", Roles: []api.Role{"public-agent", "agent"}, Firmware: "bios", MAC: "52:54:00:77:00:0f", MemoryMB: 768, NoToken: true},
	}
	if len(all) != len(want) {
		t.Fatalf("%d machines, want %d", len(all), len(want))
	}
	for i, m := range all {
		w := want[i]
		if m.Name != w.Name || m.Firmware != w.Firmware || m.MAC != w.MAC || m.MemoryMB != w.MemoryMB || m.RTC != w.RTC || m.NoToken != w.NoToken || len(m.Roles) != len(w.Roles) {
			t.Errorf("machine %d is %+v, want %+v", i, m, w)
		}
	}
	if got := all[2].Address.String(); got != "10.77.0.13" {
		t.Errorf("third machine at %s", got)
	}
}

func TestFirstAgentIsUEFI(t *testing.T) {
	all, err := ParseRack("m1:master a1:agent a2:agent")
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []vm.Firmware{vm.BIOS, vm.UEFI, vm.BIOS} {
		if all[i].Firmware != want {
			t.Errorf("%s has %s, want %s", all[i].Name, all[i].Firmware, want)
		}
	}
	if order := powerOrder(all); order[0].Name != "a1" || order[1].Name != "m1" {
		t.Errorf("power order starts with %s, %s", order[0].Name, order[1].Name)
	}
	if all[0].UUID == all[1].UUID || len(all[0].UUID) != 36 {
		t.Errorf("UUIDs %s, %s", all[0].UUID, all[1].UUID)
	}
}

func TestParseRackRefuses(t *testing.T) {
	for in, want := range map[string]string{
		"":                             "no machine",
		"a1:agent":                     "0 masters",
		"m1:master m2:master":          "2 masters (m1, m2)",
		"m1:master m1:agent":           "m1 is there twice",
		"m1":                           "want NAME:ROLE",
		"m1:king":                      `role "king"`,
		"M1:master":                    "lower-case",
		"../x:master":                  "lower-case",
		"m1:master:mem=1":              "want MB",
		"m1:master:floppy":             `option "floppy"`,
		"m1:master:token=":             "option",
		strings.Repeat("x", 64) + ":m": "63 at most",
		"m1:master" + strings.Repeat(" a:agent", 65): "at most 64",
	} {
		_, err := ParseRack(in)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%.40q: %v, want %q in it", in, err, want)
		}
	}
}

func TestFromSite(t *testing.T) {
	boot := api.Machine{Name: "a", State: api.MachineBooting, Address: "10.77.0.12"}
	more := boot
	more.Bytes = 1 << 20
	pending := more
	pending.State, pending.Reason = api.MachinePending, "no token"
	admitted := more
	admitted.State = api.MachineAdmitted
	for _, tt := range []struct {
		old, now api.Machine
		want     string
	}{
		{api.Machine{}, boot, "dhcp"},
		{boot, more, "bytes"},
		{more, pending, "pending"},
		{pending, pending, ""},
		{more, admitted, "admitted"},
	} {
		var kinds []string
		for _, e := range fromSite(tt.old, tt.now) {
			kinds = append(kinds, e.Kind)
		}
		if got := strings.Join(kinds, " "); got != tt.want {
			t.Errorf("%s to %s: %q, want %q", tt.old.State, tt.now.State, got, tt.want)
		}
	}
}
