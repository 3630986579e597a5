package provisioner

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRead(t *testing.T) {
	const good = `"interface":"p0","address":"10.77.0.1/24","site":"s","image":"i","control":"c"`
	for _, c := range []struct{ name, text, want string }{
		{"good", `{` + good + `}`, ""},
		{"unknown key", `{` + good + `,"adress":"x"}`, `unknown field "adress"`},
		{"cut off", `{` + good, "unexpected EOF"},
		{"two documents", `{` + good + `}{}`, "more than one document"},
		{"empty", `{}`, "interface: missing"},
		{"no prefix", `{"interface":"p0","address":"10.77.0.1","site":"s","image":"i","control":"c"}`, `ParsePrefix("10.77.0.1"): no '/'`},
		{"machine elsewhere", `{` + good + `,"machines":[{"name":"m1","mac":"52:54:00:00:00:01","roles":["master"],"address":"10.78.0.1"}]}`, "10.78.0.1 is not in 10.77.0.0/24"},
		{"machine is us", `{` + good + `,"machines":[{"name":"m1","mac":"52:54:00:00:00:01","roles":["master"],"address":"10.77.0.1"}]}`, "is the provisioner's"},
		{"half a pool", `{` + good + `,"pool_first":"10.77.0.9"}`, "give both or none"},
		{"forward without end", `{` + good + `,"forwards":[{"fd":3}]}`, `"to" is missing`},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "config.json")
			if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			cfg, err := Read(path)
			if c.want == "" {
				if err != nil || cfg.PoolFirst.String() != "10.77.0.200" || cfg.PoolLast.String() != "10.77.0.250" {
					t.Errorf("%+v, %v", cfg, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}
