package supervisor

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ingot-os/ingot/initd/process"
)

const defaultPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// spec turns a command of a unit into a process to start. The caller closes its
// CgroupFD.
func (h *host) spec(s Start) (process.Spec, error) {
	svc := &s.Unit.Service
	spec := process.Spec{
		Dir: svc.WorkingDirectory, UMask: svc.UMask, NoNewPrivileges: svc.NoNewPrivileges, NOFILE: svc.LimitNOFILE, CgroupFD: -1,
	}
	if spec.Dir == "" {
		spec.Dir = "/"
	}
	if svc.OOMScoreAdjust != nil {
		spec.OOMScore = *svc.OOMScoreAdjust
	}
	var err error
	if !s.Command.Privileged {
		if spec.Identity, err = h.accounts.Resolve(svc.User, svc.Group, svc.SupplementaryGroups); err != nil {
			return spec, err
		}
	}
	env, err := h.environment(s, spec.Identity)
	if err != nil {
		return spec, err
	}
	spec.Env = env.list()
	spec.Argv = s.Command.Expand(env.value)
	if s.Main {
		h.passSockets(s, &spec)
	}
	if spec.Output, err = h.output(s.Unit.Name, s.Invocation); err != nil {
		return spec, err
	}
	spec.CgroupFD, err = h.groups.FD(s.Unit.Name, s.Invocation)
	return spec, err
}

func (h *host) passSockets(s Start, spec *process.Spec) {
	for _, name := range s.Sockets {
		for _, fd := range h.sockets[name] {
			spec.Sockets = append(spec.Sockets, fd)
			spec.Names = append(spec.Names, h.fdNames[name])
		}
	}
}

// environment is a service's, in the order in which it was set: later wins.
type environment []string

func (e environment) value(name string) string {
	for _, kv := range slices.Backward(e) {
		if k, v, _ := strings.Cut(kv, "="); k == name {
			return v
		}
	}
	return ""
}

// list has each name once.
func (e environment) list() []string {
	var out []string
	seen := map[string]bool{}
	for _, kv := range slices.Backward(e) {
		if k, _, _ := strings.Cut(kv, "="); !seen[k] {
			seen[k] = true
			out = append(out, kv)
		}
	}
	slices.Reverse(out)
	return out
}

func (h *host) environment(s Start, id *process.Identity) (environment, error) {
	svc := &s.Unit.Service
	env := environment{defaultPath, "INVOCATION_ID=" + s.Invocation}
	if id != nil {
		env = append(env, "USER="+id.Name, "LOGNAME="+id.Name, "HOME="+id.Home)
	}
	if svc.NotifyAccess != "none" {
		env = append(env, "NOTIFY_SOCKET="+h.notify)
	}
	if s.MainPID > 0 {
		env = append(env, fmt.Sprintf("MAINPID=%d", s.MainPID))
	}
	env = append(env, folders("RUNTIME_DIRECTORY", h.run, svc.RuntimeDirectory)...)
	env = append(env, folders("STATE_DIRECTORY", h.lib, svc.StateDirectory)...)
	env = append(env, svc.Environment...)
	for _, file := range svc.EnvironmentFile {
		more, err := environmentFile(file)
		if err != nil {
			return nil, err
		}
		env = append(env, more...)
	}
	return env, nil
}

func folders(name, base string, dirs []string) []string {
	if len(dirs) == 0 {
		return nil
	}
	var paths []string
	for _, d := range dirs {
		paths = append(paths, filepath.Join(base, d))
	}
	return []string{name + "=" + strings.Join(paths, ":")}
}

// environmentFile reads NAME=value lines (systemd.exec(5), EnvironmentFile=): a
// value may be quoted as a whole.
func environmentFile(file string) ([]string, error) {
	path, optional := strings.CutPrefix(file, "-")
	f, err := os.Open(path)
	if optional && errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read environment: %w", err)
	}
	defer f.Close()
	var out []string
	for sc := bufio.NewScanner(f); sc.Scan(); {
		line := strings.TrimSpace(sc.Text())
		name, value, ok := strings.Cut(line, "=")
		if !ok || line[0] == '#' || line[0] == ';' {
			continue
		}
		out = append(out, strings.TrimSpace(name)+"="+unquote(strings.TrimSpace(value)))
	}
	return out, nil
}

func unquote(v string) string {
	if n := len(v); n > 1 && (v[0] == '"' || v[0] == '\'') && v[n-1] == v[0] {
		return v[1 : n-1]
	}
	return v
}
