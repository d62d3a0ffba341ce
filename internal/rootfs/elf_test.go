package rootfs

import (
	"archive/tar"
	"bytes"
	"debug/elf"
	"errors"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dockerlaunch/dockerlaunch/internal/testenv"
)

// dynamicProgram is a program of the machine that the tests run on that needs a library that needs others. It is looked at,
// not run.
func dynamicProgram(t testing.TB) string {
	t.Helper()
	for _, name := range []string{"apt-get", "ls", "cp"} {
		if p, err := exec.LookPath(name); err == nil {
			if b, err := readBinary(p); err == nil && len(b.needed) > 1 {
				return p
			}
		}
	}
	testenv.Missing(t, "it needs a dynamically linked apt-get, ls or cp")
	return ""
}

// libraries asks the loader itself what a program needs, by soname, with the files' real paths.
func libraries(t testing.TB, program string) map[string]string {
	t.Helper()
	b, err := readBinary(program)
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(b.interpreter, "--list", program).Output()
	if err != nil {
		t.Fatalf("asking %s: %v", b.interpreter, err)
	}
	libs := map[string]string{}
	for line := range strings.Lines(string(out)) {
		if soname, rest, ok := strings.Cut(strings.TrimSpace(line), " => "); ok {
			libs[soname] = strings.Fields(rest)[0]
		}
	}
	if len(libs) < 2 {
		t.Fatalf("%s needs too little for this test: %s", program, out)
	}
	return libs
}

// readFile packs a real file under its name in a package.
func readFile(t testing.TB, name, at string) *tar.Header {
	t.Helper()
	raw, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return file("./"+at, string(raw))
}

// programPackage packs a real program as usr/bin/real with all that it needs, but for one library, into a folder.
func programPackage(t *testing.T, program, without string) (folder string, libs map[string]string) {
	t.Helper()
	folder = t.TempDir()
	libs = libraries(t, program)
	b, err := readBinary(program)
	if err != nil {
		t.Fatal(err)
	}
	headers := []*tar.Header{readFile(t, program, "usr/bin/real")}
	at := "usr/lib/" + triplets[b.machine] + "/"
	for soname, name := range libs {
		if soname != without && !strings.HasPrefix(soname, "ld-") {
			// As a package has it: the library under its full version, and a link with the soname.
			headers = append(headers, readFile(t, name, at+soname+".9.9"), link("./"+at+soname, soname+".9.9"))
		}
	}
	headers = append(headers, readFile(t, b.interpreter, at+path.Base(b.interpreter)))
	if name := "usr/lib64/" + path.Base(b.interpreter); strings.HasPrefix(b.interpreter, "/lib64/") {
		headers = append(headers, link("./"+name, "/lib/"+triplets[b.machine]+"/"+path.Base(b.interpreter)))
	}
	putDeb(t, folder, "real", headers...)
	return folder, libs
}

var realProgram = []Requirement{{Name: "real", Group: GroupTools, Packages: packages("real"), Files: program("real")}}

func TestClosure(t *testing.T) {
	needDpkgDeb(t)
	name := dynamicProgram(t)
	folder, libs := programPackage(t, name, "")
	nodes, err := plan(unpackAll(t, folder), realProgram, "")
	if err != nil {
		t.Fatal(err)
	}
	// The loader's own list is the judge: every library that it names is in the plan, by soname, and no other.
	got := map[string]bool{}
	for _, n := range nodes {
		if base := path.Base(n.Path); n.Library && !strings.HasPrefix(base, "ld-") && n.Kind == KindLink {
			got[base] = true
		}
		if n.Library && !cmp.Equal(n.For, []string{"real"}) {
			t.Errorf("%s is there for %v", n.Path, n.For)
		}
	}
	want := map[string]bool{}
	for soname := range libs {
		if !strings.HasPrefix(soname, "ld-") {
			want[soname] = true
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("libraries of %s (-want +got):\n%s", name, diff)
	}
	// The tree is complete when the loader in it finds everything there, and nothing elsewhere.
	tree := filepath.Join(t.TempDir(), "tree")
	if err := write(nodes, tree, testTime.Unix(), noProgress); err != nil {
		t.Fatal(err)
	}
	testenv.NeedRoot(t)
	b, err := readBinary(name)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("chroot", tree, b.interpreter, "--list", "/usr/bin/real")
	if out, err := cmd.CombinedOutput(); err != nil || strings.Contains(string(out), "not found") {
		t.Errorf("in the tree: %v\n%s", err, out)
	}
}

func TestClosureMissing(t *testing.T) {
	needDpkgDeb(t)
	name := dynamicProgram(t)
	b, err := readBinary(name)
	if err != nil {
		t.Fatal(err)
	}
	direct := b.needed[0]
	// A library that only another library needs.
	indirect := ""
	for soname := range libraries(t, name) {
		if !slices.Contains(b.needed, soname) && !strings.HasPrefix(soname, "ld-") {
			indirect = soname
		}
	}
	for _, missing := range []string{direct, indirect} {
		if missing == "" {
			continue
		}
		folder, _ := programPackage(t, name, missing)
		_, err := plan(unpackAll(t, folder), realProgram, "")
		var e *MissingLibraryError
		if !errors.As(err, &e) || e.Library != missing {
			t.Fatalf("without %s: got %v", missing, err)
		}
		if missing == direct && e.NeededBy != "usr/bin/real" || missing == indirect && !strings.Contains(e.NeededBy, ".so") {
			t.Errorf("%s is said to be needed by %s", missing, e.NeededBy)
		}
		wantError(t, err, missing, e.NeededBy, "scripts/fetch-packages")
	}
}

// What is loaded with dlopen is in no header: the table names it, and it is found and closed over like the rest.
func TestClosureOfNamedLibrary(t *testing.T) {
	needDpkgDeb(t)
	name := dynamicProgram(t)
	folder, libs := programPackage(t, name, "")
	req := realProgram[0]
	req.Libraries = []string{"libplugin.so.1"}
	_, err := plan(unpackAll(t, folder), []Requirement{req}, "")
	var e *MissingLibraryError
	if !errors.As(err, &e) || e.Library != "libplugin.so.1" {
		t.Fatalf("got %v; want libplugin.so.1 to be missing", err)
	}
	b, err := readBinary(name)
	if err != nil {
		t.Fatal(err)
	}
	at := "usr/lib/" + triplets[b.machine] + "/libplugin.so.1"
	putDeb(t, folder, "plugin", readFile(t, libs[b.needed[0]], at))
	nodes, err := plan(unpackAll(t, folder), []Requirement{req}, "")
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(nodes, func(n *Node) bool { return n.Path == at && n.Library }) {
		t.Error("libplugin.so.1 is not in the tree")
	}
}

func TestClosureOfScript(t *testing.T) {
	needDpkgDeb(t)
	folder := t.TempDir()
	putDeb(t, folder, "real", file("./usr/bin/real", "#! /bin/sh -e\n"))
	x := unpackAll(t, folder)
	_, err := plan(x, realProgram, "")
	wantError(t, err, "/bin/sh", "script usr/bin/real")

	putDeb(t, folder, "dash", file("./usr/bin/dash", "shell"))
	shell := Requirement{Name: "sh", Group: GroupGit, Packages: packages("dash"), Files: program("dash"), Links: links("usr/bin", "dash", "sh")}
	if _, err := plan(unpackAll(t, folder), append([]Requirement{shell}, realProgram...), ""); err != nil {
		t.Error(err)
	}
}

func TestSearch(t *testing.T) {
	own := binary{class: elf.ELFCLASS64, machine: elf.EM_X86_64, rpath: []string{"$ORIGIN/../priv", "relative"}}
	want := []string{"usr/bin/../priv", "usr/lib/x86_64-linux-gnu", "usr/lib64", "usr/lib"}
	if diff := cmp.Diff(want, own.search("usr/bin/x")); diff != "" {
		t.Errorf("RPATH (-want +got):\n%s", diff)
	}
	own.runpath = []string{"/usr/lib/${ORIGIN}x", "/opt/lib"} // RUNPATH replaces RPATH
	if got := own.search("usr/bin/x"); !slices.Contains(got, "opt/lib") || slices.Contains(got, "usr/bin/../priv") {
		t.Errorf("RUNPATH: %q", got)
	}
	if got := (binary{class: elf.ELFCLASS32, machine: elf.EM_386}).search("usr/bin/x"); !cmp.Equal(got, []string{"usr/lib"}) {
		t.Errorf("another machine: %q", got)
	}
}

// A library of another architecture is passed over, as the loader does.
func TestLibraryOfOtherMachine(t *testing.T) {
	needDpkgDeb(t)
	name := dynamicProgram(t)
	b, err := readBinary(name)
	if err != nil {
		t.Fatal(err)
	}
	folder, libs := programPackage(t, name, b.needed[0])
	raw, err := os.ReadFile(libs[b.needed[0]])
	if err != nil {
		t.Fatal(err)
	}
	raw[18]++ // e_machine, see elf(5)
	putDeb(t, folder, "other", file("./usr/lib/"+triplets[b.machine]+"/"+b.needed[0], string(raw)))
	_, err = plan(unpackAll(t, folder), realProgram, "")
	var e *MissingLibraryError
	if !errors.As(err, &e) || e.Library != b.needed[0] {
		t.Errorf("got %v; want %s to be missing", err, b.needed[0])
	}
}

func TestParseBinary(t *testing.T) {
	for text, interpreter := range map[string]string{
		"#!/bin/sh\n": "/bin/sh", "#! /usr/bin/env bash\necho": "/usr/bin/env", "#!\n": "", "#!": "", "": "", "text": "", "#!/bin/x": "/bin/x",
	} {
		b, err := parseBinary(strings.NewReader(text))
		if err != nil || b.interpreter != interpreter || b.elf {
			t.Errorf("%q: %+v, %v; want %q", text, b, err, interpreter)
		}
	}
	if _, err := parseBinary(strings.NewReader("\x7fELF\x02\x01\x01")); err == nil {
		t.Error("half an ELF header gave no error")
	}
	static, err := readBinary("/proc/self/exe")
	if err != nil || !static.elf {
		t.Errorf("this test: %+v, %v", static, err)
	}
}

// However damaged a program is, reading it ends with an error or a result, and never takes a path that is none.
func FuzzParseBinary(f *testing.F) {
	f.Add([]byte("#!/bin/sh\n"))
	f.Add([]byte("\x7fELF\x02\x01\x01" + strings.Repeat("\x00", 60)))
	if raw, err := os.ReadFile("/bin/true"); err == nil {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		b, err := parseBinary(bytes.NewReader(raw))
		if err != nil {
			return
		}
		if len(b.interpreter) > 4096 {
			t.Errorf("an interpreter of %d bytes", len(b.interpreter))
		}
		if !b.elf && len(b.needed) > 0 {
			t.Errorf("what is no ELF file needs %q", b.needed)
		}
		for _, dir := range b.search("usr/bin/x") {
			if strings.HasPrefix(dir, "/") && !strings.HasPrefix(dir, "//") {
				t.Errorf("search in %q, which is not relative to the root", dir)
			}
		}
	})
}
