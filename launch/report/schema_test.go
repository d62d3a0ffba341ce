package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// schema is what docs/report.schema.json uses of JSON Schema; another word in it is an error.
type schema struct {
	Schema     string             `json:"$schema"`
	Title      string             `json:"title"`
	Type       string             `json:"type"`
	Format     string             `json:"format"`
	Required   []string           `json:"required"`
	Additional *bool              `json:"additionalProperties"`
	Properties map[string]*schema `json:"properties"`
	Items      *schema            `json:"items"`
	Enum       []string           `json:"enum"`
	Minimum    *float64           `json:"minimum"`
	MinLength  int                `json:"minLength"`
}

func readSchema(t *testing.T) *schema {
	t.Helper()
	data, err := os.ReadFile("../../docs/report.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	s := &schema{}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(s); err != nil {
		t.Fatal(err)
	}
	return s
}

// check returns what is wrong with a value.
func (s *schema) check(at string, value any) (problems []string) {
	wrong := func(format string, args ...any) { problems = append(problems, at+": "+fmt.Sprintf(format, args...)) }
	switch v := value.(type) {
	case map[string]any:
		if s.Type != "object" {
			wrong("an object")
			return problems
		}
		for _, name := range s.Required {
			if _, ok := v[name]; !ok {
				wrong("%s is missing", name)
			}
		}
		for name, member := range v {
			if p := s.Properties[name]; p != nil {
				problems = append(problems, p.check(at+"."+name, member)...)
			} else if s.Additional != nil && !*s.Additional {
				wrong("there is no %s", name)
			}
		}
	case []any:
		if s.Type != "array" {
			wrong("an array")
			return problems
		}
		for i, item := range v {
			problems = append(problems, s.Items.check(fmt.Sprintf("%s[%d]", at, i), item)...)
		}
	case string:
		if s.Type != "string" && s.Enum == nil || s.Enum != nil && !slices.Contains(s.Enum, v) || len(v) < s.MinLength {
			wrong("%q", v)
		}
	case float64:
		if s.Type != "integer" || v != float64(int64(v)) || s.Minimum != nil && v < *s.Minimum {
			wrong("%v", v)
		}
	default:
		wrong("%v", v)
	}
	return problems
}

// Reports are of the form that is documented, and a wrong one is not.
func TestSchema(t *testing.T) {
	schema := readSchema(t)
	problems := func(data []byte) []string {
		t.Helper()
		var value any
		if err := json.Unmarshal(data, &value); err != nil {
			t.Fatal(err)
		}
		return schema.check("report", value)
	}
	for _, name := range []string{"container", "machine", "failed"} {
		path := filepath.Join(t.TempDir(), "run", "report.json")
		if err := captured(t, name).Write(path); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if p := problems(data); p != nil {
			t.Errorf("%s: %q", name, p)
		}
		for _, change := range [][2]string{
			{`"outcome": "`, `"outcome": "un`}, {`"began_ns": `, `"began_ns": -`}, {`"kernel"`, `"colonel"`}, {`"version": "`, `"version": ["`}, {`"lane": `, `"lane": 1, "x": `},
		} {
			bad := bytes.Replace(data, []byte(change[0]), []byte(change[1]), 1)
			if change[0] == `"version": "` {
				bad = bytes.Replace(bad, []byte(`0.1.0"`), []byte(`0.1.0"]`), 1)
			}
			if problems(bad) == nil {
				t.Errorf("%s with %s is valid", name, change[1])
			}
		}
	}
}

// Every field is in the schema, and in the page about it, and nothing else is.
func TestFieldsAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/report.md")
	if err != nil {
		t.Fatal(err)
	}
	top := readSchema(t)
	check := func(of reflect.Type, s *schema) {
		t.Helper()
		var names []string
		for i := range of.NumField() {
			name, _, _ := strings.Cut(of.Field(i).Tag.Get("json"), ",")
			names = append(names, name)
			if s.Properties[name] == nil {
				t.Errorf("%s of %s is not in the schema", name, of)
			}
			if !bytes.Contains(page, []byte("`"+name+"`")) && !bytes.Contains(page, []byte("."+name+"`")) {
				t.Errorf("%s of %s is not in docs/report.md", name, of)
			}
		}
		for name := range s.Properties {
			if !slices.Contains(names, name) {
				t.Errorf("%s is in the schema and not in %s", name, of)
			}
		}
	}
	check(reflect.TypeFor[Run](), top)
	check(reflect.TypeFor[Step](), top.Properties["steps"].Items)
	check(reflect.TypeFor[Event](), top.Properties["events"].Items)
}
