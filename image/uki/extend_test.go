package uki

import (
	"bytes"
	"debug/pe"
	"errors"
	"io"
	"strings"
	"testing"
)

// written is a UKI whose last section is .linux, of 5000 bytes.
func written(t *testing.T) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := Write(&out, stub(4), sections()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestExtend: an extended UKI is the one that Write makes of all content at once.
func TestExtend(t *testing.T) {
	all := sections()
	whole := append(bytes.Repeat([]byte("k"), 5000), bytes.Repeat([]byte("x"), 7777)...)
	all[2].Size, all[2].Data = int64(len(whole)), bytes.NewReader(whole)
	var want, got bytes.Buffer
	if err := Write(&want, stub(4), all); err != nil {
		t.Fatal(err)
	}
	more := Section{Name: ".linux", Size: 7777, Data: bytes.NewReader(whole[5000:])}
	if err := Extend(&got, written(t), more); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want.Bytes()) {
		t.Errorf("extended: %d bytes, written at once: %d bytes, and not the same", got.Len(), want.Len())
	}
	f, err := pe.NewFile(bytes.NewReader(got.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	s := f.Section(".linux")
	data, err := s.Data()
	if err != nil || !bytes.Equal(data[:s.VirtualSize], whole) {
		t.Errorf(".linux holds %d bytes, %v; want %d", s.VirtualSize, err, len(whole))
	}
	end := (s.VirtualAddress + s.VirtualSize + 0xfff) &^ 0xfff
	if size := f.OptionalHeader.(*pe.OptionalHeader64).SizeOfImage; size != end {
		t.Errorf("SizeOfImage %#x, want %#x", size, end)
	}
}

func TestExtendRefuses(t *testing.T) {
	x := func(name string, size int64) Section {
		return Section{Name: name, Size: size, Data: strings.NewReader("x")}
	}
	for _, c := range []struct {
		name  string
		image []byte
		more  Section
		want  string
	}{
		{"no PE", []byte("#!/bin/sh"), x(".linux", 1), "not a PE file"},
		{"another section", written(t), x(".osrel", 1), "section .osrel: it is not the last one of the table"},
		{"something behind", append(written(t), 0), x(".linux", 1), "not the last one of the file"},
		{"nothing", written(t), x(".linux", 0), "0 bytes more do not fit"},
		{"too much", written(t), x(".linux", 1<<31), "do not fit"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := Extend(io.Discard, c.image, c.more); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
	if err := Extend(io.Discard, written(t), x(".linux", 2)); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("short data: %v", err)
	}
}
