package uki

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Fields of a section header.
const (
	virtualSizeAt = 8
	addressAt     = 12
	rawSizeAt     = 16
	rawOffsetAt   = 20
)

// Extend writes the UKI with more.Data directly behind the content of the
// section more.Name. That section has to be the last one, in the file and in
// memory, so that nothing else moves.
func Extend(w io.Writer, image []byte, more Section) error {
	h, err := parse(image)
	if err != nil {
		return fmt.Errorf("extend a UKI: %w", err)
	}
	last, err := h.last(more.Name)
	if err != nil {
		return fmt.Errorf("extend a UKI: section %s: %w", more.Name, err)
	}
	head, err := h.grown(last, more.Size)
	if err != nil {
		return fmt.Errorf("extend a UKI: section %s: %w", more.Name, err)
	}
	if _, err := w.Write(head); err != nil {
		return err
	}
	if _, err := more.write(w, int64(len(head)), h.fileAlign); err != nil {
		return fmt.Errorf("extend a UKI: section %s: %w", more.Name, err)
	}
	return nil
}

// last finds the header of the section of that name and checks that it ends both
// file and memory.
func (h *header) last(name string) (int, error) {
	at := h.table + (h.count-1)*sectionHeader
	if h.count == 0 || string(h.pe[at:at+8]) != string(append([]byte(name), make([]byte, 8)...)[:8]) {
		return 0, errors.New("it is not the last one of the table")
	}
	s := h.pe[at:]
	start, size := int64(u32(s[rawOffsetAt:])), int64(u32(s[virtualSizeAt:]))
	switch {
	case start+int64(u32(s[rawSizeAt:])) != int64(len(h.stub)), size > int64(u32(s[rawSizeAt:])):
		return 0, errors.New("it is not the last one of the file")
	case int64(u32(s[addressAt:]))+size != h.endOfImage:
		return 0, errors.New("it is not the last one in memory")
	}
	return at, nil
}

// grown returns the file up to the end of the last section's content, with the
// sizes of a file where size more bytes follow.
func (h *header) grown(last int, size int64) ([]byte, error) {
	s := h.pe[last:]
	start, was := int64(u32(s[rawOffsetAt:])), int64(u32(s[virtualSizeAt:]))
	address, now := int64(u32(s[addressAt:])), was+size
	if size <= 0 || address+now > 1<<31 {
		return nil, fmt.Errorf("%d bytes more do not fit", size)
	}
	out := make([]byte, start+was)
	copy(out, h.stub)
	pe := out[len(h.stub)-len(h.pe):]
	raw := up(now, h.fileAlign)
	added := uint32(raw) - u32(s[rawSizeAt:])
	binary.LittleEndian.PutUint32(pe[last+virtualSizeAt:], uint32(now))
	binary.LittleEndian.PutUint32(pe[last+rawSizeAt:], uint32(raw))
	binary.LittleEndian.PutUint32(pe[imageSizeAt:], uint32(up(address+now, h.sectionAlign)))
	binary.LittleEndian.PutUint32(pe[initDataAt:], u32(pe[initDataAt:])+added)
	return out, nil
}
