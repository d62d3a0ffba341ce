package main

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/dockerlaunch/dockerlaunch/launch"
)

// planned has steps of three lanes, of which one stands between those of another.
func planned() *launch.Plan {
	return &launch.Plan{Habitat: "container", Steps: []launch.Step{
		{Name: "mount /proc", Lane: launch.LaneSystem, Verdict: launch.Keep, Note: "it is there"},
		{Name: "module overlay", Lane: launch.LaneModules, Verdict: launch.Do, Does: "load it"},
		{Name: "lo", Lane: launch.LaneSystem, Verdict: launch.Do, Does: "bring it up", Note: "not this"},
		{Name: "containerd", Lane: launch.LaneContainerd, Verdict: launch.Do, Does: "start it"},
	}, Command: launch.Command{Path: "/usr/bin/dockerd", Args: []string{"-D"}}}
}

func TestPlanTextShowsLanes(t *testing.T) {
	var b bytes.Buffer
	if err := writeText(&b, planned()); err != nil {
		t.Fatal(err)
	}
	var got []string
	for line := range strings.Lines(b.String()) {
		got = append(got, strings.Join(strings.Fields(line), " "))
	}
	want := []string{
		`in a habitat of the kind "container":`,
		"lane system, at once:", "keep mount /proc it is there", "do lo bring it up",
		"lane modules, after system:", "do module overlay load it",
		"lane containerd, after system and modules:", "do containerd start it",
		"the daemon, after all lanes:", "exec /usr/bin/dockerd -D",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s", b.String())
	}
}

func TestPlanJSONShowsLanes(t *testing.T) {
	var b bytes.Buffer
	if err := writeJSON(&b, planned()); err != nil {
		t.Fatal(err)
	}
	var got struct {
		Habitat string `json:"habitat"`
		Lanes   []struct {
			Name  string   `json:"name"`
			After []string `json:"after"`
		} `json:"lanes"`
		Steps []struct {
			Lane string `json:"lane"`
		} `json:"steps"`
	}
	if err := json.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Lanes) != 3 || got.Lanes[2].Name != "containerd" || !slices.Equal(got.Lanes[2].After, []string{"system", "modules"}) ||
		len(got.Steps) != 4 || got.Steps[1].Lane != "modules" || got.Habitat != "container" {
		t.Errorf("%s", b.String())
	}
}
