// Command rootmove is PID 1 of a machine that was booted from an initramfs. It fills the root, moves it or switches to another
// in the way its argument says, and tells on the console what came of it, in lines that begin with "ROOT ".
package main

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dockerlaunch/dockerlaunch/mounts"
)

func main() {
	stage, way := "first", ""
	for _, arg := range os.Args[1:] {
		if name, ok := strings.CutPrefix(arg, "way="); ok {
			way = name
		}
		if arg == "second" {
			stage = arg
		}
	}
	err := errors.New("no such way: " + way)
	switch {
	case stage == "second":
		err = second(way)
	case way == "switch":
		err = switchRoot()
	case way == "copy" || way == "bind":
		err = move(way)
	}
	if err != nil {
		say("error: %v", err)
	}
	say("end")
	unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
}

func say(format string, args ...any) { fmt.Printf("ROOT "+format+"\n", args...) }

func mountBasics() error {
	for _, m := range []struct{ fstype, target string }{{"proc", "/proc"}, {"sysfs", "/sys"}, {"devtmpfs", "/dev"}, {"tmpfs", "/run"}} {
		if err := os.MkdirAll(m.target, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(m.fstype, m.target, m.fstype, 0, ""); err != nil {
			return err
		}
	}
	return os.WriteFile("/run/mark", []byte("run"), 0o644)
}

// fill makes one of everything, and 240 MB in large files.
func fill() error {
	piece := make([]byte, 1<<20)
	for i := range piece {
		piece[i] = byte(i*7 + i>>8)
	}
	for n := range 3 {
		f, err := os.Create("/big" + strconv.Itoa(n))
		if err != nil {
			return err
		}
		for i := range 80 {
			piece[0], piece[1] = byte(n), byte(i)
			if _, err := f.Write(piece); err != nil {
				return err
			}
		}
		if err := f.Close(); err != nil {
			return err
		}
	}
	if err := os.MkdirAll("/data/deep/er", 0o751); err != nil {
		return err
	}
	for i := range 2000 {
		if err := os.WriteFile(fmt.Sprintf("/data/deep/f%d", i), piece[:i*5], 0o640); err != nil {
			return err
		}
	}
	sparse, err := os.Create("/data/sparse")
	if err != nil {
		return err
	}
	_, err1 := sparse.WriteAt([]byte("middle"), 300<<20)
	err2 := sparse.Truncate(1 << 30)
	when := []unix.Timespec{{Sec: 1000000001, Nsec: 5}, {Sec: 1000000002, Nsec: 7}}
	return errors.Join(err1, err2, sparse.Close(),
		os.Link("/data/deep/f5", "/data/hard"), os.Symlink("/nowhere at all", "/data/link"), os.Lchown("/data/link", 5, 6),
		unix.Mkfifo("/data/fifo", 0o600), unix.Mknod("/data/node", unix.S_IFBLK|0o660, int(unix.Mkdev(7, 200))),
		os.Chown("/data/deep/f9", 1000, 1001), os.Chmod("/data/deep/f9", 0o755|fs.ModeSetuid),
		// The capabilities of a file, version 2: cap_net_raw, effective. See capabilities(7).
		unix.Setxattr("/data/deep/f10", "security.capability",
			[]byte{1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 0),
		unix.Setxattr("/data", "trusted.x", []byte("folder"), 0),
		os.WriteFile("/dev/hidden-below", nil, 0o600), // on the devtmpfs, not in the root
		os.Chmod("/data", 0o1777), unix.UtimesNanoAt(unix.AT_FDCWD, "/data/deep", when, 0),
		unix.UtimesNanoAt(unix.AT_FDCWD, "/data/link", when, unix.AT_SYMLINK_NOFOLLOW))
}

// manifest describes every file on the root filesystem.
func manifest() ([]string, error) {
	var list []string
	var root unix.Stat_t
	if err := unix.Stat("/", &root); err != nil {
		return nil, err
	}
	err := filepath.WalkDir("/", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return err
		}
		if st.Dev != root.Dev {
			return fs.SkipDir
		}
		line := fmt.Sprintf("%s %o %d:%d %d", path, st.Mode, st.Uid, st.Gid, st.Rdev)
		if !d.IsDir() {
			line += fmt.Sprintf(" nlink %d size %d", st.Nlink, st.Size)
		}
		if path != "/" && path != "/data" { // the test's own deeds change these
			line += fmt.Sprintf(" mtime %d.%d", st.Mtim.Sec, st.Mtim.Nsec)
		}
		if d.Type().IsRegular() {
			f, err := os.Open(path)
			if err != nil {
				return err
			}
			sum := crc32.NewIEEE()
			if _, err := io.Copy(sum, io.LimitReader(f, 400<<20)); err != nil {
				return err
			}
			f.Close()
			line += fmt.Sprintf(" crc %08x", sum.Sum32())
			if path == "/data/sparse" {
				line += fmt.Sprintf(" sparse %v", st.Blocks < 1<<10)
			}
		}
		if d.Type()&fs.ModeSymlink != 0 {
			goal, err := os.Readlink(path)
			if err != nil {
				return err
			}
			line += " -> " + goal
		}
		names := make([]byte, 4096)
		if n, err := unix.Llistxattr(path, names); err == nil {
			for name := range strings.SplitSeq(strings.Trim(string(names[:n]), "\x00"), "\x00") {
				value := make([]byte, 4096)
				if n, err := unix.Lgetxattr(path, name, value); name != "" && err == nil {
					line += fmt.Sprintf(" %s=%x", name, value[:n])
				}
			}
		}
		list = append(list, line)
		return nil
	})
	return list, err
}

func available(meminfo *os.File) int {
	text := make([]byte, 4096)
	n, err := meminfo.ReadAt(text, 0)
	if err != nil && err != io.EOF {
		return -1
	}
	for line := range strings.Lines(string(text[:n])) {
		if rest, ok := strings.CutPrefix(line, "MemAvailable:"); ok {
			kb, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(rest), " kB"))
			if err != nil {
				return -1
			}
			return kb
		}
	}
	return -1
}

func move(way string) error {
	if err := mountBasics(); err != nil {
		return err
	}
	if err := fill(); err != nil {
		return err
	}
	before, err := manifest()
	if err != nil {
		return err
	}
	say("pivot before: %v", pivot())
	meminfo, err := os.Open("/proc/meminfo")
	if err != nil {
		return err
	}
	info, err := mounts.Read()
	if err != nil {
		return err
	}
	say("needed before: %v", mounts.RootMove{}.Needed(info))
	start := available(meminfo)
	lowest, stop, stopped := start, make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			lowest = min(lowest, available(meminfo))
			select {
			case <-stop:
				return
			case <-time.After(2 * time.Millisecond):
			}
		}
	}()
	report, err := mounts.RootMove{InPlace: way == "bind"}.Move(context.Background())
	close(stop)
	<-stopped
	if err != nil {
		return err
	}
	say("report: files %d folders %d bytes %d MiB limit %d MiB took %v moved %v dropped %v lost %q", report.Files, report.Folders,
		report.Bytes>>20, report.Limit>>20, report.Took.Round(time.Millisecond), report.Moved, report.Dropped, report.Lost)
	say("memory: %d KiB available before, peak %d KiB more, afterwards %d KiB more", start, start-lowest, start-available(meminfo))
	after, err := manifest()
	if err != nil {
		return err
	}
	say("manifest: %d lines, same %v", len(after), slices.Equal(before, after))
	for _, line := range before {
		if !slices.Contains(after, line) {
			say("was: %s", line)
		}
	}
	for _, line := range after {
		if !slices.Contains(before, line) {
			say("is:  %s", line)
		}
	}
	return unix.Exec("/proc/self/exe", []string{"/init", "second", "way=" + way}, os.Environ())
}

func second(way string) error {
	info, err := mounts.Read()
	if err != nil {
		return err
	}
	root, _ := info.At("/")
	say("root: %s, needed after: %v", root.FSType, mounts.RootMove{}.Needed(info))
	kept, err := mounts.RootMove{}.Apply(context.Background())
	say("again: kept %v, %v", kept, err)
	mark, err := os.ReadFile("/run/mark")
	say("run: %s, %v", mark, err)
	meminfo, err := os.Open("/proc/meminfo")
	if err != nil {
		return err
	}
	say("memory: %d KiB available after exec", available(meminfo))
	say("pivot after: %v", pivot())
	return nil
}

// pivot does what a container's start does. It is done in a mount namespace of a thread that ends.
func pivot() error {
	result := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		result <- func() error {
			if err := unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_FS); err != nil {
				return err
			}
			if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
				return err
			}
			if err := os.MkdirAll("/run/pivot", 0o755); err != nil {
				return err
			}
			if err := unix.Mount("tmpfs", "/run/pivot", "tmpfs", 0, ""); err != nil {
				return err
			}
			if err := os.Mkdir("/run/pivot/old", 0o755); err != nil {
				return err
			}
			if err := unix.PivotRoot("/run/pivot", "/run/pivot/old"); err != nil {
				return fmt.Errorf("pivot_root: %w", err)
			}
			return nil
		}()
	}()
	return <-result
}

func switchRoot() error {
	if err := mountBasics(); err != nil {
		return err
	}
	if err := fill(); err != nil {
		return err
	}
	if err := errors.Join(os.Mkdir("/newroot", 0o755), os.Mkdir("/odd", 0o755), os.Mkdir("/held", 0o755)); err != nil {
		return err
	}
	for _, target := range []string{"/newroot", "/odd/", "/held"} {
		if err := unix.Mount("tmpfs", target, "tmpfs", 0, ""); err != nil {
			return err
		}
	}
	if err := os.WriteFile("/held/file", []byte("held"), 0o644); err != nil {
		return err
	}
	for _, name := range []string{"proc", "sys", "dev", "usr/run"} {
		if err := os.MkdirAll("/newroot/"+name, 0o755); err != nil {
			return err
		}
	}
	// /run is a link that would lead out of the new root, were it followed from the old one. /held is a file there.
	if err := errors.Join(os.Symlink("/usr/run", "/newroot/run"), os.WriteFile("/newroot/held", nil, 0o600)); err != nil {
		return err
	}
	bin, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		return err
	}
	if err := os.WriteFile("/newroot/init", bin, 0o755); err != nil {
		return err
	}
	for _, s := range []mounts.RootSwitch{{NewRoot: "/data"}, {NewRoot: "/newroot", Init: "/sbin/init"}, {NewRoot: "/newroot", Init: "/proc"}} {
		_, err := s.Switch(context.Background())
		say("refused: %v", err)
	}
	held, err := os.Open("/held/file")
	if err != nil {
		return err
	}
	meminfo, err := os.Open("/proc/meminfo")
	if err != nil {
		return err
	}
	start := available(meminfo)
	report, err := mounts.RootSwitch{NewRoot: "/newroot", Init: "/init"}.Switch(context.Background())
	if err != nil {
		return err
	}
	say("switched: moved %v dropped %q deleted %d kept %q", report.Moved, report.Dropped, report.Deleted, report.Kept)
	say("memory: %d KiB freed", available(meminfo)-start)
	text, err := io.ReadAll(held)
	say("held: %s, %v", text, err)
	return unix.Exec("/init", []string{"/init", "second", "way=switch"}, os.Environ())
}
