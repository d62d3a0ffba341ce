package pidone

import (
	"os"
	"sync"
	"syscall"
	"testing"
)

// The two benchmarks compare Spawn with what os/exec uses; both include the program's start and end.
// They run one by one (-bench Spawn, -bench ForkExec): once started, the reaper takes the children of the second, too.

var startOnce = sync.OnceValues(func() (*Init, error) { return Start(Options{}) })

func BenchmarkSpawn(b *testing.B) {
	i, err := startOnce()
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		p, err := i.Spawn(Command{Path: "/bin/true"})
		if err != nil {
			b.Fatal(err)
		}
		<-p.Done()
	}
}

func BenchmarkForkExec(b *testing.B) {
	for b.Loop() {
		p, err := os.StartProcess("/bin/true", []string{"true"}, &os.ProcAttr{Sys: &syscall.SysProcAttr{}})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := p.Wait(); err != nil {
			b.Fatal(err)
		}
	}
}
