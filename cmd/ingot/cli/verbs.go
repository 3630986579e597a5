package cli

import (
	"flag"
	"io"
	"strings"
)

// verb is one row of the command line.
type verb struct {
	name    string // "status", "app add"
	args    string // "FILE", "[UNIT]", for the usage line and to count them
	group   string
	short   string
	long    string
	example string
	reads   bool // shows data: takes --json
	hidden  bool
	setup   func(fs *flag.FlagSet) action
}

// The groups of the help, in its order.
const (
	groupRack    = "Build a cluster on this machine"
	groupLook    = "See how things are"
	groupRun     = "Run apps"
	groupService = "Look after nodes"
	groupImage   = "Build images, provision machines"
)

// table is every verb there is.
func table() []verb {
	return []verb{
		{
			name: "up", group: groupRack, setup: up,
			short:   "build the image, power on a rack, serve an app",
			long:    "Builds what is missing, starts a virtual rack of machines with empty memory, waits until the cluster serves the app, and prints where each second went. A rack that is already up is shown again. Ctrl-C takes everything down.",
			example: "ingot up --rack 'm1:master a1:agent a2:agent'",
		},
		{
			name: "down", group: groupRack, setup: down,
			short:   "remove every process, namespace and file of the rack",
			example: "ingot down",
		},
		{
			name: "status", group: groupLook, reads: true, setup: status,
			short:   "one screen: what is wrong, since when, the next step",
			long:    "Ends with 3 when something is wrong.",
			example: "ingot status",
		},
		{
			name: "node ls", group: groupLook, reads: true, setup: nodeLs,
			short:   "list the nodes",
			example: "ingot node ls",
		},
		{
			name: "node show", args: "NAME", group: groupLook, reads: true, setup: nodeShow,
			short:   "one node: state, image, memory, targets",
			example: "ingot node show m1",
		},
		{
			name: "machine ls", group: groupLook, reads: true, setup: machineLs,
			short:   "list the machines that the provisioner knows",
			long:    "Pending machines asked for admission without a valid token; the reason says why.",
			example: "ingot machine ls",
		},
		{
			name: "unit ls", group: groupLook, reads: true, setup: unitLs,
			short:   "list the units of all nodes, or of one",
			example: "ingot unit ls --node m1",
		},
		{
			name: "log show", args: "[UNIT]", group: groupLook, reads: true, setup: logShow,
			short:   "show the journal of all nodes, or of one",
			example: "ingot log show agent.service --node a1 --lines 20 --follow",
		},
		{
			name: "app ls", group: groupRun, reads: true, setup: appLs,
			short:   "list the apps",
			example: "ingot app ls",
		},
		{
			name: "app show", args: "ID", group: groupRun, reads: true, setup: appShow,
			short:   "one app: its tasks, and why it does not run",
			example: "ingot app show hello",
		},
		{
			name: "app add", args: "FILE", group: groupRun, setup: appAdd,
			short:   "create an app from a Marathon definition (- reads standard input)",
			example: "ingot app add examples/hello.json",
		},
		{
			name: "app rm", args: "ID", group: groupRun, setup: appRm,
			short:   "delete an app and end its tasks",
			example: "ingot app rm hello",
		},
		{
			name: "task ls", group: groupRun, reads: true, setup: taskLs,
			short:   "list the tasks of all apps",
			example: "ingot task ls",
		},
		{
			name: "task log", args: "ID", group: groupRun, reads: true, setup: taskLog,
			short:   "show a task's standard output",
			example: "ingot task log hello.instance-UUID._app.1 --lines 20",
		},
		{
			name: "unit restart", args: "ID", group: groupService, setup: unitRestart,
			short:   "restart a unit of a node",
			example: "ingot unit restart agent.service --node a1",
		},
		{
			name: "node console", args: "NAME", group: groupService, setup: nodeConsole,
			short:   "speak to a machine of the rack over its serial line",
			long:    "Works when the network is dead. Ctrl-] leaves.",
			example: "ingot node console m1",
		},
		{
			name: "node power", args: "NAME", group: groupService, setup: nodePower,
			short:   "cut or give the power of a machine of the rack",
			example: "ingot node power a1 --action cut",
		},
		{
			name: "image build", group: groupImage, setup: imageBuild,
			short:   "build kernel, initrd, UKI and container images",
			example: "ingot image build --out build/image",
		},
		{
			name: "image lock", group: groupImage, setup: imageLock,
			short:   "move the lock file to the newest signed Debian packages",
			example: "ingot image lock",
		},
		{
			name: "image show", group: groupImage, reads: true, setup: imageShow,
			short:   "what is in a built image",
			example: "ingot image show",
		},
		{
			name: "provisioner serve", group: groupImage, setup: provisionerServe,
			short:   "give machines addresses, boot files and admission",
			example: "ingot provisioner serve --config provisioner.json",
		},
		{
			name: "rack bench", group: groupRack, setup: rackBench,
			short:   "measure power-on to init, one machine at a time",
			long:    "Powers on one machine per firmware, with noise behind the image until it has the given size, until its init runs. A missed target is shown and is no error. The figures hold for a machine that does nothing else meanwhile.",
			example: "ingot rack bench --firmware bios --runs 3",
		},
		{
			name: "rack run", group: groupRack, hidden: true, setup: rackRun,
			short:   "the rack's daemon, started by ingot up",
			example: "ingot rack run --dir build/rack",
		},
	}
}

// parse reads flags, wherever they stand among the arguments.
func (v *verb) parse(args []string, c *call) (action, error) {
	fs := flag.NewFlagSet(v.name, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	act := v.flags(fs, c)
	for {
		if err := fs.Parse(args); err != nil {
			if err == flag.ErrHelp {
				return nil, err
			}
			return nil, usagef("%s: %v (ingot %s --help)", v.name, err, v.name)
		}
		done := len(args)-fs.NArg() > 0 && args[len(args)-fs.NArg()-1] == "--"
		if done || fs.NArg() == 0 {
			c.args = append(c.args, fs.Args()...)
			break
		}
		c.args = append(c.args, fs.Arg(0))
		args = fs.Args()[1:]
	}
	return act, v.count(c.args)
}

// flags declares those that verbs share, and the verb's own.
func (v *verb) flags(fs *flag.FlagSet, c *call) action {
	fs.StringVar(&c.site, "site", "", "site folder `DIR`; else $INGOT_SITE, else build/rack/site here or above")
	if v.reads {
		fs.BoolVar(&c.json, "json", false, "JSON instead of a table")
	}
	return v.setup(fs)
}

// count checks the number of arguments against the usage line.
func (v *verb) count(args []string) error {
	want := strings.Fields(v.args)
	least := 0
	for _, w := range want {
		if !strings.HasPrefix(w, "[") {
			least++
		}
	}
	switch {
	case len(args) < least:
		return usagef("%s needs %s, as in: %s", v.name, strings.Join(want[len(args):least], " "), v.example)
	case len(args) > len(want):
		return usagef("%s: %q is one word too many, as in: %s", v.name, args[len(want)], v.example)
	}
	return nil
}
