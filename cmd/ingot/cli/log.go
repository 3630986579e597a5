package cli

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/ingot-os/ingot/api"
	"github.com/ingot-os/ingot/api/client"
)

// nodeEntry is a journal record, and the node it is from.
type nodeEntry struct {
	Node string `json:"node"`
	api.LogEntry
}

func logShow(fs *flag.FlagSet) action {
	node := fs.String("node", "", "only node `NAME`")
	lines := fs.Int("lines", 100, "the newest `N` records of each node; 0: all")
	follow := fs.Bool("follow", false, "go on with new ones until Ctrl-C")
	return func(ctx context.Context, c *call) error {
		k, err := c.cluster()
		if err != nil {
			return err
		}
		q := client.LogQuery{Lines: *lines, Follow: *follow}
		if len(c.args) > 0 {
			q.Unit = c.args[0]
		}
		if q.Follow {
			return followLogs(ctx, c, k, *node, q)
		}
		return showLogs(ctx, c, k, *node, q)
	}
}

// showLogs prints what the nodes have, in the order of time.
func showLogs(ctx context.Context, c *call, k *client.Cluster, node string, q client.LogQuery) error {
	answers, err := each(ctx, k, node, func(ctx context.Context, n *client.Node) ([]api.LogEntry, error) {
		var got []api.LogEntry
		err := n.Log(ctx, q, func(e api.LogEntry) error { got = append(got, e); return nil })
		return got, err
	})
	if err != nil {
		return err
	}
	var all []nodeEntry
	var failed []error
	for _, a := range answers {
		failed = append(failed, a.err)
		for _, e := range a.value {
			all = append(all, nodeEntry{a.node, e})
		}
	}
	slices.SortStableFunc(all, func(a, b nodeEntry) int { return a.Time.Compare(b.Time) })
	if c.json {
		failed = append(failed, c.showJSON(list(all)))
		return errors.Join(failed...)
	}
	for _, e := range all {
		printEntry(c.stdout, e)
	}
	return errors.Join(failed...)
}

// followLogs prints records as they come, as lines of JSON with --json.
func followLogs(ctx context.Context, c *call, k *client.Cluster, node string, q client.LogQuery) error {
	names, err := nodeNames(ctx, k, node)
	if err != nil {
		return err
	}
	var mu sync.Mutex // one record at a time
	enc := json.NewEncoder(c.stdout)
	print := func(e nodeEntry) error {
		mu.Lock()
		defer mu.Unlock()
		if c.json {
			return enc.Encode(e)
		}
		printEntry(c.stdout, e)
		return nil
	}
	failed := make([]error, len(names))
	var following sync.WaitGroup
	for i, name := range names {
		following.Go(func() {
			err := k.Node(name).Log(ctx, q, func(e api.LogEntry) error { return print(nodeEntry{name, e}) })
			if ctx.Err() == nil { // Ctrl-C is the way to end it
				failed[i] = err
			}
		})
	}
	following.Wait()
	return errors.Join(failed...)
}

func printEntry(w io.Writer, e nodeEntry) {
	fmt.Fprintf(w, "%s %s %s[%d]: %s\n", e.Time.UTC().Format("2006-01-02T15:04:05.000Z"), e.Node, e.Unit, e.PID, e.Message)
}
