package finding

import (
	"encoding/json"
	"testing"
)

func TestVerdict(t *testing.T) {
	f := func(st Status, sev Severity) Finding { return Finding{Status: st, Severity: sev} }
	for _, test := range []struct {
		name     string
		findings []Finding
		want     Conclusion
	}{
		{"nothing", nil, WillRun},
		{"fine", []Finding{f(OK, Fatal), f(NotApplicable, Fatal)}, WillRun},
		{"worth knowing", []Finding{f(Missing, Info), f(Unknown, Degraded)}, WillRun},
		{"a feature is lost", []Finding{f(Missing, Degraded), f(OK, Fatal)}, WithLoss},
		{"switched off", []Finding{f(Disabled, Degraded)}, WithLoss},
		{"cannot be told", []Finding{f(Unknown, Fatal)}, WithLoss},
		{"fatal behind a feature", []Finding{f(Missing, Degraded), f(Missing, Fatal)}, WillFail},
		{"fatal first", []Finding{f(Disabled, Fatal), f(Missing, Degraded)}, WillFail},
	} {
		if got := Verdict(test.findings); got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
}

func TestJSON(t *testing.T) {
	got, err := json.Marshal(Finding{ID: "kernel.CONFIG_VETH", Area: Kernel, Status: NotApplicable, Severity: Fatal})
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"id":"kernel.CONFIG_VETH","area":"kernel","status":"not-applicable","severity":"fatal"}`
	if string(got) != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
