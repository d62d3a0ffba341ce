package daemon

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Has reports whether the file speaks of an option, given by its long name: under the option's key, which is often the
// plural, whatever the value, null included. This is what dockerd refuses beside the option itself.
func (c Config) Has(option string) bool {
	_, ok := c.entry(option)
	return ok
}

// Where tells where the file speaks of an option; "" where it does not.
func (c Config) Where(option string) string {
	e, ok := c.entry(option)
	if !ok {
		return ""
	}
	return fmt.Sprintf("%q in %s", e.Key, place(c.Path, e.Line, 0))
}

// Value returns what the file gives an option that is not repeatable; ok is false where dockerd takes its default: the
// key is absent, null, ignored (see Problems), or, but for a bool, empty or 0. dockerd merges the flags' defaults over
// empty values (MergeDaemonConfigurations; default-stop-timeout is the exception it makes).
func (c Config) Value(option string) (value string, ok bool) {
	o, known := Lookup(option)
	e, found := c.entry(option)
	if !known || !found || !c.effective(o, e) {
		return "", false
	}
	value, ok = scalar(e.Raw)
	if (value == "" || value == "0") && o.Name != "default-stop-timeout" {
		return "", false
	}
	return value, ok
}

// Values returns the values of a repeatable option in the form in which its flag takes them, as far as this can be
// told: the elements of a list, "key=value" for the members of an object, sorted, "nofile=SOFT:HARD" for ulimits. An
// option that is not repeatable has its one Value.
func (c Config) Values(option string) []string {
	o, known := Lookup(option)
	e, found := c.entry(option)
	if !known || !found || !c.effective(o, e) {
		return nil
	}
	if !o.Repeatable() {
		if value, ok := c.Value(option); ok {
			return []string{value}
		}
		return nil
	}
	var list []json.RawMessage
	if json.Unmarshal(e.Raw, &list) == nil {
		var values []string
		for _, element := range list {
			values = append(values, elementText(element))
		}
		return values
	}
	if o.Type == "ulimit" {
		return ulimits(e.Raw)
	}
	if value, ok := scalar(e.Raw); ok {
		return []string{value} // host-gateway-ip, once a single address
	}
	return pairs(e.Raw)
}

// Bool returns what the file gives a bool option; ok is false where it does not speak, or not with true or false.
func (c Config) Bool(option string) (value, ok bool) {
	text, ok := c.Value(option)
	if !ok || text != "true" && text != "false" {
		return false, false
	}
	return text == "true", true
}

// effective tells whether dockerd takes an entry's value. A key in an object where it does not belong, or at the top
// where it belongs into one, is accepted and ignored; but a bool takes effect wherever it stands, because dockerd sets
// its flag from the flattened file (getConflictFreeConfiguration).
func (c Config) effective(o Option, e Entry) bool {
	return o.Key != "" && (o.Bool() || c.decoded(o, e))
}

// decoded tells whether an entry stands where dockerd decodes it into its configuration.
func (c Config) decoded(o Option, e Entry) bool {
	parent, _, nested := strings.Cut(o.Key, ".")
	if !nested {
		parent = ""
	}
	return e.Parent == parent
}

// scalar is the text of a string, number or bool.
func scalar(raw json.RawMessage) (string, bool) {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 {
		return "", false
	}
	switch raw[0] {
	case '"':
		var text string
		err := json.Unmarshal(raw, &text)
		return text, err == nil
	case '{', '[', 'n':
		return "", false
	}
	return string(raw), true
}

func elementText(raw json.RawMessage) string {
	if text, ok := scalar(raw); ok {
		return text
	}
	if p := pairs(raw); p != nil {
		return strings.Join(p, ",")
	}
	return compact(raw)
}

func pairs(raw json.RawMessage) []string {
	var object map[string]json.RawMessage
	if json.Unmarshal(raw, &object) != nil {
		return nil
	}
	var values []string
	for key, value := range object {
		text, ok := scalar(value)
		if !ok {
			text = compact(value)
		}
		values = append(values, key+"="+text)
	}
	slices.Sort(values)
	return values
}

// ulimits reads {"nofile": {"Name": "nofile", "Soft": 1, "Hard": 2}} (go-units' Ulimit).
func ulimits(raw json.RawMessage) []string {
	var object map[string]*struct{ Soft, Hard int64 }
	if json.Unmarshal(raw, &object) != nil {
		return nil
	}
	var values []string
	for name, limit := range object {
		if limit != nil {
			values = append(values, fmt.Sprintf("%s=%d:%d", name, limit.Soft, limit.Hard))
		}
	}
	slices.Sort(values)
	return values
}

func compact(raw json.RawMessage) string {
	var b bytes.Buffer
	if err := json.Compact(&b, raw); err != nil {
		return string(raw)
	}
	return b.String()
}
