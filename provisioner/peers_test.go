package provisioner

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ingot-os/ingot/api"
)

// TestPeers lets clients that others wrote speak to the whole provisioner.
func TestPeers(t *testing.T) {
	w := newLab(t)
	w.start()
	t.Run("udhcpc", w.udhcpc)
	t.Run("udhcpc unknown machine", w.udhcpcUnknown)
	t.Run("curl boot files", w.curl)
	t.Run("chronyd", w.chronyd)
	t.Run("rdisc6", w.rdisc6)
	t.Run("openssl and curl enrol", w.openssl)
	t.Run("new token", w.newToken)
}

// sub points the lab at a subtest while it runs.
func (w *lab) sub(t *testing.T) {
	outer := w.t
	w.t = t
	t.Cleanup(func() { w.t = outer })
}

// script makes udhcpc print what it was given.
func (w *lab) script() string {
	path := filepath.Join(w.dir, "udhcpc.sh")
	const text = "#!/bin/sh\n[ $1 = bound ] && env && ip addr add $ip/$mask dev $interface\nexit 0\n"
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		w.t.Fatal(err)
	}
	return path
}

func contains(t *testing.T, text string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in:\n%s", want, text)
		}
	}
}

func (w *lab) udhcpc(t *testing.T) {
	w.sub(t)
	out := w.run("udhcpc", "-i", "c0", "-n", "-q", "-f", "-t", "5", "-T", "1", "-O", "224", "-O", "ntpsrv", "-s", w.script())
	contains(t, out, "ip=10.78.0.11", "mask=24", "serverid=10.78.0.1", "ntpsrv=10.78.0.1", "lease=86400",
		"opt224=68747470733a2f2f31302e37382e302e313a37333030") // https://10.78.0.1:7300
	if m := w.machine("m1"); m.State != api.MachineBooting {
		t.Errorf("m1 is %s, want booting", m.State)
	}
}

func (w *lab) udhcpcUnknown(t *testing.T) {
	w.sub(t)
	w.ip("-n", w.client, "link", "add", "x0", "link", "c0", "address", "52:54:00:00:00:ff", "type", "macvlan", "mode", "bridge")
	w.ip("-n", w.client, "link", "set", "x0", "up")
	out := w.run("udhcpc", "-i", "x0", "-n", "-q", "-f", "-t", "5", "-T", "1", "-s", "/bin/true", "-B")
	m := w.machine("unknown-5254000000ff")
	contains(t, out, "lease of "+m.Address+" obtained")
	w.ip("-n", w.client, "link", "del", "x0")
}

func (w *lab) curl(t *testing.T) {
	w.sub(t)
	base := "http://" + testAddress
	contains(t, w.run("curl", "-sS", base+"/boot/ipxe"), "#!ipxe\n",
		"kernel http://10.78.0.1/boot/vmlinuz console=ttyS0 quiet ingot.boot=ipxe", "initrd http://10.78.0.1/boot/initrd")
	head := w.run("curl", "-sSI", "--path-as-is", base+"//boot/ingot.efi")
	contains(t, head, "HTTP/1.1 200 OK", "Content-Length: 3145728", "Content-Type: application/efi", "Accept-Ranges: bytes")
	if strings.Contains(strings.ToLower(head), "transfer-encoding") {
		t.Errorf("chunked:\n%s", head)
	}
	if got := w.run("curl", "-sS", "-r", "5-11", base+"/boot/initrd"); got != "dinitrd" {
		t.Errorf("range 5-11 of initrd is %q", got)
	}
	before := w.machine("m1").Bytes
	w.run("curl", "-sS", "-o", "/dev/null", base+"/boot/initrd")
	if got := w.machine("m1").Bytes - before; got != 5<<20+7 {
		t.Errorf("counted %d bytes for m1, want %d", got, 5<<20+7)
	}
	contains(t, w.run("curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "--path-as-is", base+"/boot/../../etc/passwd"), "404")
	contains(t, w.run("curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "-X", "POST", base+"/boot/ipxe"), "405")
}

func (w *lab) chronyd(t *testing.T) {
	w.sub(t)
	out := w.run("chronyd", "-Q", "-u", "root", "-t", "10", "-f", "/dev/null", "server "+testAddress+" iburst")
	contains(t, out, "System clock wrong by")
}

func (w *lab) rdisc6(t *testing.T) {
	w.sub(t)
	out := w.run("rdisc6", "-1", "c0")
	contains(t, out, "Router lifetime", "0 (0x00000000) seconds")
	if strings.Contains(out, "Prefix") {
		t.Errorf("a prefix is advertised:\n%s", out)
	}
}

func (w *lab) openssl(t *testing.T) {
	w.sub(t)
	key, csr, body := filepath.Join(w.dir, "m1.key"), filepath.Join(w.dir, "m1.csr"), filepath.Join(w.dir, "m1.json")
	w.run("openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=anything", "-keyout", key, "-out", csr)
	pem, err := os.ReadFile(csr)
	if err != nil {
		t.Fatal(err)
	}
	secret, _, _ := strings.Cut(strings.TrimPrefix(w.tokens["m1"], api.TokenPrefix), "@")
	b, err := json.Marshal(api.EnrolRequest{Token: secret, CSR: string(pem), Facts: api.MachineFacts{MACs: []string{knownMAC}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(body, b, 0o600); err != nil {
		t.Fatal(err)
	}
	ca := filepath.Join(w.dir, "site/ca/ca.crt")
	chain := w.run("sh", "-c", "openssl s_client -connect "+testAddress+":7300 -CAfile "+ca+" -verify_return_error -verify_ip "+testAddress+" -showcerts </dev/null")
	contains(t, chain, "Verify return code: 0 (ok)", "TLSv1.3", "test site CA")
	if n := strings.Count(chain, "BEGIN CERTIFICATE"); n != 2 {
		t.Errorf("the server shows %d certificates, want its own and the CA's", n)
	}
	curl := []string{"curl", "-sS", "--cacert", ca, "--data-binary", "@" + body, "https://" + testAddress + ":7300/v1/enrol"}
	var reply api.EnrolReply
	if err := json.Unmarshal([]byte(w.run(curl...)), &reply); err != nil {
		t.Fatal(err)
	}
	if reply.Node.Name != "m1" || reply.Node.Registry != "10.78.0.1:7500" || len(reply.SealedCAKey) == 0 {
		t.Errorf("admitted as %+v, sealed key of %d bytes", reply.Node, len(reply.SealedCAKey))
	}
	cert := filepath.Join(w.dir, "m1.crt")
	if err := os.WriteFile(cert, []byte(reply.Certificate), 0o600); err != nil {
		t.Fatal(err)
	}
	contains(t, w.run("openssl", "verify", "-x509_strict", "-CAfile", ca, cert), "OK")
	code := w.run("curl", "-sS", "--cacert", ca, "--cert", cert, "--key", key, "-o", "/dev/null", "-w", "%{http_code}", "-X", "POST", "https://"+testAddress+":7300/v1/ca/accepted")
	contains(t, code, "204")
	if _, err := os.Stat(filepath.Join(w.dir, "site/ca/ca.key")); !os.IsNotExist(err) {
		t.Errorf("the CA key is still here: %v", err)
	}
	if m := w.machine("m1"); m.State != api.MachineAdmitted {
		t.Errorf("m1 is %s, want admitted", m.State)
	}
}

func (w *lab) newToken(t *testing.T) {
	w.sub(t)
	resp, err := w.local().Post("http://provisioner/v1/tokens", "application/json", strings.NewReader(`{"name":"a1"}`))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var out struct{ Token string }
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil || !strings.HasPrefix(out.Token, api.TokenPrefix) {
		t.Errorf("answer %s %q, %v", resp.Status, out.Token, err)
	}
}

// TestPortTaken starts beside another DHCP server's socket.
func TestPortTaken(t *testing.T) {
	w := newLab(t)
	w.start()
	first := w.config.Control
	w.config.Control = filepath.Join(w.dir, "other")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	out, err := w.command(ctx).CombinedOutput()
	w.config.Control = first
	if err == nil {
		t.Fatal("a second provisioner started")
	}
	contains(t, string(out), "listen on udp port 67 of p0: already taken; find the holder with `ss -lunp 'sport = :67'` and stop it")
	if n := strings.Count(strings.TrimSpace(string(out)), "\n"); n != 0 {
		t.Errorf("the error has %d lines:\n%s", n+1, out)
	}
}

// TestEvents reads the event stream: all machines first.
func TestEvents(t *testing.T) {
	w := newLab(t)
	w.start()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://provisioner/v1/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := w.local().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	d := json.NewDecoder(resp.Body)
	for _, want := range []string{"a1", "m1"} {
		var m api.Machine
		if err := d.Decode(&m); err != nil || m.Name != want || m.State != api.MachineExpected {
			t.Fatalf("event %+v, %v; want %s expected", m, err, want)
		}
	}
}
