// Command init is PID 1 of the machine that TestMachine boots. Each boot tries one way out of it; a byte on the first disk
// counts the boots. What it finds it prints on the console, in lines that begin with INIT.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dockerlaunch/dockerlaunch/launch/host"
	"github.com/dockerlaunch/dockerlaunch/launch/machine"
	"github.com/dockerlaunch/dockerlaunch/launch/power"
	"github.com/dockerlaunch/dockerlaunch/modules"
)

const disk = "/dev/vda"

var signals = make(chan unix.Signal, 16)

func main() {
	if name := filepath.Base(os.Args[0]); power.IsApplet(name) {
		os.Exit(power.Applet(name, os.Args[1:], os.Stdout, os.Stderr))
	}
	caught := make(chan os.Signal, 16)
	for _, s := range power.Signals() {
		signal.Notify(caught, s)
	}
	go func() {
		for s := range caught {
			signals <- s.(unix.Signal)
		}
	}()
	for _, m := range [][2]string{{"proc", "/proc"}, {"sysfs", "/sys"}, {"devtmpfs", "/dev"}} {
		check(os.MkdirAll(m[1], 0o755))
		check(unix.Mount(m[0], m[1], m[0], 0, ""))
	}
	line, err := modules.ReadCommandLine()
	check(err)
	words := strings.Fields(line)
	log := console(words)

	load("virtio_pci", "virtio_blk")
	data, err := os.ReadFile("/proc/sys/kernel/panic")
	check(err)
	fatal := &power.Fatal{
		Machine: true, Panic: power.ParsePanic(words, string(data)), Signals: signals,
		Tell: func(text string) { check(log.Loud(machine.Emergency, text)) },
	}
	switch boot := count(); boot {
	case 0:
		say("boot", "log", "seed", "clock", "buttons and reboot")
		logged(log)
		seed()
		clock()
		asked(log, buttons())
	case 1:
		say("boot", "applet, panic")
		applet()
		go func() {
			defer fatal.Recover()
			panic("a mistake on purpose")
		}()
	case 2:
		say("boot", "watchdog")
		watchdog()
	case 3:
		say("boot", "halt")
		asked(log, power.Halt)
	default:
		say("boot", "power off")
		asked(log, power.PowerOff)
	}
	for {
		time.Sleep(time.Hour)
	}
}

func say(what string, text ...any) { fmt.Println(append([]any{"INIT", what + ":"}, text...)...) }

func check(err error) {
	if err != nil {
		say("error", err)
	}
}

// console begins without standard descriptors that lead anywhere.
func console(words []string) *machine.Log {
	null, err := unix.Open("/dev/null", unix.O_RDWR, 0)
	check(err)
	for fd := range 3 {
		check(unix.Dup2(null, fd))
	}
	facts := machine.Observe("")
	early, problems := machine.Early(machine.Options{Habitat: host.Machine, Words: words, DHCPHostname: "harbour.example.org"}, facts)
	var kept []string
	for range 2 {
		for _, s := range early {
			stood, err := s.Action.Apply(context.Background())
			check(err)
			if stood {
				kept = append(kept, s.Name)
			}
		}
	}
	say("facts", fmt.Sprintf("%+v", facts.Consoles), facts.ConsoleLevel, facts.DevKmsg, facts.Kmsg, facts.RTC, facts.Stdio)
	say("kept", strings.Join(kept, ", "), len(problems))
	name, err := os.Hostname()
	check(err)
	say("host name", name)
	for _, name := range []string{"vm/max_map_count", "kernel/ctrl-alt-del", "kernel/printk_devkmsg", "vm/swappiness"} {
		data, err := os.ReadFile("/proc/sys/" + name)
		check(err)
		say("sysctl", name, strings.TrimSpace(string(data)))
	}
	return facts.Log(words, true)
}

func load(names ...string) {
	line, err := modules.ReadCommandLine()
	check(err)
	index, err := modules.Open(modules.Options{CommandLine: line})
	check(err)
	var wants []modules.Want
	for _, name := range names {
		wants = append(wants, modules.Want{Names: []string{name}})
	}
	for _, r := range (&modules.Loader{Index: index}).Want(context.Background(), wants) {
		if r.Way == modules.Missing {
			check(errors.New(r.Warning()))
		}
	}
}

// count gives the number of boots before this one.
func count() int {
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if _, err := os.Stat(disk); err == nil {
			break
		}
	}
	f, err := os.OpenFile(disk, os.O_RDWR|os.O_SYNC, 0)
	check(err)
	defer f.Close()
	sector := make([]byte, 512)
	_, err = f.ReadAt(sector, 0)
	check(err)
	boot := int(sector[0])
	sector[0]++
	_, err = f.WriteAt(sector, 0)
	check(err)
	return boot
}

func logged(log *machine.Log) {
	check(log.Write(machine.Error, "marker of an error"))
	check(log.Write(machine.Warning, "marker of a warning: ü"))
	check(log.Write(machine.Info, "marker of an information"))
	for i := range 40 {
		check(log.Write(machine.Info, fmt.Sprintf("marker of many %d %s", i, strings.Repeat("ü", 600))))
	}
	check(log.Flush(context.Background()))
	text := kernelLog()
	say("in the log", strings.Count(text, ";dockerlaunch: marker of an error\n"), strings.Count(text, ";dockerlaunch: marker of a warning: "),
		strings.Count(text, ";dockerlaunch: marker of an information\n"), strings.Count(text, ";dockerlaunch: marker of many "))
}

// kernelLog is what is in the kernel's log by now, in the form of Documentation/ABI/testing/dev-kmsg.
func kernelLog() string {
	fd, err := unix.Open("/dev/kmsg", unix.O_RDONLY|unix.O_NONBLOCK, 0)
	check(err)
	defer unix.Close(fd)
	var all bytes.Buffer
	buf := make([]byte, 8192)
	for {
		n, err := unix.Read(fd, buf)
		switch err {
		case nil:
			all.Write(buf[:n])
		case unix.EPIPE: // overwritten meanwhile
		default:
			return all.String()
		}
	}
}

func seed() {
	s := machine.Seed{Path: "/state/random-seed"}
	err := s.Save(context.Background())
	kept, applyErr := s.Apply(context.Background())
	say("without a seed", machine.EntropyReady(), errors.Is(err, machine.ErrNoEntropy), kept, applyErr)
	check(os.MkdirAll("/state", 0o700))
	old := bytes.Repeat([]byte("seed"), 8)
	check(os.WriteFile(s.Path, old, 0o644))
	_, err = s.Apply(context.Background())
	say("with one that all can read", machine.EntropyReady(), errors.Is(err, machine.ErrSeedExposed))
	_, err = s.Apply(context.Background())
	now, readErr := os.ReadFile(s.Path)
	check(readErr)
	say("with a good one", machine.EntropyReady(), err, len(now), bytes.Equal(old, now))
	say("crng", strings.Contains(kernelLog(), "crng init done"))
}

func clock() {
	say("clock at first", time.Now().UTC().Year())
	c := machine.Clock{File: "/state/clock"}
	for _, saved := range []time.Time{{}, time.Date(2027, 3, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)} {
		if !saved.IsZero() {
			check(c.Save(context.Background()))
			check(os.Chtimes(c.File, saved, saved))
		}
		kept, err := c.Apply(context.Background())
		check(err)
		say("clock", time.Now().UTC().Format("2006-01"), kept)
	}
	check(c.Save(context.Background()))
	st, err := os.Stat(c.File)
	check(err)
	say("saved", st.ModTime().UTC().Format("2006-01"))
}

// buttons waits for the power button, which comes after the watch on it, and then for Ctrl-Alt-Del.
func buttons() power.Action {
	ctx, cancel := context.WithCancel(context.Background())
	pressed := make(chan power.Action, 4)
	ended := make(chan error, 1)
	go func() { ended <- power.WatchButtons(ctx, "", func(a power.Action) { pressed <- a }) }()
	time.Sleep(200 * time.Millisecond) // so that it finds no folder at first; either way it has to work
	load("button", "evdev")
	for deadline := time.Now().Add(time.Minute); !watched("Power Button") && time.Now().Before(deadline); {
		time.Sleep(20 * time.Millisecond)
	}
	say("ready", "for the power button")
	say("button", <-pressed)
	select {
	case a := <-pressed:
		check(fmt.Errorf("pressed once, and %s again", a))
	case <-time.After(300 * time.Millisecond):
	}
	cancel()
	check(<-ended)
	say("ready", "for Ctrl-Alt-Del")
	s := <-signals
	action, ok := power.Request(s)
	say("Ctrl-Alt-Del", s, action, ok)
	return action
}

// watched tells whether this process holds the input device of the name open: what is pressed before is nobody's.
func watched(name string) bool {
	names, err := filepath.Glob("/sys/class/input/event*/device/name")
	check(err)
	for _, file := range names {
		text, err := os.ReadFile(file)
		check(err)
		device := "/dev/input/" + filepath.Base(filepath.Dir(filepath.Dir(file)))
		links, err := filepath.Glob("/proc/self/fd/*")
		check(err)
		for _, link := range links {
			if goal, err := os.Readlink(link); err == nil && goal == device && strings.TrimSpace(string(text)) == name {
				return true
			}
		}
	}
	return false
}

func applet() {
	self, err := os.Readlink("/proc/self/exe")
	check(err)
	for _, name := range []string{"reboot", "poweroff", "halt"} {
		pid, err := syscall.ForkExec(self, []string{name}, &syscall.ProcAttr{Files: []uintptr{0, 1, 2}})
		check(err)
		var status unix.WaitStatus
		_, err = unix.Wait4(pid, &status, 0, nil)
		check(err)
		action, ok := power.Request(<-signals)
		say("applet", name, status.ExitStatus(), action, ok)
	}
}

// watchdog feeds one for longer than it waits, and then no more.
func watchdog() {
	load("softdog")
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if _, err := os.Stat("/dev/watchdog"); err == nil {
			break
		}
	}
	// Once closed in order, it lets the machine live.
	w, err := machine.OpenWatchdog("/dev/watchdog", time.Second)
	check(err)
	check(w.Close())
	time.Sleep(2 * time.Second)
	w, err = machine.OpenWatchdog("/dev/watchdog", 3*time.Second)
	check(err)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	w.Run(ctx, check)
	say("watchdog", w.Timeout(), "fed no more")
}

func asked(log *machine.Log, a power.Action) {
	begin := time.Now()
	check(power.Shutdown(context.Background(), power.Steps{
		Action: a, Machine: true,
		Save: func(context.Context) error { say("save", time.Since(begin) < time.Minute); return nil },
		Tell: func(problem bool, text string) {
			if problem {
				check(errors.New(text))
			}
			check(log.Write(machine.Warning, text))
		},
	}))
}
