package main

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// schema is as much of JSON Schema as docs/check.schema.json uses.
type schema struct {
	Schema      string            `json:"$schema"`
	Title       string            `json:"title"`
	Description string            `json:"description"`
	Type        string            `json:"type"`
	Enum        []string          `json:"enum"`
	Required    []string          `json:"required"`
	Properties  map[string]schema `json:"properties"`
	Additional  *bool             `json:"additionalProperties"`
	Items       *schema           `json:"items"`
}

// validate returns what of a value is not as the schema has it.
func (s schema) validate(at string, v any) (wrong []string) {
	say := func(format string, args ...any) { wrong = append(wrong, at+": "+fmt.Sprintf(format, args...)) }
	if text, ok := v.(string); s.Enum != nil && (!ok || !slices.Contains(s.Enum, text)) {
		say("%v is none of %q", v, s.Enum)
	}
	switch value := v.(type) {
	case map[string]any:
		if s.Type != "object" {
			say("an object")
		}
		for _, name := range s.Required {
			if _, ok := value[name]; !ok {
				say("%s is missing", name)
			}
		}
		for name, member := range value {
			sub, known := s.Properties[name]
			if !known && s.Additional != nil && !*s.Additional {
				say("%s is not in the schema", name)
			} else if known {
				wrong = append(wrong, sub.validate(at+"."+name, member)...)
			}
		}
	case []any:
		if s.Type != "array" || s.Items == nil {
			say("an array")
			break
		}
		for i, item := range value {
			wrong = append(wrong, s.Items.validate(fmt.Sprintf("%s[%d]", at, i), item)...)
		}
	case string:
		if s.Type != "string" && s.Enum == nil {
			say("a string")
		}
	case bool:
		if s.Type != "boolean" {
			say("a boolean")
		}
	default:
		say("%T", v)
	}
	return wrong
}

// conforms fails the test where a report is not as docs/check.schema.json has it, or names a finding twice or by another area.
func conforms(t *testing.T, report string) {
	t.Helper()
	text, err := os.ReadFile("../../docs/check.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var s schema
	decoder := json.NewDecoder(strings.NewReader(string(text)))
	decoder.DisallowUnknownFields() // what this test does not look at must not be in there
	if err := decoder.Decode(&s); err != nil {
		t.Fatal(err)
	}
	var value any
	if err := json.Unmarshal([]byte(report), &value); err != nil {
		t.Fatal(err)
	}
	for _, w := range s.validate("report", value) {
		t.Error(w)
	}
	seen := map[any]bool{}
	for _, f := range value.(map[string]any)["findings"].([]any) {
		member := f.(map[string]any)
		id, area := member["id"].(string), member["area"].(string)
		if !strings.HasPrefix(id, area+".") {
			t.Errorf("%s is of the area %s", id, area)
		}
		if seen[id] && id != "kernel.config.unread" && id != "cgroup.warning" {
			t.Errorf("%s is there twice", id)
		}
		seen[id] = true
	}
}

func TestCheckSchema(t *testing.T) {
	for _, args := range [][]string{
		{"--kernel-config", fixtures + "6.12-no-veth.config"},
		{"--kernel-config", fixtures + "docker.fragment", "--docker-version", "26.1.5+dfsg1", "--cgroup", "hybrid"},
		{"--kernel-config", fixtures + "2.6.32.config", "--", "--iptables=false"},
		{"--root", fakeTree(t, "legacy"), "--for", "machine"},
		{"--root", fakeTree(t, "nft"), "--for", "container"},
	} {
		_, out, problems := checkOf(append([]string{"--json"}, args...)...)
		if problems != "" {
			t.Errorf("%q: %s", args, problems)
		}
		conforms(t, out)
	}
	var s schema
	if wrong := (schema{Type: "object", Required: []string{"a"}, Additional: new(bool)}).validate("", map[string]any{"b": "c"}); len(wrong) != 2 {
		t.Errorf("a validator that lets everything pass: %q, %+v", wrong, s)
	}
}
