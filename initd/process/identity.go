package process

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// Accounts are the users and groups of the image.
type Accounts struct {
	users  map[string]account
	groups map[string]uint32
	member map[string][]uint32 // user -> groups that list it
}

type account struct {
	uid, gid uint32
	home     string
}

// Identity is who a process runs as.
type Identity struct {
	UID, GID uint32
	Groups   []uint32
	Name     string
	Home     string
}

// ReadAccounts reads passwd(5) and group(5) files. A missing file means that
// only numbers and root are known.
func ReadAccounts(passwd, group string) *Accounts {
	a := &Accounts{
		users: map[string]account{"root": {0, 0, "/"}}, groups: map[string]uint32{"root": 0}, member: map[string][]uint32{},
	}
	for _, f := range records(passwd, 7) {
		uid, err1 := strconv.ParseUint(f[2], 10, 32)
		gid, err2 := strconv.ParseUint(f[3], 10, 32)
		if err1 == nil && err2 == nil {
			a.users[f[0]] = account{uint32(uid), uint32(gid), f[5]}
		}
	}
	for _, f := range records(group, 4) {
		gid, err := strconv.ParseUint(f[2], 10, 32)
		if err != nil {
			continue
		}
		a.groups[f[0]] = uint32(gid)
		for user := range strings.SplitSeq(f[3], ",") {
			a.member[user] = append(a.member[user], uint32(gid))
		}
	}
	return a
}

func records(file string, fields int) [][]string {
	text, _ := os.ReadFile(file)
	var out [][]string
	for line := range strings.Lines(string(text)) {
		if f := strings.Split(strings.TrimRight(line, "\n"), ":"); len(f) == fields {
			out = append(out, f)
		}
	}
	return out
}

// Resolve turns User=, Group= and SupplementaryGroups= into numbers; all empty
// is nil, which means root.
func (a *Accounts) Resolve(user, group string, more []string) (*Identity, error) {
	if user == "" && group == "" && len(more) == 0 {
		return nil, nil
	}
	id := &Identity{Name: orRoot(user), Home: "/"}
	u, err := a.user(id.Name)
	if err != nil {
		return nil, err
	}
	id.UID, id.GID, id.Home = u.uid, u.gid, u.home
	if group != "" {
		if id.GID, err = a.Group(group); err != nil {
			return nil, err
		}
	}
	id.Groups = slices.Clone(a.member[id.Name])
	for _, g := range more {
		gid, err := a.Group(g)
		if err != nil {
			return nil, err
		}
		id.Groups = append(id.Groups, gid)
	}
	return id, nil
}

func orRoot(user string) string {
	if user == "" {
		return "root"
	}
	return user
}

// user looks up a name or number; the group of a bare number is the number.
func (a *Accounts) user(name string) (account, error) {
	if u, ok := a.users[name]; ok {
		return u, nil
	}
	n, err := strconv.ParseUint(name, 10, 32)
	if err != nil {
		return account{}, fmt.Errorf("user %q does not exist", name)
	}
	return account{uint32(n), uint32(n), "/"}, nil
}

// Group looks up a name or number.
func (a *Accounts) Group(name string) (uint32, error) {
	if g, ok := a.groups[name]; ok {
		return g, nil
	}
	n, err := strconv.ParseUint(name, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("group %q does not exist", name)
	}
	return uint32(n), nil
}

func (id *Identity) credential() *syscall.Credential {
	return &syscall.Credential{Uid: id.UID, Gid: id.GID, Groups: id.Groups}
}

// Owner is the uid and gid that files of this identity belong to.
func (id *Identity) Owner() (uid, gid int) {
	if id == nil {
		return 0, 0
	}
	return int(id.UID), int(id.GID)
}
