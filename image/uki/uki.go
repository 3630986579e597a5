// Package uki makes a unified kernel image: systemd's EFI stub with os-release,
// command line, kernel and initramfs appended as sections of a PE file
// (UAPI.5 "Unified Kernel Image"; PE format by Microsoft, revision 11).
//
// It knows bytes only and needs no objcopy, so it works for any architecture
// whose stub is PE32+. It refuses stubs that are no PE32+ files and headers with
// no room for more sections. It signs nothing.
package uki

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Section is one section to add: Name has at most 8 bytes and starts with a dot.
type Section struct {
	Name string
	Size int64
	Data io.Reader
}

// Offsets in a PE32+ file: from the start of the PE header unless said otherwise.
const (
	peOffsetAt       = 0x3c // in the DOS header
	sectionsAt       = 6
	optionalSizeAt   = 20
	optionalAt       = 24
	magicPE32Plus    = 0x20b
	initDataAt       = optionalAt + 8
	sectionAlignAt   = optionalAt + 32
	fileAlignAt      = optionalAt + 36
	imageSizeAt      = optionalAt + 56
	headersSizeAt    = optionalAt + 60
	sectionHeader    = 40
	readOnlyInitData = 0x40000040 // IMAGE_SCN_MEM_READ | IMAGE_SCN_CNT_INITIALIZED_DATA
)

// Write writes the stub with the sections behind its own, each at the next
// multiple of the stub's alignments. Addresses in the section table are relative
// to ImageBase, unlike those of objcopy.
func Write(w io.Writer, stub []byte, sections []Section) error {
	h, err := parse(stub)
	if err != nil {
		return fmt.Errorf("make a UKI: EFI stub: %w", err)
	}
	head, err := h.with(sections)
	if err != nil {
		return fmt.Errorf("make a UKI: %w", err)
	}
	if _, err := w.Write(head); err != nil {
		return err
	}
	at := int64(len(head))
	for _, s := range sections {
		if at, err = s.write(w, at, h.fileAlign); err != nil {
			return fmt.Errorf("make a UKI: section %s: %w", s.Name, err)
		}
	}
	return nil
}

func (s Section) write(w io.Writer, at, align int64) (int64, error) {
	n, err := io.Copy(w, io.LimitReader(s.Data, s.Size))
	if err == nil && n < s.Size {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return 0, err
	}
	end := up(at+n, align)
	_, err = w.Write(make([]byte, end-at-n))
	return end, err
}

type header struct {
	stub         []byte
	pe           []byte // from the PE signature on
	table        int    // offset of the section table in pe
	count        int
	sectionAlign int64
	fileAlign    int64
	endOfImage   int64 // relative address behind the last section
}

func parse(stub []byte) (*header, error) {
	if len(stub) < peOffsetAt+4 || string(stub[:2]) != "MZ" {
		return nil, errors.New("not a PE file")
	}
	start := int(u32(stub[peOffsetAt:]))
	if start < 0 || start+headersSizeAt+4 > len(stub) || string(stub[start:start+4]) != "PE\x00\x00" {
		return nil, errors.New("not a PE file")
	}
	h := &header{stub: stub, pe: stub[start:]}
	if u16(h.pe[optionalAt:]) != magicPE32Plus {
		return nil, errors.New("not PE32+")
	}
	h.count = int(u16(h.pe[sectionsAt:]))
	h.table = optionalAt + int(u16(h.pe[optionalSizeAt:]))
	h.sectionAlign, h.fileAlign = int64(u32(h.pe[sectionAlignAt:])), int64(u32(h.pe[fileAlignAt:]))
	if h.sectionAlign <= 0 || h.fileAlign <= 0 || h.table+h.count*sectionHeader > len(h.pe) {
		return nil, errors.New("broken PE header")
	}
	for i := range h.count {
		s := h.pe[h.table+i*sectionHeader:]
		h.endOfImage = max(h.endOfImage, int64(u32(s[12:]))+int64(u32(s[8:])))
	}
	return h, nil
}

// with returns the stub with the table, the count and the sizes of an image that
// has the sections too, padded to where the first of them starts in the file.
func (h *header) with(sections []Section) ([]byte, error) {
	out := make([]byte, up(int64(len(h.stub)), h.fileAlign))
	copy(out, h.stub)
	pe := out[len(h.stub)-len(h.pe):]
	end := h.table + (h.count+len(sections))*sectionHeader
	if room := int(u32(pe[headersSizeAt:])) - (len(h.stub) - len(h.pe)); end > room || end > h.firstData() {
		return nil, fmt.Errorf("the stub's header has no room for %d more sections", len(sections))
	}
	file, address, added := int64(len(out)), up(h.endOfImage, h.sectionAlign), int64(0)
	for i, s := range sections {
		if len(s.Name) > 8 || s.Size <= 0 || address+s.Size > 1<<31 {
			return nil, fmt.Errorf("section %s of %d bytes does not fit", s.Name, s.Size)
		}
		put(pe[h.table+(h.count+i)*sectionHeader:], s, address, file, up(s.Size, h.fileAlign))
		added += up(s.Size, h.fileAlign)
		file += up(s.Size, h.fileAlign)
		address = up(address+s.Size, h.sectionAlign)
	}
	binary.LittleEndian.PutUint16(pe[sectionsAt:], uint16(h.count+len(sections)))
	binary.LittleEndian.PutUint32(pe[imageSizeAt:], uint32(address))
	binary.LittleEndian.PutUint32(pe[initDataAt:], u32(pe[initDataAt:])+uint32(added))
	return out, nil
}

// firstData is where the first section's content starts, relative to pe.
func (h *header) firstData() int {
	first := len(h.pe)
	for i := range h.count {
		s := h.pe[h.table+i*sectionHeader:]
		if at := int(u32(s[20:])); at > 0 && u32(s[16:]) > 0 {
			first = min(first, at-(len(h.stub)-len(h.pe)))
		}
	}
	return first
}

// put fills a section header: name 8, virtual size, address, raw size, raw offset,
// relocations and line numbers (none) 12, characteristics.
func put(to []byte, s Section, address, file, raw int64) {
	clear(to[:sectionHeader])
	copy(to[:8], s.Name)
	for i, v := range []int64{s.Size, address, raw, file} {
		binary.LittleEndian.PutUint32(to[8+4*i:], uint32(v))
	}
	binary.LittleEndian.PutUint32(to[36:], readOnlyInitData)
}

func up(n, to int64) int64 { return (n + to - 1) / to * to }
func u16(b []byte) uint16  { return binary.LittleEndian.Uint16(b) }
func u32(b []byte) uint32  { return binary.LittleEndian.Uint32(b) }
