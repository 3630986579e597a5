package smbios

import (
	"encoding/hex"
	"reflect"
	"strings"
	"testing"
)

// structure is one entry of a table.
func structure(kind byte, body []byte, list ...string) []byte {
	b := append([]byte{kind, byte(headerSize + len(body)), 0, 1}, body...)
	if len(list) == 0 {
		return append(b, 0, 0)
	}
	return append(b, strings.Join(list, "\x00")+"\x00\x00"...)
}

func system(t testing.TB) []byte {
	id, err := hex.DecodeString("33221100554477668899aabbccddeeff")
	if err != nil {
		t.Fatal(err)
	}
	body := append([]byte{1, 2, 3, 4}, id...)
	return structure(typeSystem, append(body, 6, 0, 5), "QEMU", "Standard PC (Q35)", "pc-q35-7.2", "m1", "family")
}

func table(t testing.TB) []byte {
	b := structure(0, make([]byte, 20), "SeaBIOS", "1.16")
	b = append(b, system(t)...)
	b = append(b, structure(32, make([]byte, 7))...) // without strings
	b = append(b, structure(typeOEM, []byte{2}, "ingot.token=ID.SECRET@sha256:00", "other=1")...)
	return append(b, structure(typeEnd, nil)...)
}

func TestParse(t *testing.T) {
	want := Info{
		Manufacturer: "QEMU", Product: "Standard PC (Q35)", Serial: "m1",
		UUID: "00112233-4455-6677-8899-aabbccddeeff", // as QEMU's -uuid was given
		OEM:  []string{"ingot.token=ID.SECRET@sha256:00", "other=1"},
	}
	if got := Parse(table(t)); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestParseCutOff(t *testing.T) {
	whole := table(t)
	for n := range whole {
		Parse(whole[:n]) // must not panic
	}
	if got := Parse(append(structure(typeEnd, nil), system(t)...)); got.Serial != "" {
		t.Errorf("read past the end: %+v", got)
	}
}

func TestNoUUID(t *testing.T) {
	for _, fill := range []string{"\x00", "\xff"} {
		if got := uuid([]byte(strings.Repeat(fill, 16))); got != "" {
			t.Errorf("%q gives %q", fill, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(table(f))
	f.Fuzz(func(_ *testing.T, b []byte) { Parse(b) })
}
