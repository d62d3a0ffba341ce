// Command recorder is what the containers of the power cuts run.
//
//	recorder record DIR ADDRESS   keep a log in DIR, and tell everybody who connects what of it is safe
//	recorder sum FILE WANT        see whether that is the SHA-256 of a file
package main

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/dockerlaunch/dockerlaunch/internal/soak"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "recorder:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 3 && args[0] == "record":
		return record(args[1], args[2])
	case len(args) == 3 && args[0] == "sum":
		data, err := os.ReadFile(args[1])
		if err != nil {
			return err
		}
		if got := fmt.Sprintf("%x", sha256.Sum256(data)); got != args[2] {
			return fmt.Errorf("the %d bytes of %s have the sum %s, and should have %s", len(data), args[1], got, args[2])
		}
		return nil
	}
	return errors.New("usage: recorder record DIR ADDRESS | sum FILE WANT")
}

// record writes as fast as it can for as long as somebody listens. Each connection begins with what was found at the start,
//
//	found WHOLE TORN MARK
//
// and goes on with the numbers of safe records, one a line. A line "sync" from there is answered with "synced" when all
// that was written before is safe.
func record(dir, address string) error {
	mark, err := readMark(dir)
	if err != nil {
		return err
	}
	log, found, err := soak.Open(filepath.Join(dir, "log"))
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	var appending sync.Mutex
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer conn.Close()
			// What fails here is that the connection has ended, or that the disk has: the one is heard at its other end,
			// and of the other nothing more is said to be safe.
			var saying sync.Mutex
			say := func(format string, args ...any) error {
				saying.Lock()
				defer saying.Unlock()
				_, err := fmt.Fprintf(conn, format+"\n", args...)
				return err
			}
			if say("found %d %d %d", found.Whole, found.Torn, mark) != nil {
				return
			}
			go func() {
				for lines := bufio.NewScanner(conn); lines.Scan(); {
					syscall.Sync()
					if say("synced") != nil {
						return
					}
				}
			}()
			for {
				appending.Lock()
				number, err := log.Append()
				if err == nil && number%8 == 0 {
					err = writeMark(dir, number)
				}
				appending.Unlock()
				if err != nil || say("%d", number) != nil {
					return
				}
			}
		}()
	}
}

// writeMark replaces a small file as programs do that want its old or its new content, and never less: dockerd among them.
func writeMark(dir string, number uint64) error {
	temporary := filepath.Join(dir, "mark.new")
	f, err := os.Create(temporary)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(f, number)
	if err := errors.Join(err, f.Sync(), f.Close(), os.Rename(temporary, filepath.Join(dir, "mark"))); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func readMark(dir string) (uint64, error) {
	data, err := os.ReadFile(filepath.Join(dir, "mark"))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	} else if err != nil {
		return 0, err
	}
	return strconv.ParseUint(strings.TrimSpace(string(data)), 10, 64)
}
