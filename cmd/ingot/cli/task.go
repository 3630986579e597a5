package cli

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"

	"github.com/ingot-os/ingot/api"
	"github.com/ingot-os/ingot/api/client"
)

func taskLs(*flag.FlagSet) action {
	return func(ctx context.Context, c *call) error {
		k, err := c.cluster()
		if err != nil {
			return err
		}
		tasks, err := k.Tasks(ctx)
		if err != nil {
			return err
		}
		var rows [][]string
		for _, t := range tasks {
			rows = append(rows, []string{t.ID, t.AppID, string(t.State), t.Host, fmt.Sprint(t.Ports), alive(t)})
		}
		return c.show(list(tasks), "ID APP STATE HOST PORTS HEALTH", rows)
	}
}

func alive(t api.Task) string {
	if len(t.HealthCheckResults) == 0 {
		return ""
	}
	for _, r := range t.HealthCheckResults {
		if !r.Alive {
			return "unhealthy"
		}
	}
	return "healthy"
}

// taskText is a task's output as JSON.
type taskText struct {
	Task string `json:"task"`
	File string `json:"file"`
	Text string `json:"text"`
}

func taskLog(fs *flag.FlagSet) action {
	lines := fs.Int("lines", 100, "the newest `N` lines; 0: all")
	follow := fs.Bool("follow", false, "go on with new ones until Ctrl-C")
	stderr := fs.Bool("stderr", false, "standard error instead of standard output")
	return func(ctx context.Context, c *call) error {
		if c.json && *follow {
			return usagef("task log: --json and --follow do not go together")
		}
		k, err := c.cluster()
		if err != nil {
			return err
		}
		file := "stdout"
		if *stderr {
			file = "stderr"
		}
		r, err := k.TaskLog(ctx, c.args[0], file, client.LogQuery{Lines: *lines, Follow: *follow})
		if err != nil {
			return err
		}
		defer r.Close()
		if c.json {
			b, err := io.ReadAll(r)
			if err != nil {
				return fmt.Errorf("read the log of %s: %w", c.args[0], err)
			}
			return json.NewEncoder(c.stdout).Encode(taskText{c.args[0], file, string(b)})
		}
		if _, err := io.Copy(c.stdout, r); err != nil && !errors.Is(ctx.Err(), context.Canceled) {
			return fmt.Errorf("read the log of %s: %w", c.args[0], err)
		}
		return nil
	}
}
