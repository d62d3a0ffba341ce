package launch

import (
	"runtime"

	"github.com/dockerlaunch/dockerlaunch/launch/files"
	"github.com/dockerlaunch/dockerlaunch/launch/host"
	"github.com/dockerlaunch/dockerlaunch/launch/kconfig"
)

// ahead is what is done beside all that comes before the plan, because it takes as long: the running kernel's configuration is
// unpacked, and the files that a plan for a container may want are brought to the disk.
type ahead struct {
	read   chan struct{}
	kernel *kconfig.Config
	drafts *files.Drafts
}

// spread has one goroutine more run at once than a small machine has processors for. One that has waited for the disk goes on only
// when fewer run, and would wait again, for those to end that compute.
func spread() {
	if runtime.NumCPU() < 3 {
		runtime.GOMAXPROCS(3)
	}
}

// goAhead begins. What fails is left to the steps that want it: they tell of it, also of a mistake.
func goAhead() *ahead {
	a := &ahead{read: make(chan struct{}), drafts: files.NewDrafts()}
	go func() {
		defer func() { _ = recover() }()
		var list []files.File
		if host.Where() == host.Container { // elsewhere the root may not be the last one, or is somebody else's
			list = files.Expected(nil)
		}
		a.drafts.Make(list)
	}()
	// Behind the files: while they wait for the disk, this computes.
	go func() {
		defer close(a.read)
		defer func() { _ = recover() }()
		if c, err := kconfig.ReadRunning(); err == nil {
			a.kernel = c
		}
	}()
	return a
}

// config waits for what kconfig.Running says; nil where that could not be read, as before /proc is mounted.
func (a *ahead) config() *kconfig.Config {
	<-a.read
	return a.kernel
}

// end removes what no step wanted.
func (a *ahead) end() { a.drafts.Drop(laneGrace) }
