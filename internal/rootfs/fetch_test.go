package rootfs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFetchPackages(t *testing.T) {
	a := newDebianArchive(t)
	prog, lib, deep, other := pkg{"prog", "1:1.0-1", "lib"}, pkg{"lib", "2.0+b1", "deep"}, pkg{"deep", "1", ""}, pkg{"other", "1", ""}
	a.publish("/debian", "sid", prog, lib, deep, other)
	f := a.fetcher(t)
	stdout, _ := f.ok("--suite", "sid", "--print", "prog")
	f.has(a.arch, prog, lib, deep)
	if lines := strings.Fields(stdout); len(lines) != 3 || !strings.HasPrefix(lines[0], f.dest+"/") {
		t.Errorf("--print gave %q", stdout)
	}

	t.Run("again without a network", func(t *testing.T) {
		f := *f
		f.t = t
		before := a.requested()
		again, _ := f.ok("--suite", "sid", "--print", "prog")
		if a.requested() != before || again != stdout {
			t.Errorf("%d requests, and %q", a.requested()-before, again)
		}
	})
	t.Run("a damaged file is fetched again", func(t *testing.T) {
		f := *f
		f.t = t
		// As long as it should be: apt alone would take it for the right one.
		if err := os.WriteFile(filepath.Join(f.dest, lib.file(a.arch)), []byte("lib 2.0+bX"), 0o644); err != nil {
			t.Fatal(err)
		}
		f.ok("--suite", "sid", "prog")
		f.has(a.arch, prog, lib, deep)
	})
	t.Run("another wish", func(t *testing.T) {
		f := *f
		f.t = t
		f.ok("--suite", "sid", "--no-deps", "prog", "other")
		f.has(a.arch, prog, other)
		f.ok("--suite", "sid", "prog")
		f.has(a.arch, prog, lib, deep)
	})
	t.Run("newer versions come with --refresh", func(t *testing.T) {
		f := *f
		f.t = t
		newer := pkg{"lib", "2.1", ""}
		a.publish("/debian", "sid", prog, newer, deep)
		f.ok("--suite", "sid", "prog")
		f.has(a.arch, prog, lib, deep)
		f.ok("--suite", "sid", "--refresh", "prog")
		f.has(a.arch, prog, newer)
	})
	t.Run("versions that the mirror has dropped", func(t *testing.T) {
		f := a.fetcher(t)
		a.publish("/debian", "sid", prog, lib, deep)
		f.ok("--suite", "sid", "deep")
		newest := pkg{"lib", "2.2", ""}
		a.publish("/debian", "sid", prog, newest, deep)
		a.mu.Lock()
		delete(a.files, "/debian/pool/"+lib.file(a.arch))
		a.mu.Unlock()
		f.ok("--suite", "sid", "prog") // by lists of today, which still have the old one
		f.has(a.arch, prog, newest)
	})
}

func TestFetchPackagesOfStable(t *testing.T) {
	a := newDebianArchive(t)
	fixed := pkg{"prog", "1.0+deb13u1", ""}
	a.publish("/debian", "trixie", pkg{"prog", "1.0", ""}, pkg{"lib", "1", ""})
	a.publish("/debian", "trixie-updates", pkg{"lib", "1.1", ""})
	a.publish("/debian-security", "trixie-security", fixed)
	a.publish("/debian", "trixie-backports", pkg{"prog", "9", ""})
	f := a.fetcher(t)
	f.ok("prog", "lib")
	f.has(a.arch, fixed, pkg{"lib", "1.1", ""})
	f.ok("--suite", "trixie-backports", "prog")
	f.has(a.arch, pkg{"prog", "9", ""})
}

func TestFetchPackagesRefuses(t *testing.T) {
	a := newDebianArchive(t)
	prog := pkg{"prog", "1", ""}
	a.publish("/debian", "sid", prog, pkg{"broken", "1", "nowhere"})
	f := a.fetcher(t)
	for _, args := range [][]string{{}, {"--suite"}, {"--sweet", "sid", "prog"}, {"--suite", "Sid/..", "prog"}, {"../prog"}, {"prog=1"}} {
		f.fails(2, []string{"fetch-packages: ", "PACKAGE..."}, args...)
	}
	f.fails(1, []string{"no package absent"}, "--suite", "sid", "prog", "absent")
	f.fails(1, []string{"no package absent"}, "--suite", "sid", "--no-deps", "prog", "absent")
	f.fails(1, []string{"broken", "nowhere"}, "--suite", "sid", "broken")
	f.fails(1, []string{"package lists of unheard", a.URL + "/debian"}, "--suite", "unheard", "prog")
	if _, err := os.Stat(filepath.Join(f.dest, ListName)); err == nil {
		t.Error("there is a list of packages after nothing but failures")
	}

	t.Run("other bytes than the signed list has", func(t *testing.T) {
		f := a.fetcher(t)
		a.replace("/debian/pool/"+prog.file(a.arch), []byte("evil 1"))
		f.fails(1, []string{"cannot fetch the packages", prog.name}, "--suite", "sid", "prog")
		if there, err := filepath.Glob(filepath.Join(f.dest, "*.deb")); err != nil || len(there) > 0 {
			t.Errorf("%q was kept, %v", there, err)
		}
		a.replace("/debian/pool/"+prog.file(a.arch), []byte("prog 1"))
	})
	t.Run("a list that nobody signed", func(t *testing.T) {
		f := a.fetcher(t)
		list := "/debian/dists/sid/main/binary-" + a.arch + "/Packages"
		a.mu.Lock()
		good := a.files[list]
		a.mu.Unlock()
		a.replace(list, []byte(strings.ReplaceAll(string(good), "prog", "evil")))
		f.fails(1, []string{"cannot read the package lists of sid"}, "--suite", "sid", "evil")
		a.replace(list, good)
	})
	t.Run("a key that is not trusted", func(t *testing.T) {
		f := a.fetcher(t)
		f.env = append(f.env, "DEBIAN_KEYRING="+newDebianArchive(t).keyring)
		f.fails(1, []string{"cannot read the package lists of sid", "sign"}, "--suite", "sid", "prog")
	})
	t.Run("no key", func(t *testing.T) {
		f := a.fetcher(t)
		f.env = append(f.env, "DEBIAN_KEYRING=/nonexistent/keys.gpg")
		f.fails(1, []string{"/nonexistent/keys.gpg", "install debian-archive-keyring"}, "--suite", "sid", "prog")
	})
	t.Run("no network", func(t *testing.T) {
		f := a.fetcher(t)
		a.Close()
		f.fails(1, []string{"cannot read the package lists of sid", a.URL + "/debian", "no network"}, "--suite", "sid", "prog")
	})
}
