package units

import (
	"fmt"
	"strings"
)

// finish fills what depends on more than one directive.
func (u *Unit) finish() {
	s := &u.Service
	if s.Type == "" {
		s.Type = "simple"
		if len(s.ExecStart) == 0 {
			s.Type = "oneshot"
		}
	}
	if s.NotifyAccess == "" {
		s.NotifyAccess = "none"
		if s.Type == "notify" {
			s.NotifyAccess = "main"
		}
	}
	if s.Type == "oneshot" && s.TimeoutStart == defaultTimeout {
		s.TimeoutStart = Forever // systemd.service(5), TimeoutStartSec=
	}
	if u.Socket.FileDescriptorName == "" {
		u.Socket.FileDescriptorName = u.Name
	}
}

// validate refuses units that cannot mean anything.
func (u *Unit) validate() error {
	switch u.Kind {
	case KindService:
		return u.validateService()
	case KindSocket:
		if len(u.Socket.Listen) == 0 {
			return fmt.Errorf("socket has no ListenStream=")
		}
	case KindTimer:
		if len(u.Timer.Triggers) == 0 {
			return fmt.Errorf("timer has no OnBootSec=, OnActiveSec=, OnUnitActiveSec= or OnUnitInactiveSec=")
		}
	}
	return nil
}

func (u *Unit) validateService() error {
	s := &u.Service
	switch {
	case len(s.ExecStart) == 0:
		return fmt.Errorf("service has no ExecStart=")
	case len(s.ExecStart) > 1 && s.Type != "oneshot":
		return fmt.Errorf("service has more than one ExecStart=, which only Type=oneshot may")
	case s.Type == "oneshot" && (s.Restart == "always" || s.Restart == "on-success"):
		return fmt.Errorf("setting Restart=%s does not fit Type=oneshot", s.Restart)
	}
	for _, d := range append(append([]string{}, s.RuntimeDirectory...), s.StateDirectory...) {
		if strings.HasPrefix(d, "/") || strings.Contains(d, "..") {
			return fmt.Errorf("directory %q must be relative and stay below its base", d)
		}
	}
	for _, kv := range s.Environment {
		if name, _, ok := strings.Cut(kv, "="); !ok || !isName(name) {
			return fmt.Errorf("word %q of Environment= is not NAME=value", kv)
		}
	}
	return nil
}
