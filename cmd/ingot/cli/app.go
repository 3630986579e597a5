package cli

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/ingot-os/ingot/api"
	"github.com/ingot-os/ingot/api/client"
)

func appLs(*flag.FlagSet) action {
	return func(ctx context.Context, c *call) error {
		k, err := c.cluster()
		if err != nil {
			return err
		}
		apps, err := k.Apps(ctx)
		if err != nil {
			return err
		}
		var rows [][]string
		for _, a := range apps {
			rows = append(rows, []string{
				a.ID, fmt.Sprintf("%d/%d", a.TasksRunning, a.Instances), health(a),
				fmt.Sprintf("%g", a.CPUs), fmt.Sprintf("%g MiB", a.Mem), a.Labels["DCOS_SERVICE_NAME"], appImage(a),
			})
		}
		return c.show(list(apps), "ID RUNNING HEALTHY CPUS MEM SERVICE IMAGE", rows)
	}
}

func health(a api.App) string {
	if len(a.HealthChecks) == 0 {
		return ""
	}
	return fmt.Sprintf("%d/%d", a.TasksHealthy, a.Instances)
}

func appImage(a api.App) string {
	if a.Container == nil || a.Container.Docker == nil {
		return ""
	}
	return a.Container.Docker.Image
}

func appShow(*flag.FlagSet) action {
	return func(ctx context.Context, c *call) error {
		k, err := c.cluster()
		if err != nil {
			return err
		}
		a, err := k.App(ctx, c.args[0])
		if err != nil {
			return whichApp(ctx, k, c.args[0], err)
		}
		if c.json {
			return c.showJSON(a)
		}
		rows := [][]string{
			{"id", a.ID},
			{"running", fmt.Sprintf("%d/%d", a.TasksRunning, a.Instances)},
			{"healthy", health(a)},
			{"image", appImage(a)},
			{"version", a.Version},
		}
		if f := a.LastTaskFailure; f != nil {
			rows = append(rows, []string{"last failure", fmt.Sprintf("%s on %s: %s", f.State, f.Host, f.Message)})
		}
		rows = append(rows, waitingRows(ctx, k, a.ID)...)
		for _, t := range a.Tasks {
			rows = append(rows, []string{"task", fmt.Sprintf("%s %s on %s %v", t.ID, t.State, t.Host, t.Ports)})
		}
		return columns(c.stdout, "", rows)
	}
}

// waitingRows says why instances of an app are not placed; it is extra, so that
// a queue that does not answer leaves no gap elsewhere.
func waitingRows(ctx context.Context, k *client.Cluster, id string) [][]string {
	queue, err := k.Queue(ctx)
	if err != nil {
		return nil
	}
	var rows [][]string
	for _, q := range queue {
		if q.App.ID == id {
			rows = append(rows, []string{"waiting", waiting(q)})
		}
	}
	return rows
}

// waiting words an entry of the queue.
func waiting(q client.Waiting) string {
	s := fmt.Sprintf("%d to place", q.Count)
	if q.Delay.TimeLeftSeconds > 0 {
		s += fmt.Sprintf(", next try in %.0f s", q.Delay.TimeLeftSeconds)
	}
	for _, r := range q.Processed.Reject {
		if r.Declined > 0 {
			s += fmt.Sprintf(", %s on %d of %d", r.Reason, r.Declined, r.Processed)
		}
	}
	return s
}

func appAdd(*flag.FlagSet) action {
	return func(ctx context.Context, c *call) error {
		k, err := c.cluster()
		if err != nil {
			return err
		}
		definition, err := readFile(c, c.args[0])
		if err != nil {
			return err
		}
		a, err := k.AddApp(ctx, definition)
		if err != nil {
			return fmt.Errorf("add %s: %w", c.args[0], err)
		}
		fmt.Fprintf(c.stderr, "%s is being deployed; ingot app show %s follows it\n", a.ID, strings.TrimPrefix(a.ID, "/"))
		return nil
	}
}

func readFile(c *call, name string) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(c.stdin)
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("read app definition: %w", err)
	}
	return b, nil
}

func appRm(fs *flag.FlagSet) action {
	force := fs.Bool("force", false, "end a deployment that is under way, too")
	return func(ctx context.Context, c *call) error {
		k, err := c.cluster()
		if err != nil {
			return err
		}
		err = k.RemoveApp(ctx, c.args[0], *force)
		if api.KindOf(err) == api.KindConflict {
			return fmt.Errorf("remove app %s: a deployment of it is under way: wait for it, or add --force", c.args[0])
		}
		if err != nil {
			return whichApp(ctx, k, c.args[0], err)
		}
		fmt.Fprintf(c.stderr, "%s is gone\n", c.args[0])
		return nil
	}
}

// whichApp turns "not found" into what there is.
func whichApp(ctx context.Context, k *client.Cluster, id string, err error) error {
	if api.KindOf(err) != api.KindNotFound {
		return err
	}
	apps, lerr := k.Apps(ctx)
	if lerr != nil {
		return err
	}
	var ids []string
	for _, a := range apps {
		ids = append(ids, a.ID)
	}
	return none("app", id, ids)
}
