package rootfs

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dockerlaunch/dockerlaunch/internal/testenv"
)

// debianArchive is a small Debian archive on a server of the test's own, signed with a key of its own: what scripts/fetch-packages
// does with mirrors that are down, packages that change, and bytes that are wrong, no real archive can show on demand.
type debianArchive struct {
	*httptest.Server
	t       *testing.T
	arch    string
	home    string // gpg's
	keyring string

	mu       sync.Mutex
	files    map[string][]byte
	requests int
}

func newDebianArchive(t *testing.T) *debianArchive {
	t.Helper()
	for _, program := range []string{"apt-get", "dpkg", "gpg"} {
		if _, err := exec.LookPath(program); err != nil {
			testenv.Missing(t, "it needs "+program+", to make a signed archive and fetch from it")
		}
	}
	arch, err := exec.Command("dpkg", "--print-architecture").Output()
	if err != nil {
		t.Fatal(err)
	}
	a := &debianArchive{t: t, arch: strings.TrimSpace(string(arch)), files: map[string][]byte{}}
	// Not t.TempDir: gpg's agent listens on a socket in it, whose path has to be short.
	if a.home, err = os.MkdirTemp("", "gpg"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("gpgconf", "--homedir", a.home, "--kill", "all").CombinedOutput(); err != nil {
			t.Errorf("stopping gpg's agent: %v\n%s", err, out)
		}
		os.RemoveAll(a.home)
	})
	a.gpg(nil, "--passphrase", "", "--quick-gen-key", "archive@example.org", "rsa2048", "sign", "never")
	a.keyring = filepath.Join(t.TempDir(), "keys.gpg")
	if err := os.WriteFile(a.keyring, a.gpg(nil, "--export"), 0o644); err != nil {
		t.Fatal(err)
	}
	a.Server = httptest.NewServer(a)
	t.Cleanup(a.Close)
	return a
}

func (a *debianArchive) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.requests++
	content, ok := a.files[r.URL.Path]
	if !ok {
		http.NotFound(w, r)
		return
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
}

func (a *debianArchive) gpg(stdin []byte, args ...string) []byte {
	a.t.Helper()
	cmd := exec.Command("gpg", append([]string{"--homedir", a.home, "--batch", "--quiet"}, args...)...)
	cmd.Stdin = bytes.NewReader(stdin)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		a.t.Fatalf("gpg %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return out
}

// pkg is a package of the archive. Its file holds its name and version.
type pkg struct{ name, version, depends string }

func (p pkg) file(arch string) string {
	return p.name + "_" + strings.ReplaceAll(p.version, ":", "%3a") + "_" + arch + ".deb"
}

// publish makes a suite below base, "/debian" or "/debian-security", that has these packages.
func (a *debianArchive) publish(base, suite string, pkgs ...pkg) {
	a.t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	var list bytes.Buffer
	for _, p := range pkgs {
		content := []byte(p.name + " " + p.version)
		name := "pool/" + strings.ReplaceAll(p.file(a.arch), "%3a", ".")
		a.files[base+"/"+name] = content
		fmt.Fprintf(&list, "Package: %s\nVersion: %s\nArchitecture: %s\nFilename: %s\nSize: %d\nSHA256: %x\nDescription: %s\n",
			p.name, p.version, a.arch, name, len(content), sha256.Sum256(content), p.name)
		if p.depends != "" {
			fmt.Fprintf(&list, "Depends: %s\n", p.depends)
		}
		list.WriteByte('\n')
	}
	index := "main/binary-" + a.arch + "/Packages"
	release := fmt.Sprintf("Origin: Test\nSuite: %s\nCodename: %s\nDate: %s\nArchitectures: %s\nComponents: main\nDescription: test\nSHA256:\n %x %d %s\n",
		suite, suite, time.Now().UTC().Format(time.RFC1123Z), a.arch, sha256.Sum256(list.Bytes()), list.Len(), index)
	dists := base + "/dists/" + suite + "/"
	a.files[dists+index] = list.Bytes()
	a.files[dists+"InRelease"] = a.gpg([]byte(release), "--digest-algo", "SHA256", "--clearsign")
}

// replace changes what the server gives at a path.
func (a *debianArchive) replace(path string, content []byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.files[path] == nil {
		a.t.Fatalf("there is no %s", path)
	}
	a.files[path] = content
}

func (a *debianArchive) requested() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.requests
}

// fetcher runs scripts/fetch-packages with a state of its own.
type fetcher struct {
	t    *testing.T
	env  []string
	dest string
}

func (a *debianArchive) fetcher(t *testing.T) *fetcher {
	dir := t.TempDir()
	return &fetcher{t: t, dest: filepath.Join(dir, "dest"), env: append(os.Environ(),
		"DEBIAN_MIRROR="+a.URL+"/debian/", "DEBIAN_SECURITY_MIRROR=", "DEBIAN_KEYRING="+a.keyring, "DEBIAN_STATE="+filepath.Join(dir, "state"),
		"http_proxy=", "no_proxy=*")}
}

func (f *fetcher) run(args ...string) (status int, stdout, stderr string) {
	f.t.Helper()
	cmd := exec.Command(filepath.Join("..", "..", "scripts", "fetch-packages"), append([]string{"--dest", f.dest}, args...)...)
	cmd.Env = f.env
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		f.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// ok runs it, and wants success.
func (f *fetcher) ok(args ...string) (stdout, stderr string) {
	f.t.Helper()
	status, stdout, stderr := f.run(args...)
	if status != 0 {
		f.t.Fatalf("fetch-packages %q: status %d\n%s", args, status, stderr)
	}
	return stdout, stderr
}

// fails runs it, and wants a status and words on standard error.
func (f *fetcher) fails(want int, words []string, args ...string) {
	f.t.Helper()
	status, stdout, stderr := f.run(args...)
	if status != want || stdout != "" {
		f.t.Errorf("fetch-packages %q: status %d, stdout %q; want %d\n%s", args, status, stdout, want, stderr)
	}
	for _, w := range words {
		if !strings.Contains(stderr, w) {
			f.t.Errorf("fetch-packages %q does not say %q:\n%s", args, w, stderr)
		}
	}
}

// has wants exactly these files in the folder, as its list has them, and the right content in them.
func (f *fetcher) has(arch string, pkgs ...pkg) {
	f.t.Helper()
	want := map[string]bool{}
	for _, p := range pkgs {
		want[p.file(arch)] = true
		content, err := os.ReadFile(filepath.Join(f.dest, p.file(arch)))
		if err != nil || string(content) != p.name+" "+p.version {
			f.t.Errorf("%s holds %q, %v", p.file(arch), content, err)
		}
	}
	there, err := filepath.Glob(filepath.Join(f.dest, "*.deb"))
	if err != nil || len(there) != len(want) {
		f.t.Errorf("there are %q, %v; want %v", there, err, want)
	}
	debs, err := findDebs(f.dest) // checks the hashes in the list
	if err != nil {
		f.t.Error(err)
	}
	for _, d := range debs {
		if !want[filepath.Base(d.file)] {
			f.t.Errorf("the list has %s", d.file)
		}
	}
	if len(debs) != len(want) {
		f.t.Errorf("the list has %d packages; want %d", len(debs), len(want))
	}
}
