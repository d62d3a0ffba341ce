package pidone

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// startFirst starts a program before all signals are caught, and in a hurry before some of those that would end it.
func startFirst(hurry bool) int {
	i, err := Start(Options{Later: true, Hurry: hurry})
	if err != nil {
		return complain(err)
	}
	arrives := func(s unix.Signal) error {
		if err := unix.Kill(os.Getpid(), s); err != nil {
			return err
		}
		select {
		case got := <-i.Signals():
			if got == s {
				return nil
			}
			return fmt.Errorf("%s arrives in place of %s", SignalName(got), SignalName(s))
		case <-time.After(patience):
			return fmt.Errorf("%s does not arrive", SignalName(s))
		}
	}
	p, err := i.Spawn(Command{Path: "/bin/true"})
	if err != nil {
		return complain(err)
	}
	<-p.Done()
	early := []unix.Signal{unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM}
	if !hurry {
		early = append(early, unix.SIGABRT)
	}
	for _, s := range early {
		if err := arrives(s); err != nil {
			return complain(fmt.Errorf("before CatchAll: %w", err))
		}
	}
	select {
	case <-i.allCaught:
		return complain(fmt.Errorf("all signals are caught already"))
	default:
	}
	i.CatchAll()
	i.CatchAll()
	<-i.allCaught
	for _, s := range []unix.Signal{unix.SIGUSR1, unix.SIGTERM, unix.SIGUSR2, unix.SIGABRT, unix.SIGSYS, 64} {
		if err := arrives(s); err != nil {
			return complain(err)
		}
	}
	return 0
}

func TestSignalsAreCaughtLater(t *testing.T) {
	for _, first := range []string{"dreaded", "hurry"} {
		if out, err := program(t, "start-first", first).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", first, err, out)
		}
	}
}

// spawnWhileCollecting starts programs while the collector runs and memory is given out again at once: what a child needs
// until it executes its program must not be among that.
func spawnWhileCollecting() int {
	i, err := Start(Options{})
	if err != nil {
		return complain(err)
	}
	stop := make(chan struct{})
	for range 2 {
		go func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				var rubbish [][]byte
				for n := range 64 {
					rubbish = append(rubbish, []byte(strings.Repeat("x", 64<<(n%8))))
				}
				runtime.GC()
				runtime.KeepAlive(rubbish)
			}
		}()
	}
	for n := range 300 {
		word := fmt.Sprint(n)
		c := Command{Path: "/bin/sh", Args: []string{"sh", "-c", `test "$1$WORD" = "$1$1"`, "sh", word}, Env: []string{"WORD=" + word}}
		if n%2 == 1 { // with a copy of the memory
			score := 500
			c.OOMScoreAdj = &score
		}
		p, err := i.Spawn(c)
		if err != nil {
			return complain(err)
		}
		<-p.Done()
		if code := p.Status().ExitCode(); code != 0 {
			return complain(fmt.Errorf("program %d: %v", n, p.Status()))
		}
	}
	close(stop)
	if own, err := os.ReadFile("/proc/self/oom_score_adj"); err != nil || strings.TrimSpace(string(own)) == "500" {
		return complain(fmt.Errorf("this process's score is %q, %v", own, err))
	}
	return 0
}

func TestSpawnWhileCollecting(t *testing.T) {
	if out, err := program(t, "spawn-while-collecting").CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
