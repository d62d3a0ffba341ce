package rootfs

import (
	"bufio"
	"bytes"
	"debug/elf"
	"fmt"
	"io"
	"os"
	"strings"
)

// binary is what a file says about the others that it needs to run.
type binary struct {
	// interpreter is an ELF program's loader (PT_INTERP), or a script's shell (behind #!). It is an absolute path.
	interpreter string
	// needed are the sonames of the shared libraries (DT_NEEDED).
	needed []string
	// rpath and runpath are folders to search (DT_RPATH, DT_RUNPATH), unexpanded.
	rpath, runpath []string
	// elf says that class and machine are meant.
	elf     bool
	class   elf.Class
	machine elf.Machine
}

// readBinary reads a file's headers. A file that is neither ELF nor a script needs nothing.
func readBinary(file string) (binary, error) {
	f, err := os.Open(file)
	if err != nil {
		return binary{}, fmt.Errorf("reading headers: %w", err)
	}
	defer f.Close()
	b, err := parseBinary(f)
	if err != nil {
		return binary{}, fmt.Errorf("reading the headers of %s: %w", file, err)
	}
	return b, nil
}

// maxScript is how much of a script's first line the kernel reads; see BINPRM_BUF_SIZE in linux/binfmts.h.
const maxScript = 256

func parseBinary(r io.ReaderAt) (binary, error) {
	head := make([]byte, maxScript)
	n, err := r.ReadAt(head, 0)
	if err != nil && err != io.EOF {
		return binary{}, err
	}
	head = head[:n]
	if line, ok := bytes.CutPrefix(head, []byte("#!")); ok {
		first, err := bufio.NewReader(bytes.NewReader(line)).ReadString('\n')
		if err != nil && err != io.EOF {
			return binary{}, err
		}
		if fields := strings.Fields(first); len(fields) > 0 {
			return binary{interpreter: fields[0]}, nil
		}
		return binary{}, nil
	}
	if !bytes.HasPrefix(head, []byte(elf.ELFMAG)) {
		return binary{}, nil
	}
	f, err := elf.NewFile(r)
	if err != nil {
		return binary{}, err
	}
	b := binary{elf: true, class: f.Class, machine: f.Machine}
	for _, p := range f.Progs {
		if p.Type != elf.PT_INTERP {
			continue
		}
		if p.Filesz > 4096 { // PATH_MAX
			return binary{}, fmt.Errorf("the interpreter's path has %d bytes", p.Filesz)
		}
		raw, err := io.ReadAll(io.LimitReader(p.Open(), int64(p.Filesz)))
		if err != nil {
			return binary{}, fmt.Errorf("reading the interpreter's path: %w", err)
		}
		b.interpreter = strings.TrimRight(string(raw), "\x00")
	}
	// DynString gives nothing, without an error, for a file that is linked statically.
	for _, d := range []struct {
		tag  elf.DynTag
		into *[]string
		list bool
	}{{elf.DT_NEEDED, &b.needed, false}, {elf.DT_RPATH, &b.rpath, true}, {elf.DT_RUNPATH, &b.runpath, true}} {
		values, err := f.DynString(d.tag)
		if err != nil {
			return binary{}, fmt.Errorf("reading %s: %w", d.tag, err)
		}
		for _, v := range values {
			if d.list {
				*d.into = append(*d.into, strings.Split(v, ":")...)
			} else {
				*d.into = append(*d.into, v)
			}
		}
	}
	return b, nil
}

// triplets are the folders of /usr/lib that Debian's loader searches first, by machine. See https://wiki.debian.org/Multiarch/Tuples.
var triplets = map[elf.Machine]string{
	elf.EM_X86_64:  "x86_64-linux-gnu",
	elf.EM_AARCH64: "aarch64-linux-gnu",
	elf.EM_RISCV:   "riscv64-linux-gnu",
	elf.EM_PPC64:   "powerpc64le-linux-gnu",
	elf.EM_S390:    "s390x-linux-gnu",
}

// search lists the folders in which the loader looks for what the file at path needs, in its order; see ld.so(8). The tree
// has no ld.so.cache, and LD_LIBRARY_PATH is not set in it.
func (b binary) search(path string) []string {
	var dirs []string
	own := b.runpath
	if len(own) == 0 {
		own = b.rpath
	}
	for _, dir := range own {
		dir = strings.NewReplacer("$ORIGIN", "/"+dirname(path), "${ORIGIN}", "/"+dirname(path)).Replace(dir)
		if strings.HasPrefix(dir, "/") {
			dirs = append(dirs, strings.TrimPrefix(dir, "/"))
		}
	}
	if t := triplets[b.machine]; t != "" {
		dirs = append(dirs, "usr/lib/"+t)
	}
	if b.class == elf.ELFCLASS64 {
		dirs = append(dirs, "usr/lib64")
	}
	return append(dirs, "usr/lib")
}
