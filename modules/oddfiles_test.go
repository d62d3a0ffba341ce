package modules

import (
	"bytes"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// oddKinds are what may stand in the place of a file that is read.
var oddKinds = []string{"fifo", "zero", "folder", "socket", "terminal", "large"}

// odd puts something of a kind in the place of a file, and tells the error of reading it.
func odd(t testing.TB, path, kind string) error {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.RemoveAll(path)); err != nil {
		t.Fatal(err)
	}
	var err error
	want := ErrNotRegular
	switch kind {
	case "fifo":
		err = unix.Mkfifo(path, 0o600)
	case "zero":
		err = os.Symlink("/dev/zero", path)
	case "folder":
		err = os.Mkdir(path, 0o700)
	case "terminal":
		err = os.Symlink("/dev/ptmx", path)
	case "socket":
		want = unix.ENXIO
		var l *net.UnixListener
		if l, err = net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"}); err == nil {
			t.Cleanup(func() { l.Close() })
		}
	case "large":
		want = unix.EFBIG
		if err = os.WriteFile(path, nil, 0o600); err == nil {
			err = os.Truncate(path, maxText+1)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return want
}

// What stands in the place of an index ends in an error that names it, soon and in little memory.
func TestOddIndexFiles(t *testing.T) {
	for _, name := range []string{"modules.dep", "modules.dep.bin", "modules.builtin", "modules.softdep", "modules.alias", "modules.alias.bin",
		"modules.symbols", "modules.builtin.modinfo", "modules.order", "modules.devname"} {
		for _, kind := range oddKinds {
			root := t.TempDir()
			dir := filepath.Join(root, "lib/modules/1")
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			if name == "modules.order" {
				writeFile(t, dir+"/a.ko", "text")
			} else {
				writeFile(t, dir+"/modules.dep", "a.ko:\n")
			}
			path := filepath.Join(dir, name)
			want := odd(t, path, kind)
			if kind == "large" && strings.HasSuffix(name, ".bin") {
				want = nil // a trie is read where it is asked for, and one that is none gives way to the text
			}
			var err error
			inTime(t, func() {
				var x *Index
				if x, err = Open(Options{Root: root, Release: "1", ConfigDirs: []string{}}); err != nil {
					return
				}
				_, one := x.Lookup("symbol:x")
				_, other := x.Lookup("x")
				_, nodes := x.DeviceNodes()
				err = errors.Join(one, other, nodes)
			})
			var which *fs.PathError
			if !errors.Is(err, want) || want != nil && (!errors.As(err, &which) || which.Path != path) {
				t.Errorf("%s as %s: %v", name, kind, err)
			}
		}
	}
}

// The same for modules.
func TestOddModules(t *testing.T) {
	for _, kind := range oddKinds {
		path := filepath.Join(t.TempDir(), "a.ko")
		want := odd(t, path, kind)
		var loaded, read error
		inTime(t, func() {
			loaded = LoadFile(path, "")
			_, read = ReadInfo(path)
		})
		if kind == "large" {
			want = ErrNotModule
			loaded = want // it is the kernel that refuses zeros
		}
		if !errors.Is(loaded, want) || !errors.Is(read, want) {
			t.Errorf("%s: %v, %v", kind, loaded, read)
		}
	}
}

// Whatever files hold and whatever they are, the index comes to an answer.
func FuzzFiles(f *testing.F) {
	names := []string{"modules.dep", "modules.dep.bin", "modules.alias", "modules.alias.bin", "modules.builtin", "modules.builtin.modinfo",
		"modules.softdep", "modules.symbols", "modules.order", "a.ko", "x.conf"}
	f.Add(uint8(0), uint8(0), []byte("a.ko: b.ko\nb.ko: a.ko\n"), uint8(2), uint8(0), []byte("alias x* a\n"))
	f.Add(uint8(10), uint8(1), []byte("alias x a\\\n"), uint8(9), uint8(0), []byte("\x7fELF"))
	f.Add(uint8(1), uint8(0), []byte("\xb0\x07\xf4\x57\x00\x02\x00\x01\xa0\x00\x00\x0c\x00"), uint8(3), uint8(3), []byte{})
	f.Fuzz(func(t *testing.T, name1, kind1 uint8, data1 []byte, name2, kind2 uint8, data2 []byte) {
		root := t.TempDir()
		dir := filepath.Join(root, "lib/modules/1")
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		put := func(name, kind uint8, data []byte) {
			path := filepath.Join(dir, names[int(name)%len(names)])
			if n := int(kind) % (len(oddKinds) + 1); n > 0 {
				odd(t, path, oddKinds[n-1])
				return
			}
			if err := errors.Join(os.RemoveAll(path), os.WriteFile(path, data, 0o600)); err != nil {
				t.Fatal(err)
			}
		}
		put(name1, kind1, data1)
		put(name2, kind2, data2)
		inTime(t, func() {
			var out bytes.Buffer
			flags := []string{"-d", root, "-S", "1", "-C", dir, "-a", "-D", "a", "b", "x", "symbol:x"}
			if status := Modprobe(flags, "", &out, &out); status != 0 && out.Len() == 0 {
				t.Error("it fails and says nothing")
			}
		})
	})
}
