package daemon

import (
	"encoding/json"
	"slices"
	"testing"
)

func TestParseVersion(t *testing.T) {
	for _, test := range []struct {
		text, want string
	}{
		{"Docker version 26.1.5+dfsg1, build 411e817", "26.1.5"},
		{"Docker version 20.10.24+dfsg1, build 5d6db84\n", "20.10.24"},
		{"Docker version 28.5.2+dfsg4, build 3ef3c07c883be49a2e8097bcf6d2952fce1d70eb", "28.5.2"},
		{"Docker version 17.05.0-ce, build 89658be", "17.05.0"},
		{"Docker version 17.06.2-ee-3, build 1", "17.06.2"},
		{"Docker version 18.09.1, build 4c52b90", "18.09.1"},
		{"Docker version 1.13.1, build 092cba3", "1.13.1"},
		{"Docker version 17.07.0-ce-rc2, build 36ce605", "17.07.0-rc2"},
		{"27.0.0-rc.1", "27.0.0-rc.1"},
		{"v27.0.0-beta.2", "27.0.0-beta.2"},
		{"28.5.2~rc1+dfsg1", "28.5.2-rc1"},
		{" 29.7 ", "29.7.0"},
		{"20.10.24.1", "20.10.24"},
		{"Docker version dev, build unknown", "dev"},
		{"library-import", "dev"},
		{"0.0.0-20240101000000-abcdef", "dev"},
		{"Docker version 0.0.0-dev, build x", "dev"},
		{"29.0.0-dev", "dev"},
	} {
		v, err := ParseVersion(test.text)
		if err != nil || v.String() != test.want {
			t.Errorf("ParseVersion(%q) = %s, %v; want %s", test.text, v, err, test.want)
		}
	}
	for _, text := range []string{"", "Docker version ", "master-dockerproject-2019", "26", "26.x.1", "1.2.3.4.5", "-1.2", "99999999999.1"} {
		if v, err := ParseVersion(text); err == nil {
			t.Errorf("ParseVersion(%q) = %s, want an error", text, v)
		} else if v.Known() {
			t.Errorf("ParseVersion(%q) gave an error and the version %s", text, v)
		}
	}
}

func TestVersionOrder(t *testing.T) {
	order := []string{"", "0.9.1", "1.6.2", "1.12.6", "1.13.1", "17.05.0-ce-rc1", "17.05.0-ce-rc2", "17.05.0-ce", "17.12.1", "18.09.0",
		"20.10.24", "23.0.0", "26.1.4", "26.1.5", "27.0.0-beta.2", "27.0.0-beta.10", "27.0.0-rc.1", "27.0.0-rc.2", "27.0.0", "27.0.1", "dev"}
	versions := make([]Version, len(order))
	for i, text := range order {
		if text == "" {
			continue
		}
		var err error
		if versions[i], err = ParseVersion(text); err != nil {
			t.Fatal(err)
		}
	}
	for i, a := range versions {
		for j, b := range versions {
			want := 0
			if i < j {
				want = -1
			} else if i > j {
				want = 1
			}
			if got := a.Compare(b); got != want {
				t.Errorf("%q against %q: %d, want %d", order[i], order[j], got, want)
			}
		}
	}
}

func TestVersionAtLeast(t *testing.T) {
	for _, test := range []struct {
		version string
		want    bool
	}{{"27.5.0", false}, {"27.5.1", true}, {"27.5.1-rc.1", true}, {"28.0.0", true}, {"dev", true}, {"9.9.9", false}} {
		v, err := ParseVersion(test.version)
		if err != nil {
			t.Fatal(err)
		}
		if got := v.AtLeast(27, 5, 1); got != test.want {
			t.Errorf("%s at least 27.5.1: %v", test.version, got)
		}
	}
	if (Version{}).AtLeast(0, 0, 0) {
		t.Error("an unknown version is at least something")
	}
}

func TestVersionText(t *testing.T) {
	in := []Version{{}, {Dev: true}, {Major: 26, Minor: 1, Patch: 5}, {Major: 27, Pre: "rc.1"}}
	data, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	if want := `["","dev","26.1.5","27.0.0-rc.1"]`; string(data) != want {
		t.Errorf("got %s, want %s", data, want)
	}
	var out []Version
	if err := json.Unmarshal(data, &out); err != nil || !slices.Equal(in, out) {
		t.Errorf("read back: %v, %v", out, err)
	}
	if err := json.Unmarshal([]byte(`["x"]`), &out); err == nil {
		t.Error("no error for a version that is none")
	}
}

func FuzzParseVersion(f *testing.F) {
	for _, s := range []string{"Docker version 26.1.5+dfsg1, build 411e817", "dev", "1.13.1", "17.05.0-ce-rc1", "v1.2-rc.9999999999999999999"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		v, err := ParseVersion(text)
		if err != nil {
			return
		}
		if !v.Known() || v.Compare(v) != 0 {
			t.Fatalf("%q is read as %#v", text, v)
		}
		again, err := ParseVersion(v.String())
		if err != nil || again.Compare(v) != 0 {
			t.Fatalf("%q is read as %s, and that as %s, %v", text, v, again, err)
		}
	})
}
