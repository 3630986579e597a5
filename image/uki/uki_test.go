package uki

import (
	"bytes"
	"debug/pe"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// stub makes a PE32+ file with one section and room for more section headers.
func stub(room int) []byte {
	const start, optional = 0x80, 112 + 16*8
	b := make([]byte, 0x400+0x30)
	copy(b, "MZ")
	binary.LittleEndian.PutUint32(b[peOffsetAt:], start)
	p := b[start:]
	copy(p, "PE\x00\x00")
	le16, le32 := binary.LittleEndian.PutUint16, binary.LittleEndian.PutUint32
	le16(p[4:], pe.IMAGE_FILE_MACHINE_AMD64)
	le16(p[sectionsAt:], 1)
	le16(p[optionalSizeAt:], optional)
	le16(p[22:], pe.IMAGE_FILE_EXECUTABLE_IMAGE)
	le16(p[optionalAt:], magicPE32Plus)
	binary.LittleEndian.PutUint64(p[optionalAt+24:], 0x14df90000)
	le32(p[sectionAlignAt:], 0x1000)
	le32(p[fileAlignAt:], 0x200)
	le32(p[imageSizeAt:], 0x2000)
	le32(p[headersSizeAt:], uint32(start+optionalAt+optional+(1+room)*sectionHeader))
	le32(p[optionalAt+108:], 16)
	put(p[optionalAt+optional:], Section{Name: ".text", Size: 0x30}, 0x1000, 0x400, 0x30)
	return b
}

func sections() []Section {
	return []Section{
		{Name: ".osrel", Size: 9, Data: strings.NewReader("ID=ingot\n")},
		{Name: ".cmdline", Size: 5, Data: strings.NewReader("quiet")},
		{Name: ".linux", Size: 5000, Data: bytes.NewReader(bytes.Repeat([]byte("k"), 5000))},
	}
}

func TestReadBack(t *testing.T) {
	var out bytes.Buffer
	if err := Write(&out, stub(4), sections()); err != nil {
		t.Fatal(err)
	}
	f, err := pe.NewFile(bytes.NewReader(out.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	next := uint32(0x1000)
	for _, s := range f.Sections {
		if s.VirtualAddress != next || s.Name != ".text" && s.Offset%0x200 != 0 {
			t.Errorf("%s at address %#x, offset %#x; want address %#x", s.Name, s.VirtualAddress, s.Offset, next)
		}
		next += (s.VirtualSize + 0xfff) &^ 0xfff
	}
	if size := f.OptionalHeader.(*pe.OptionalHeader64).SizeOfImage; size != next {
		t.Errorf("SizeOfImage %#x, want %#x", size, next)
	}
	s := f.Section(".linux")
	data, err := s.Data()
	if err != nil || !bytes.Equal(data[:s.VirtualSize], bytes.Repeat([]byte("k"), 5000)) {
		t.Errorf(".linux: %d bytes, %v", len(data), err)
	}
}

func TestReadByObjdump(t *testing.T) {
	tool, err := exec.LookPath("objdump")
	if err != nil {
		t.Skip("no objdump: install the package binutils")
	}
	var out bytes.Buffer
	if err := Write(&out, stub(4), sections()); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "x.efi")
	if err := os.WriteFile(file, out.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	text, err := exec.CommandContext(t.Context(), tool, "-h", file).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	for _, want := range []string{".linux", "000000014df94000", ".cmdline", "000000014df93000"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("objdump does not show %s:\n%s", want, text)
		}
	}
}

func TestRefuses(t *testing.T) {
	for _, c := range []struct {
		name string
		stub []byte
		add  []Section
		want string
	}{
		{"no PE", []byte("#!/bin/sh"), nil, "not a PE file"},
		{"cut short", stub(4)[:0x90], nil, "not a PE file"},
		{"no room", stub(2), sections(), "no room for 3 more sections"},
		{"long name", stub(4), []Section{{Name: ".toolongname", Size: 1}}, "does not fit"},
		{"short data", stub(4), []Section{{Name: ".linux", Size: 9, Data: strings.NewReader("x")}}, "unexpected EOF"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out bytes.Buffer
			if err := Write(&out, c.stub, c.add); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}
