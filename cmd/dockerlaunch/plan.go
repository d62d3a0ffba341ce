package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/dockerlaunch/dockerlaunch/launch"
)

// printPlan prints what a launch would do, and returns what would stop it.
func printPlan(c launch.Config, asJSON bool, w io.Writer) error {
	facts, err := launch.Observe(c)
	if err != nil {
		return err
	}
	plan, err := launch.NewPlan(c, facts)
	if err != nil {
		return err
	}
	if asJSON {
		err = writeJSON(w, plan)
	} else {
		err = writeText(w, plan)
	}
	if err != nil {
		return fmt.Errorf("writing the plan: %w", err)
	}
	return plan.Err()
}

// jsonPlan is the form of `dockerlaunch plan --json`, documented in the README.
type jsonPlan struct {
	Version string `json:"version"`
	*launch.Plan
	// Lanes are the sequences of steps, which run beside each other but for what each waits for.
	Lanes []launch.LaneInfo `json:"lanes"`
	// Refused tells why the daemon would not be started; empty where it would.
	Refused string `json:"refused,omitempty"`
	// ExitStatus is what the launcher would end with; 0 where the daemon would be started.
	ExitStatus int `json:"exit_status"`
}

func writeJSON(w io.Writer, plan *launch.Plan) error {
	out := jsonPlan{Version: versionText(), Plan: plan, Lanes: plan.Lanes()}
	if err := plan.Err(); err != nil {
		out.Refused, out.ExitStatus = err.Error(), launch.ExitStatus(err)
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(out)
}

func writeText(w io.Writer, plan *launch.Plan) error {
	b := bufio.NewWriter(w)
	fmt.Fprintf(b, "in a habitat of the kind %q:\n", plan.Habitat)
	for _, lane := range plan.Lanes() {
		fmt.Fprintf(b, "lane %s, %s:\n", lane.Name, waits(lane))
		for _, s := range plan.Steps {
			text := s.Note
			if s.Does != "" && s.Verdict == launch.Do {
				text = s.Does
			}
			if s.Lane == lane.Name {
				fmt.Fprintf(b, "%-6s  %-32s  %s\n", s.Verdict, s.Name, text)
			}
		}
	}
	b.WriteString("the daemon, after all lanes:\n")
	for _, n := range plan.Command.Notices {
		fmt.Fprintf(b, "%-6s  %-32s  %s\n", "note", "old command line", n)
	}
	for _, a := range plan.Command.Added {
		fmt.Fprintf(b, "%-6s  %-32s  %s\n", "add", a.Arg, a.Reason)
	}
	for _, v := range plan.Command.Env {
		fmt.Fprintf(b, "%-6s  %-32s  %s\n", "set", v.Name+"="+v.Value, v.Reason)
	}
	if err := plan.Err(); err != nil {
		fmt.Fprintf(b, "exit %d\n", launch.ExitStatus(err))
	} else {
		fmt.Fprintf(b, "exec    %s\n", strings.Join(append([]string{plan.Command.Path}, plan.Command.Args...), " "))
	}
	return b.Flush()
}

// waits tells what a lane waits for.
func waits(lane launch.LaneInfo) string {
	if len(lane.After) == 0 {
		return "at once"
	}
	names := make([]string, len(lane.After))
	for i, after := range lane.After {
		names[i] = string(after)
	}
	return "after " + strings.Join(names, " and ")
}
