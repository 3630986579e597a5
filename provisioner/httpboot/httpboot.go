// Package httpboot serves an image's boot files to firmware over plain HTTP:
// HEAD, GET and Range, always with a length, never chunked, never a redirect
// (A25 of the firmware list; UEFI 2.10 section 24.7).
//
// It checks the image against its manifest once, at Open, and keeps the checked
// files open, so that a build running beside it cannot change what is served.
// It serves the files named in the route table and nothing else; nothing in
// them is secret. Bytes are counted per client while they flow. It starts no
// goroutine: net/http calls it.
package httpboot

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/ingot-os/ingot/boot/manifest"
)

// served are the image's files that firmware may have, and their types.
var served = map[string]string{
	"vmlinuz":   "application/octet-stream",
	"initrd":    "application/octet-stream",
	"ingot.efi": "application/efi", // firmware refuses others
}

const scriptName = "ipxe"

// Handler serves one image.
type Handler struct {
	Log *slog.Logger
	// Served hears of bytes sent to an address, at least each MiB.
	Served func(to netip.Addr, n int64)

	base    string // http://ADDRESS
	version string
	cmdline string
	files   map[string]*os.File
}

// Open checks the image in dir, to be served from base ("http://ADDRESS").
func Open(dir, base string) (*Handler, error) {
	m, err := manifest.Read(dir)
	if err != nil {
		return nil, err
	}
	h := &Handler{base: base, version: m.Version, cmdline: m.Cmdline, files: map[string]*os.File{}}
	if err := h.open(dir, m); err != nil {
		h.Close()
		return nil, fmt.Errorf("check image in %s: %w", dir, err)
	}
	return h, nil
}

func (h *Handler) open(dir string, m *manifest.Manifest) error {
	for name := range served {
		entry, ok := m.Lookup(name)
		if !ok {
			return fmt.Errorf("%s is not in its manifest: build the image again", name)
		}
		f, err := os.Open(filepath.Join(dir, name))
		if err != nil {
			return fmt.Errorf("%w: build the image again", err)
		}
		h.files[name] = f
		if err := entry.Verify(dir); err != nil {
			return err
		}
	}
	return nil
}

// Close closes the files.
func (h *Handler) Close() {
	for _, f := range h.files {
		f.Close()
	}
}

// ServeHTTP routes by hand: ServeMux would redirect "//boot/ingot.efi".
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "boot files are only read", http.StatusMethodNotAllowed)
		return
	}
	dir, name := path.Split(path.Clean("/" + r.URL.Path))
	if dir != "/boot/" {
		http.NotFound(w, r)
		return
	}
	if name == scriptName {
		h.script(w, r)
		return
	}
	if f, ok := h.files[name]; ok {
		h.file(w, r, name, f)
		return
	}
	http.NotFound(w, r)
}

// script is what iPXE runs: it fetches kernel and initrd, again if the network
// fails meanwhile (A20).
func (h *Handler) script(w http.ResponseWriter, r *http.Request) {
	text := strings.Join([]string{
		"#!ipxe",
		"echo Ingot " + h.version,
		":try",
		"kernel " + h.base + "/boot/vmlinuz " + h.cmdline + " ingot.boot=ipxe initrd=initrd || goto again",
		"initrd " + h.base + "/boot/initrd || goto again",
		"boot || goto again",
		":again",
		"echo No boot yet, trying again in 3 seconds",
		"imgfree",
		"sleep 3",
		"goto try",
		"",
	}, "\n")
	w.Header().Set("Content-Type", "text/plain")
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	if r.Method == http.MethodGet {
		_, _ = io.WriteString(w, text) // iPXE asks again
	}
	h.Log.Info("boot script", "client", client(r).String(), "method", r.Method)
}

func (h *Handler) file(w http.ResponseWriter, r *http.Request, name string, held *os.File) {
	f, err := reopen(held)
	if err != nil {
		h.Log.Error("serve boot file", "file", name, "error", err)
		http.Error(w, "boot file cannot be read", http.StatusInternalServerError)
		return
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		h.Log.Error("serve boot file", "file", name, "error", err)
		http.Error(w, "boot file cannot be read", http.StatusInternalServerError)
		return
	}
	to := client(r)
	cw := &counter{ResponseWriter: w, rc: http.NewResponseController(w), note: func(n int64) { h.Served(to, n) }}
	w.Header().Set("Content-Type", served[name])
	start := time.Now()
	http.ServeContent(cw, r, name, st.ModTime(), f)
	h.logFile(r, name, to, cw, st.Size(), time.Since(start))
}

func (h *Handler) logFile(r *http.Request, name string, to netip.Addr, cw *counter, size int64, took time.Duration) {
	args := []any{
		"file", name, "client", to.String(), "method", r.Method, "status", cw.status,
		"bytes", cw.sent, "size", size, "seconds", float64(took.Milliseconds()) / 1000, "agent", r.UserAgent(),
	}
	if cw.err != nil && !errors.Is(cw.err, io.EOF) {
		h.Log.Warn("boot file cut off", append(args, "error", cw.err)...)
		return
	}
	h.Log.Info("boot file", args...)
}

// reopen gives a reader of its own to a checked file, even if its name has
// been given to another file since; a real file, so that sendfile(2) is used.
func reopen(f *os.File) (*os.File, error) {
	return os.Open(fmt.Sprintf("/proc/self/fd/%d", f.Fd()))
}

func client(r *http.Request) netip.Addr {
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap()
}
