// Command runtime stands in front of runc where the tests' machine lacks capabilities, as nested machines often do: runc
// refuses to give a privileged container what it cannot give. It takes those out of the bundle's config.json, and out of
// exec's process file, and becomes runc. Where the machine lacks nothing it changes nothing.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"syscall"

	"github.com/dockerlaunch/dockerlaunch/launch/host"
)

func main() {
	if err := mend(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "runtime:", err)
		os.Exit(1)
	}
	fmt.Fprintln(os.Stderr, syscall.Exec("/usr/bin/runc", os.Args, os.Environ()))
	os.Exit(1)
}

func mend(args []string) error {
	facts, err := host.Observe(host.Paths{})
	if err != nil {
		return err
	}
	if facts.Bounding == host.Full(facts.LastCapability) {
		return nil
	}
	allowed := map[string]bool{}
	for _, name := range facts.Bounding.Names() {
		allowed[name] = true
	}
	for i, arg := range args {
		name, value, together := strings.Cut(arg, "=")
		if !together && i+1 < len(args) {
			value = args[i+1]
		}
		switch name {
		case "--bundle", "-b":
			err = edit(value+"/config.json", func(config map[string]any) any { return config["process"] }, allowed)
		case "--process", "-p":
			err = edit(value, func(process map[string]any) any { return process }, allowed)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// edit takes capabilities that are not allowed out of the process in a file.
func edit(path string, find func(map[string]any) any, allowed map[string]bool) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var document map[string]any
	if err := json.Unmarshal(data, &document); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	process, ok := find(document).(map[string]any)
	if !ok {
		return fmt.Errorf("%s has no process", path)
	}
	sets, ok := process["capabilities"].(map[string]any)
	if !ok {
		return nil
	}
	for name, set := range sets {
		list, ok := set.([]any)
		if !ok {
			continue
		}
		kept := []any{}
		for _, capability := range list {
			if text, ok := capability.(string); ok && allowed[text] {
				kept = append(kept, text)
			}
		}
		sets[name] = kept
	}
	if data, err = json.Marshal(document); err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o644)
}
