package wire

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"time"
)

// libpcap's file format, draft-ietf-opsawg-pcap: magic for microseconds,
// version 2.4, link type 1 (LINKTYPE_ETHERNET).
const (
	pcapMagic    = 0xa1b2c3d4
	pcapEthernet = 1
)

// tape is a recording of what passes the switch, in libpcap's format.
type tape struct {
	file *os.File
	w    *bufio.Writer
	snap int   // bytes kept of each frame
	left int64 // bytes that the file may still grow
	err  error // the first one
}

// Record writes every frame that enters the switch from now on to a file. It
// keeps snap bytes of each and stops growing at limit bytes: headers tell the
// story, images would fill the disk.
func (s *Switch) Record(path string, snap int, limit int64) error {
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("record the wire: %w", err)
	}
	t := &tape{file: f, w: bufio.NewWriterSize(f, 1<<16), snap: snap, left: limit}
	t.head()
	if err := s.StopRecording(); err != nil {
		f.Close()
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rec = t
	return nil
}

// StopRecording ends the recording, if there is one, and tells whether the file
// is whole.
func (s *Switch) StopRecording() error {
	s.mu.Lock()
	t := s.rec
	s.rec = nil
	s.mu.Unlock()
	if t == nil {
		return nil
	}
	if err := errors.Join(t.err, t.w.Flush(), t.file.Close()); err != nil {
		return fmt.Errorf("record the wire: %w", err)
	}
	return nil
}

func (t *tape) head() {
	b := binary.LittleEndian.AppendUint32(nil, pcapMagic)
	b = binary.LittleEndian.AppendUint16(b, 2)
	b = binary.LittleEndian.AppendUint16(b, 4)
	b = binary.LittleEndian.AppendUint64(b, 0) // zone and accuracy, always 0
	b = binary.LittleEndian.AppendUint32(b, uint32(t.snap))
	b = binary.LittleEndian.AppendUint32(b, pcapEthernet)
	t.put(b)
}

// write appends one frame; a nil tape records nothing.
func (t *tape) write(frame []byte) {
	if t == nil {
		return
	}
	kept := frame[:min(len(frame), t.snap)]
	if t.left -= int64(16 + len(kept)); t.left < 0 {
		return
	}
	now := time.Now()
	var b [16]byte
	binary.LittleEndian.PutUint32(b[0:], uint32(now.Unix()))
	binary.LittleEndian.PutUint32(b[4:], uint32(now.Nanosecond()/1000))
	binary.LittleEndian.PutUint32(b[8:], uint32(len(kept)))
	binary.LittleEndian.PutUint32(b[12:], uint32(len(frame)))
	t.put(b[:])
	t.put(kept)
}

func (t *tape) put(b []byte) {
	if _, err := t.w.Write(b); err != nil && t.err == nil {
		t.err = err
	}
}
