package units

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// setter applies one assignment's value, specifiers already expanded.
type setter func(u *Unit, value string) error

// directives is the whole language: section, key, behaviour. To add a key, add
// its row here, its field in unit.go and its behaviour in initd.
var directives = map[string]map[string]setter{
	"Unit": {
		"Description":           text(func(u *Unit) *string { return &u.Description }),
		"Documentation":         ignored,
		"Wants":                 names(func(u *Unit) *[]string { return &u.Wants }),
		"Requires":              names(func(u *Unit) *[]string { return &u.Requires }),
		"BindsTo":               names(func(u *Unit) *[]string { return &u.BindsTo }),
		"PartOf":                names(func(u *Unit) *[]string { return &u.PartOf }),
		"After":                 names(func(u *Unit) *[]string { return &u.After }),
		"Before":                names(func(u *Unit) *[]string { return &u.Before }),
		"DefaultDependencies":   boolean(func(u *Unit) *bool { return &u.DefaultDependencies }),
		"StartLimitIntervalSec": span(func(u *Unit) *time.Duration { return &u.StartLimitInterval }),
		"StartLimitBurst":       number(func(u *Unit) *int { return &u.StartLimitBurst }),
	},
	"Service": {
		"Type":                oneOf(func(u *Unit) *string { return &u.Service.Type }, "simple", "exec", "oneshot", "notify"),
		"RemainAfterExit":     boolean(func(u *Unit) *bool { return &u.Service.RemainAfterExit }),
		"NotifyAccess":        oneOf(func(u *Unit) *string { return &u.Service.NotifyAccess }, "none", "main", "all"),
		"ExecStartPre":        commands(func(u *Unit) *[]Command { return &u.Service.ExecStartPre }),
		"ExecStart":           commands(func(u *Unit) *[]Command { return &u.Service.ExecStart }),
		"ExecStartPost":       commands(func(u *Unit) *[]Command { return &u.Service.ExecStartPost }),
		"ExecStop":            commands(func(u *Unit) *[]Command { return &u.Service.ExecStop }),
		"Restart":             oneOf(func(u *Unit) *string { return &u.Service.Restart }, "no", "always", "on-success", "on-failure"),
		"RestartMode":         oneOf(func(u *Unit) *string { return &u.Service.RestartMode }, "normal", "direct"),
		"RestartSec":          span(func(u *Unit) *time.Duration { return &u.Service.RestartDelay }),
		"RestartSteps":        number(func(u *Unit) *int { return &u.Service.RestartSteps }),
		"RestartMaxDelaySec":  span(func(u *Unit) *time.Duration { return &u.Service.RestartMaxDelay }),
		"TimeoutStartSec":     timeout(func(u *Unit) *time.Duration { return &u.Service.TimeoutStart }),
		"TimeoutStopSec":      timeout(func(u *Unit) *time.Duration { return &u.Service.TimeoutStop }),
		"KillMode":            oneOf(func(u *Unit) *string { return &u.Service.KillMode }, "control-group", "mixed", "process", "none"),
		"KillSignal":          setKillSignal,
		"User":                text(func(u *Unit) *string { return &u.Service.User }),
		"Group":               text(func(u *Unit) *string { return &u.Service.Group }),
		"SupplementaryGroups": names(func(u *Unit) *[]string { return &u.Service.SupplementaryGroups }),
		"Environment":         words(func(u *Unit) *[]string { return &u.Service.Environment }),
		"EnvironmentFile":     line(func(u *Unit) *[]string { return &u.Service.EnvironmentFile }),
		"WorkingDirectory":    text(func(u *Unit) *string { return &u.Service.WorkingDirectory }),
		"UMask":               setUMask,
		"NoNewPrivileges":     boolean(func(u *Unit) *bool { return &u.Service.NoNewPrivileges }),
		"LimitNOFILE":         setNOFILE,
		"OOMScoreAdjust":      setOOMScore,
		"RuntimeDirectory":    names(func(u *Unit) *[]string { return &u.Service.RuntimeDirectory }),
		"StateDirectory":      names(func(u *Unit) *[]string { return &u.Service.StateDirectory }),
		"MemoryMax":           size(func(u *Unit) *int64 { return &u.Service.MemoryMax }),
		"TasksMax":            size(func(u *Unit) *int64 { return &u.Service.TasksMax }),
		"CPUWeight":           size(func(u *Unit) *int64 { return &u.Service.CPUWeight }),
		"Delegate":            boolean(func(u *Unit) *bool { return &u.Service.Delegate }),
	},
	"Socket": {
		"ListenStream":       line(func(u *Unit) *[]string { return &u.Socket.Listen }),
		"Accept":             setAccept,
		"SocketMode":         setSocketMode,
		"SocketUser":         text(func(u *Unit) *string { return &u.Socket.SocketUser }),
		"SocketGroup":        text(func(u *Unit) *string { return &u.Socket.SocketGroup }),
		"Backlog":            number(func(u *Unit) *int { return &u.Socket.Backlog }),
		"Service":            text(func(u *Unit) *string { return &u.Socket.Service }),
		"FileDescriptorName": text(func(u *Unit) *string { return &u.Socket.FileDescriptorName }),
	},
	"Timer": {
		"OnBootSec":         trigger("OnBootSec"),
		"OnActiveSec":       trigger("OnActiveSec"),
		"OnUnitActiveSec":   trigger("OnUnitActiveSec"),
		"OnUnitInactiveSec": trigger("OnUnitInactiveSec"),
		"Unit":              text(func(u *Unit) *string { return &u.Timer.Unit }),
	},
}

func ignored(*Unit, string) error { return nil }

func text(field func(*Unit) *string) setter {
	return func(u *Unit, v string) error { *field(u) = v; return nil }
}

// names is a list of words; an empty value empties it.
func names(field func(*Unit) *[]string) setter {
	return func(u *Unit, v string) error { return extend(field(u), v, strings.Fields(v)) }
}

// line is a list with one whole value per assignment.
func line(field func(*Unit) *[]string) setter {
	return func(u *Unit, v string) error { return extend(field(u), v, []string{v}) }
}

// words is a list of words that may be quoted.
func words(field func(*Unit) *[]string) setter {
	return func(u *Unit, v string) error {
		w, err := splitWords(v)
		if err != nil {
			return err
		}
		return extend(field(u), v, w)
	}
}

func extend(list *[]string, value string, more []string) error {
	if value == "" {
		*list = nil
		return nil
	}
	*list = append(*list, more...)
	return nil
}

func commands(field func(*Unit) *[]Command) setter {
	return func(u *Unit, v string) error {
		if v == "" {
			*field(u) = nil
			return nil
		}
		c, err := SplitCommands(v)
		if err != nil {
			return err
		}
		*field(u) = append(*field(u), c...)
		return nil
	}
}

func boolean(field func(*Unit) *bool) setter {
	return func(u *Unit, v string) error {
		b, err := parseBool(v)
		if err != nil {
			return err
		}
		*field(u) = b
		return nil
	}
}

func parseBool(v string) (bool, error) {
	switch strings.ToLower(v) {
	case "1", "yes", "y", "true", "t", "on":
		return true, nil
	case "0", "no", "n", "false", "f", "off":
		return false, nil
	}
	return false, fmt.Errorf("%q is neither yes nor no", v)
}

func number(field func(*Unit) *int) setter {
	return func(u *Unit, v string) error {
		n, err := strconv.ParseUint(v, 0, 31)
		if err != nil {
			return fmt.Errorf("%q is not a number", v)
		}
		*field(u) = int(n)
		return nil
	}
}

func span(field func(*Unit) *time.Duration) setter {
	return func(u *Unit, v string) error {
		d, err := ParseSpan(v)
		if err != nil {
			return err
		}
		*field(u) = d
		return nil
	}
}

// timeout is a span in which 0 means no timeout (systemd.service(5)).
func timeout(field func(*Unit) *time.Duration) setter {
	set := span(field)
	return func(u *Unit, v string) error {
		if err := set(u, v); err != nil {
			return err
		}
		if *field(u) == 0 {
			*field(u) = Forever
		}
		return nil
	}
}

func oneOf(field func(*Unit) *string, allowed ...string) setter {
	return func(u *Unit, v string) error {
		for _, a := range allowed {
			if v == a {
				*field(u) = v
				return nil
			}
		}
		return fmt.Errorf("%q is not one of %s", v, strings.Join(allowed, " "))
	}
}

func size(field func(*Unit) *int64) setter {
	return func(u *Unit, v string) error {
		n, err := parseSize(v)
		if err != nil {
			return err
		}
		*field(u) = n
		return nil
	}
}

func trigger(base string) setter {
	return func(u *Unit, v string) error {
		if v == "" {
			u.Timer.Triggers = nil
			return nil
		}
		d, err := ParseSpan(v)
		if err != nil {
			return err
		}
		u.Timer.Triggers = append(u.Timer.Triggers, Trigger{base, d})
		return nil
	}
}
