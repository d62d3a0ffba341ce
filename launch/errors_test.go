package launch

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestExitStatus(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want int
		says string
	}{
		"none":              {nil, 0, ""},
		"usage":             {&UsageError{errors.New("what")}, 2, "what"},
		"refused, once":     {&RefusedError{[]string{"a is missing"}}, 3, "not starting the daemon: a is missing"},
		"refused, twice":    {&RefusedError{[]string{"a", "b"}}, 3, "for 2 reasons:\n  a\n  b"},
		"a step":            {&StepError{"mount /proc", unix.EPERM}, 3, "mount /proc: operation not permitted"},
		"anything else":     {errors.New("x"), 3, "x"},
		"not found":         {&ExecError{Daemon: "dockerd", Err: fs.ErrNotExist}, 127, "no such daemon in PATH"},
		"no such path":      {&ExecError{Daemon: "/x/dockerd", Err: unix.ENOENT}, 127, "/x/dockerd: there is no such daemon"},
		"no interpreter":    {&ExecError{Daemon: "/x/dockerd", Err: unix.ENOENT, Found: true}, 127, "interpreter"},
		"not executable":    {&ExecError{Daemon: "/x/dockerd", Err: unix.EACCES, Found: true}, 126, "permission denied"},
		"wrong format":      {&ExecError{Daemon: "/x/dockerd", Err: unix.ENOEXEC, Found: true}, 126, "architecture"},
		"a signal":          {&SignalError{unix.SIGTERM}, 143, "SIGTERM"},
		"wrapped in others": {fmt.Errorf("one: %w", &SignalError{unix.SIGINT}), 130, "SIGINT"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := ExitStatus(c.err); got != c.want {
				t.Errorf("exit status %d, want %d", got, c.want)
			}
			if c.err != nil && !strings.Contains(c.err.Error(), c.says) {
				t.Errorf("%q does not say %q", c.err, c.says)
			}
		})
	}
}

// fakeAction stands for actions whose outcome a table wants to choose; the real ones are tested where they are made.
type fakeAction struct {
	kept  bool
	err   error
	panic string
	did   *[]string
	name  string
}

func (a fakeAction) String() string { return a.name }
func (a fakeAction) Apply(context.Context) (bool, error) {
	*a.did = append(*a.did, a.name)
	if a.panic != "" {
		panic(a.panic)
	}
	return a.kept, a.err
}

func TestApply(t *testing.T) {
	var did []string
	act := func(name string, kept bool, err error) fakeAction {
		return fakeAction{name: name, kept: kept, err: err, did: &did}
	}
	broken := errors.New("broken")
	p := &Plan{}
	for _, s := range []Step{
		{Name: "keep", Verdict: Keep, Required: true},
		{Name: "do", Verdict: Do, Action: act("do", false, nil)},
		{Name: "already", Verdict: Do, Action: act("already", true, nil)},
		{Name: "skip", Verdict: Skip},
		{Name: "warn only", Verdict: Warn, Note: "lost"},
		{Name: "warn and do", Verdict: Warn, Action: act("warn and do", false, nil)},
		{Name: "optional", Verdict: Do, Action: act("optional", false, broken)},
		{Name: "panics", Verdict: Do, Action: fakeAction{name: "panics", panic: "oops", did: &did}},
		{Name: "required", Required: true, Verdict: Do, Action: act("required", false, broken)},
		{Name: "never", Verdict: Do, Action: act("never", false, nil)},
	} {
		p.add(s)
	}
	var seen []string
	report, err := p.Apply(context.Background(), Hooks{Observe: func(r Result) { seen = append(seen, r.Step+" "+string(r.Outcome)) }})
	var step *StepError
	if !errors.As(err, &step) || step.Step != "required" || !errors.Is(err, broken) {
		t.Errorf("error is %v", err)
	}
	want := "keep kept,do done,already kept,skip skipped,warn only warned,warn and do warned,optional warned,panics warned,required failed"
	if got := strings.Join(seen, ","); got != want {
		t.Errorf("outcomes are\n%s, want\n%s", got, want)
	}
	if got := strings.Join(did, ","); got != "do,already,warn and do,optional,panics,required" {
		t.Errorf("applied: %s", got)
	}
	if report.Count(Warned) != 4 || report.Count(Done) != 1 || report.Count(Kept) != 2 {
		t.Errorf("counts are wrong: %+v", report)
	}
	if !strings.Contains(report.Results[7].Reason, "oops") {
		t.Errorf("the panic is not told: %q", report.Results[7].Reason)
	}
}

func TestApplyStops(t *testing.T) {
	var did []string
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(&SignalError{unix.SIGTERM})
	p := &Plan{}
	p.add(Step{Name: "a", Verdict: Do, Action: fakeAction{name: "a", did: &did}})
	if _, err := p.Apply(ctx, Hooks{}); ExitStatus(err) != 143 || len(did) != 0 {
		t.Errorf("after a signal: %v, applied %v", err, did)
	}
}

func TestPlanErr(t *testing.T) {
	p := &Plan{}
	if p.Err() != nil {
		t.Error("an empty plan has an error")
	}
	p.add(Step{Name: "a", Verdict: Warn, Note: "x"})
	if p.Err() != nil {
		t.Error("a warning is an error")
	}
	p.add(Step{Name: "b", Verdict: Refuse, Note: "y"})
	p.add(Step{Name: "c", Verdict: Refuse, Note: "z"})
	var refused *RefusedError
	if !errors.As(p.Err(), &refused) || len(refused.Reasons) != 2 {
		t.Errorf("%v", p.Err())
	}
	p.problem = &ExecError{Daemon: "d", Err: fs.ErrNotExist}
	if ExitStatus(p.Err()) != ExitNotFound {
		t.Errorf("%v", p.Err())
	}
}

func TestDebugWanted(t *testing.T) {
	for value, want := range map[string]bool{"": false, "true": true, "1": true, "false": false, "0": false, "please": true} {
		if got := DebugWanted(value); got != want {
			t.Errorf("DOCKER_LAUNCH_DEBUG=%q: %v, want %v", value, got, want)
		}
	}
}

func TestEnvironWith(t *testing.T) {
	got := environWith([]string{"A=1", "PATH=", "odd", "B=x=y", "PATHS=2"}, []Variable{{Name: "PATH", Value: "/bin"}})
	if strings.Join(got, "|") != "A=1|odd|B=x=y|PATHS=2|PATH=/bin" {
		t.Errorf("environment is %q", got)
	}
	if got := environWith([]string{"A=1", "A=2"}, nil); strings.Join(got, "|") != "A=1|A=2" {
		t.Errorf("nothing to set, and it became %q", got)
	}
}
