package limits

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/dockerlaunch/dockerlaunch/internal/testenv"
	"github.com/dockerlaunch/dockerlaunch/launch/host"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func TestPlan(t *testing.T) {
	const inf = host.Infinity
	both := func(n uint64) host.Limit { return host.Limit{Soft: n, Hard: n} }
	for name, c := range map[string]struct {
		now      host.Limits
		mayRaise bool
		want     Set
		short    string
	}{
		"may raise": {
			now:      host.Limits{NoFile: host.Limit{Soft: 1024, Hard: 4096}, NProc: both(100), Core: host.Limit{Hard: inf}, NROpen: 1 << 20},
			mayRaise: true,
			want:     Set{NoFile: both(1048576), NProc: both(inf), Core: both(inf)},
		},
		"may not raise": {
			now:   host.Limits{NoFile: host.Limit{Soft: 1024, Hard: 20000}, NProc: both(100), Core: both(inf), NROpen: 1 << 20},
			want:  Set{NoFile: both(20000), NProc: both(100), Core: both(inf)},
			short: "nofile stays at 20000 instead of 1048576, nproc stays at 100 instead of infinity",
		},
		"a higher hard limit is not taken away": {
			now:  host.Limits{NoFile: host.Limit{Soft: 1024, Hard: 1 << 30}, NProc: both(inf), Core: both(inf), NROpen: 1 << 30},
			want: Set{NoFile: host.Limit{Soft: 1048576, Hard: 1 << 30}, NProc: both(inf), Core: both(inf)},
		},
		"the kernel's ceiling": {
			now:      host.Limits{NoFile: both(1024), NProc: both(inf), Core: both(inf), NROpen: 65536},
			mayRaise: true,
			want:     Set{NoFile: both(65536), NProc: both(inf), Core: both(inf)},
			short:    "nofile is bound by fs.nr_open to 65536",
		},
		"no /proc": {
			now:      host.Limits{NoFile: both(1024), NProc: both(inf), Core: both(inf)},
			mayRaise: true,
			want:     Set{NoFile: both(1048576), NProc: both(inf), Core: both(inf)},
		},
	} {
		t.Run(name, func(t *testing.T) {
			set, short := Plan(c.now, c.mayRaise)
			if diff := cmp.Diff(c.want, set); diff != "" {
				t.Errorf("set (-want +got):\n%s", diff)
			}
			if short != c.short {
				t.Errorf("short is %q, want %q", short, c.short)
			}
		})
	}
}

// helperVar makes the test binary set limits and become another program, as the launcher does.
const helperVar = "LIMITS_TEST_EXEC"

func TestMain(m *testing.M) {
	if os.Getenv(helperVar) == "" {
		os.Exit(m.Run())
	}
	if os.Getenv(helperVar) == "score" {
		becomeScored()
	}
	set := Set{NoFile: host.Limit{Soft: 512, Hard: 700}, NProc: host.Limit{Soft: 300, Hard: 400}, Core: host.Limit{Soft: 0, Hard: 0}}
	if _, err := set.Apply(context.Background()); err != nil {
		panic(err)
	}
	panic(syscall.Exec("/bin/cat", []string{"cat", "/proc/self/limits"}, nil))
}

// becomeScored starts from a score above the one that is set: a lower one is always kept.
func becomeScored() {
	if err := os.WriteFile(oomFile, []byte("1000"), 0); err != nil {
		panic(err)
	}
	for i, want := range []bool{false, true} {
		if kept, err := (OOMScore{Adj: 999}).Apply(context.Background()); err != nil || kept != want {
			panic(fmt.Sprintf("Apply %d: kept %v, %v", i, kept, err))
		}
	}
	panic(syscall.Exec("/bin/cat", []string{"cat", oomFile}, nil))
}

// The limits must hold in the program that comes after exec: the Go runtime puts nofile back there unless told otherwise.
// Root is needed for nothing here, and lowering is what every user may do.
func TestLimitsOutliveExec(t *testing.T) {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), helperVar+"=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	text := strings.Join(strings.Fields(string(out)), " ")
	for _, line := range []string{"Max open files 512 700 files", "Max processes 300 400 processes", "Max core file size 0 0 bytes"} {
		if !strings.Contains(text, line) {
			t.Errorf("no %q in:\n%s", line, out)
		}
	}
}

func TestOOMScore(t *testing.T) {
	// Every process may raise its score and take that back; the child does, so that this process keeps its own.
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), helperVar+"=score")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if got := strings.TrimSpace(string(out)); got != "999" {
		t.Errorf("after raising, keeping and exec the score is %s, want 999", got)
	}
}

func TestSetReportsEveryRefusal(t *testing.T) {
	testenv.NeedRoot(t)
	var now unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_CORE, &now); err != nil {
		t.Fatal(err)
	}
	same := host.Limit{Soft: now.Cur, Hard: now.Max}
	// Above fs.nr_open nobody may go, so that this is refused with every capability too (setrlimit(2)).
	_, err := Set{NoFile: host.Limit{Soft: 1 << 40, Hard: 1 << 40}, NProc: host.Limit{Soft: 2, Hard: 1}, Core: same}.Apply(context.Background())
	if err == nil || !strings.Contains(err.Error(), "nofile") || !strings.Contains(err.Error(), "nproc") {
		t.Errorf("the error names not both limits that were refused: %v", err)
	}
}
