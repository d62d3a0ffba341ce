package launch

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dockerlaunch/dockerlaunch/launch/host"
)

// stuckAction waits for what does not come, whatever its context says.
type stuckAction struct{ until <-chan struct{} }

func (a stuckAction) String() string { return "wait" }

func (a stuckAction) Apply(context.Context) (bool, error) {
	<-a.until
	return false, nil
}

// TestApplyEnds: a request to end is obeyed although a step of another lane waits for good, or a required step has failed beside it.
func TestApplyEnds(t *testing.T) {
	asked := errors.New("asked for")
	for _, c := range []struct {
		name string
		// fails is a required step that is refused, in place of a request.
		fails bool
		lane  Lane
	}{
		{"a request", false, LaneCertificates}, {"a failure", true, LaneCertificates},
		{"a request while a module is loaded", false, LaneModules}, {"a failure while a module is loaded", true, LaneModules},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				until := make(chan struct{})
				p := &Plan{Habitat: host.Machine, lane: c.lane}
				p.add(Step{Name: "stuck", Required: true, Verdict: Do, Action: stuckAction{until}})
				p.lane = LaneKernel // which waits for the lane of the caller
				p.add(Step{Name: "behind", Verdict: Keep})
				p.lane = LaneContainerd // which is the caller's too
				p.add(Step{Name: "last", Verdict: Keep})
				p.lane = LaneSystem
				if c.fails {
					p.add(Step{Name: "fails", Required: true, Verdict: Refuse, Note: "no"})
				}
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				defer time.AfterFunc(time.Minute, func() { cancel(asked) }).Stop()
				defer time.AfterFunc(time.Hour, func() { close(until) }).Stop()
				began := time.Now()
				_, err := p.Apply(ctx, Hooks{})
				var failed *StepError
				if took := time.Since(began); took > time.Minute+laneGrace {
					t.Errorf("it ended after %v", took)
				}
				if c.fails != errors.As(err, &failed) || !c.fails && !errors.Is(err, asked) {
					t.Errorf("the error is %v", err)
				}
				select {
				case <-until:
				default:
					close(until) // or the step would wait after the end of the test
				}
			})
		})
	}
}

// TestLaneThatBreaks: a mistake outside of the steps' actions is an error, in whichever lane, and nobody waits for ever.
func TestLaneThatBreaks(t *testing.T) {
	for _, broken := range lanes {
		t.Run(string(broken.Name), func(t *testing.T) {
			p := &Plan{}
			for _, l := range lanes {
				p.lane = l.Name
				p.add(Step{Name: string(l.Name), Verdict: Keep})
			}
			_, err := p.Apply(t.Context(), Hooks{Observe: func(r Result) {
				if r.Lane == broken.Name {
					panic("x is broken")
				}
			}})
			if err == nil || !strings.Contains(err.Error(), "please report it: x is broken") || !strings.Contains(err.Error(), "TestLaneThatBreaks") {
				t.Errorf("it ends with: %v", err)
			}
		})
	}
}
