package wire

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"os"

	"github.com/ingot-os/ingot/qemu-tests/sock"
)

// Link carries whole Ethernet frames. One goroutine reads, another one writes;
// Close ends both.
type Link interface {
	ReadFrame(buf []byte) (int, error)
	WriteFrame(frame []byte) error
	Flush() error
	Close() error
}

// streamLink is QEMU's `-netdev stream`: each frame after its length, 32 bits
// big-endian (QEMU net/stream.c).
type streamLink struct {
	io.Closer
	r *bufio.Reader
	w *bufio.Writer
}

// StreamLink carries frames over a connection from QEMU's `-netdev stream`.
func StreamLink(c io.ReadWriteCloser) Link {
	return &streamLink{Closer: c, r: bufio.NewReaderSize(c, 1<<16), w: bufio.NewWriterSize(c, 1<<16)}
}

func (l *streamLink) ReadFrame(buf []byte) (int, error) {
	var head [4]byte
	if _, err := io.ReadFull(l.r, head[:]); err != nil {
		return 0, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if int64(n) > int64(len(buf)) {
		return 0, fmt.Errorf("read frame: %d bytes announced, at most %d are possible", n, len(buf))
	}
	return io.ReadFull(l.r, buf[:n])
}

func (l *streamLink) WriteFrame(f []byte) error {
	var head [4]byte
	binary.BigEndian.PutUint32(head[:], uint32(len(f)))
	if _, err := l.w.Write(head[:]); err != nil {
		return err
	}
	_, err := l.w.Write(f)
	return err
}

func (l *streamLink) Flush() error { return l.w.Flush() }

// tapLink is a tap device's file: one frame for each read and write.
type tapLink struct{ *os.File }

// TapLink carries frames through a tap device opened with IFF_TAP|IFF_NO_PI.
func TapLink(f *os.File) Link { return tapLink{f} }

func (l tapLink) ReadFrame(buf []byte) (int, error) { return l.Read(buf) }

// WriteFrame hands a frame to the kernel. A frame that the kernel refuses (the
// interface is down, the frame is longer than its MTU) is lost, as on a cable.
func (l tapLink) WriteFrame(f []byte) error {
	if _, err := l.Write(f); err != nil && isClosed(err) {
		return err
	}
	return nil
}

func (l tapLink) Flush() error { return nil }

// Listen offers the port called name on a unix socket at path: whoever connects
// is plugged in, in place of who was there before.
func (s *Switch) Listen(name, path string) error {
	l, err := sock.Listen(path)
	if err != nil {
		return fmt.Errorf("port %s: %w", name, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		l.Close()
		return fmt.Errorf("port %s: %w", name, errClosed)
	}
	s.port(name)
	s.ends = append(s.ends, l.Close)
	s.work.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return // closed
			}
			if s.Plug(name, StreamLink(c)) != nil {
				return
			}
		}
	})
	return nil
}
