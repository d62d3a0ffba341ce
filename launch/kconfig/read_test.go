package kconfig

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/dockerlaunch/dockerlaunch/internal/testenv"
	"github.com/dockerlaunch/dockerlaunch/internal/vm"
	"github.com/dockerlaunch/dockerlaunch/launch/kconfig/unpack"
	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"
)

func sample(t testing.TB) []byte {
	t.Helper()
	data, err := os.ReadFile("testdata/6.17-nft-only.config")
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// packed is what a packer makes of data.
func packed(t testing.TB, data []byte, command ...string) []byte {
	t.Helper()
	if _, err := exec.LookPath(command[0]); err != nil {
		testenv.Missing(t, "it needs "+command[0]+" (scripts/install-tools test)")
	}
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stdin = bytes.NewReader(data)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v", command, err)
	}
	return out
}

// noise is what fills a kernel: bytes that do not pack, with zeros between them.
func noise(n int) []byte {
	r := rand.New(rand.NewPCG(3, 4))
	data := make([]byte, n)
	for i := range data {
		if i%3 != 0 {
			data[i] = byte(r.Uint32())
		}
	}
	return data
}

// vmlinux is a kernel that is not packed, with its configuration inside.
func vmlinux(t testing.TB) []byte {
	var b bytes.Buffer
	b.WriteString("\x7fELF\x02\x01\x01\x00")
	b.Write(noise(120_000))
	b.WriteString("IKCFG_ST and not behind it") // as where the kernel's code speaks of it
	b.Write(noise(1000))
	b.WriteString("IKCFG_ST")
	b.Write(packed(t, sample(t), "gzip", "-c", "-n"))
	b.WriteString("IKCFG_ED")
	b.Write(noise(40_000))
	return b.Bytes()
}

// bzImage lays a packed kernel into an x86 image.
func bzImage(payload []byte) []byte {
	const setup, offset = 5 * 512, 0x300
	data := make([]byte, setup+offset, setup+offset+len(payload)+100)
	copy(data, "MZ")
	data[0x1f1] = setup/512 - 1
	copy(data[0x202:], "HdrS")
	binary.LittleEndian.PutUint16(data[0x206:], 0x20f)
	binary.LittleEndian.PutUint32(data[0x248:], offset)
	binary.LittleEndian.PutUint32(data[0x24c:], uint32(len(payload)))
	return append(append(data, payload...), noise(100)...)
}

func zboot(payload []byte) []byte {
	data := make([]byte, 0x1000, 0x1000+len(payload))
	copy(data, "MZ\x00\x00zimg")
	binary.LittleEndian.PutUint32(data[8:], 0x1000)
	binary.LittleEndian.PutUint32(data[12:], uint32(len(payload)))
	return append(data, payload...)
}

func TestReadForms(t *testing.T) {
	text, kernel := sample(t), vmlinux(t)
	packings := map[string][]string{
		"gz": {"gzip", "-c"}, "xz": {"xz", "-c"}, "zst": {"zstd", "-q", "-c"}, "bz2": {"bzip2", "-c"}, "lzma": {"xz", "-c", "--format=lzma"},
		"lz4": {"lz4", "-q", "-c", "-l"},
	}
	files := map[string][]byte{"config": text, "vmlinux": kernel}
	for name, command := range packings {
		files["config."+name] = packed(t, text, command...)
		files["Image."+name] = packed(t, kernel, command...)
		if name == "xz" {
			command = []string{"xz", "-c", "--check=crc32", "--x86", "--lzma2=dict=32MiB"}
		}
		payload := packed(t, kernel, command...)
		files["bzImage-"+name] = bzImage(payload)
		files["zboot-"+name] = zboot(payload)
		// Without a header that tells the place: an ARM zImage, or a bzImage of before 2.6.26.
		files["zImage-"+name] = append(append(noise(50_000), payload...), noise(5000)...)
	}
	dir := t.TempDir()
	for name, data := range files {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := Read(file)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if c.Text != "6.17.5" || !c.Complete || c.Value("VETH") != "m" || c.Source != file {
			t.Errorf("%s: %s, complete %v, VETH %q, from %s", name, c.Text, c.Complete, c.Value("VETH"), c.Source)
		}
	}
}

// TestDebianImages reads through the packed kernels of real images, which were built without their configuration.
func TestDebianImages(t *testing.T) {
	for _, name := range []string{"6.1", "6.12"} {
		if _, err := Read(vm.KernelNamed(t, name).Image); !errors.Is(err, ErrNoIKConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// hostile are files that must end in an error, with what it has to say.
func hostile(t testing.TB) map[string]struct {
	data []byte
	want error
} {
	bomb := func(n int64, fill byte) []byte {
		var b bytes.Buffer
		z, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.CopyN(z, same(fill), n); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	zstdBomb := func(n int64) []byte {
		var b bytes.Buffer
		z, err := zstd.NewWriter(&b)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.CopyN(z, same('\n'), n); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	type file = struct {
		data []byte
		want error
	}
	random, zeros, lines := noise(1<<20), bomb(300<<20, 0), bomb(40<<20, '\n')
	letters := bytes.ReplaceAll(random, []byte{0}, []byte{'x'})
	return map[string]file{
		"nothing":             {nil, ErrNotConfig},
		"1 MiB of garbage":    {random, ErrNoIKConfig},
		"1 MiB of letters":    {letters, ErrNotConfig},
		"bomb of lines":       {lines, ErrTooLarge},
		"bomb of zeros":       {zeros, ErrTooLarge},
		"zstd bomb of lines":  {zstdBomb(40 << 20), ErrTooLarge},
		"bomb in a kernel":    {append([]byte("\x7fELF\x00IKCFG_ST"), lines...), ErrTooLarge},
		"bomb in a bzImage":   {bzImage(zeros), ErrTooLarge},
		"cut off":             {packed(t, sample(t), "gzip", "-c")[:300], io.ErrUnexpectedEOF},
		"cut off in a kernel": {append([]byte("\x7fELF\x00IKCFG_ST"), packed(t, sample(t), "gzip", "-c")[:300]...), io.ErrUnexpectedEOF},
		"lzo":                 {bzImage(append([]byte("\x89LZO\x00\r\n\x1a\n"), random[:1000]...)), unpack.ErrUnsupported},
		"marks and no more":   {bytes.Repeat([]byte("\x00\x1f\x8b\x08\xfd7zXZ\x00\x28\xb5\x2f\xfd\x02\x21\x4c\x18\x5d\x00\x00IKCFG_ST"), 40_000), ErrNoIKConfig},
		"a header that lies":  {bzImage(nil)[:0x250], ErrNoIKConfig},
	}
}

// same is a stream of one byte.
type same byte

func (s same) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(s)
	}
	return len(p), nil
}

func TestHostileFiles(t *testing.T) {
	dir := t.TempDir()
	for name, f := range hostile(t) {
		file := filepath.Join(dir, strings.ReplaceAll(name, " ", "-"))
		if err := os.WriteFile(file, f.data, 0o600); err != nil {
			t.Fatal(err)
		}
		f.data = nil
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		start := time.Now()
		_, err := Read(file)
		took := time.Since(start)
		runtime.ReadMemStats(&after)
		allocated := (after.TotalAlloc - before.TotalAlloc) >> 20
		t.Logf("%-20s %8v %4d MiB allocated in all: %v", name, took.Round(time.Millisecond), allocated, err)
		if !errors.Is(err, f.want) || !strings.Contains(err.Error(), file) {
			t.Errorf("%s: %v, want %v", name, err, f.want)
		}
		// MaxConfig is read with a buffer that grows by a quarter at a time, of which all are counted here.
		if allocated > 200 {
			t.Errorf("%s: %d MiB were allocated", name, allocated)
		}
		if took > 30*time.Second {
			t.Errorf("%s: it took %v", name, took)
		}
	}
}

func TestReadWhatIsNoFile(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	huge := filepath.Join(dir, "huge")
	if err := os.WriteFile(huge, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(huge, 1<<40); err != nil {
		t.Skipf("no sparse file can be made here: %v", err)
	}
	for name, want := range map[string]struct {
		err  error
		text string
	}{
		dir:                        {ErrNotRegular, "folder"},
		fifo:                       {ErrNotRegular, "FIFO"},
		"/dev/zero":                {ErrNotRegular, "device"},
		huge:                       {ErrTooLarge, "1099511627776"},
		filepath.Join(dir, "none"): {fs.ErrNotExist, "none"},
	} {
		done := make(chan error, 1)
		go func() { _, err := Read(name); done <- err }()
		select {
		case err := <-done:
			if !errors.Is(err, want.err) || !strings.Contains(err.Error(), want.text) || !strings.Contains(err.Error(), name) {
				t.Errorf("%s: %v", name, err)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("%s: reading hangs", name)
		}
	}
}

// asNobody runs f with the rights to files of somebody without any, in a thread that ends with it.
func asNobody(t *testing.T, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and not unlocked: the thread ends with its changed rights
		if os.Geteuid() == 0 {
			for _, call := range []func(int) (int, error){unix.SetfsgidRetGid, unix.SetfsuidRetUid} {
				if _, err := call(65534); err != nil {
					t.Errorf("changing the rights to files: %v", err)
					return
				}
			}
		}
		f()
	}()
	<-done
}

func TestUnreadable(t *testing.T) {
	root := t.TempDir()
	if err := os.Chmod(root, 0o755); err != nil {
		t.Fatal(err)
	}
	write := func(name string, mode fs.FileMode) string {
		file := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, sample(t), mode); err != nil {
			t.Fatal(err)
		}
		return file
	}
	first := write("boot/config-6.17.5", 0)
	for dir := root; len(dir) > len(os.TempDir()); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	asNobody(t, func() {
		if _, err := Read(first); !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), first) {
			t.Errorf("a file that must not be read: %v", err)
		}
		if _, _, err := Find(root, "6.17.5"); !errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a tree whose only configuration must not be read: %v", err)
		}
	})
	second := write("usr/lib/modules/6.17.5/config", 0o644)
	asNobody(t, func() {
		c, unread, err := Find(root, "6.17.5")
		if err != nil || c.Source != second || len(unread) != 1 || !errors.Is(unread[0], fs.ErrPermission) {
			t.Errorf("a tree with a second one: %v, %v, %v", c, unread, err)
		}
	})
}

func TestFind(t *testing.T) {
	root, elsewhere := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(elsewhere, "config"), sample(t), 0o600); err != nil {
		t.Fatal(err)
	}
	put := func(name string) {
		file := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, sample(t), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var missing *NotFoundError
	if _, _, err := Find(root, "6.17.5"); !errors.Is(err, fs.ErrNotExist) || !errors.As(err, &missing) || len(missing.Tried) < 5 {
		t.Errorf("an empty tree: %v", err)
	}
	put("proc/config.gz") // of the kernel that runs, not of the tree's
	put("boot/config-6.17.50")
	if err := os.Mkdir(filepath.Join(root, "lib"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(elsewhere, filepath.Join(root, "lib/modules")); err != nil {
		t.Fatal(err)
	}
	if c, _, err := Find(root, "6.17.5"); err == nil {
		t.Errorf("another kernel's: %s", c.Source)
	}
	for _, release := range []string{"", "..", "../../etc", "/etc"} {
		if c, _, err := Find(root, release); err == nil {
			t.Errorf("release %q: %s", release, c.Source)
		}
	}
	// A link that leads out of the tree is not followed, and said.
	if err := os.Symlink(filepath.Join(elsewhere, "config"), filepath.Join(root, "boot/config-1.2.3")); err != nil {
		t.Fatal(err)
	}
	if c, _, err := Find(root, "1.2.3"); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a link out of the tree: %v, %v", c, err)
	}
	for _, name := range []string{"usr/src/linux-6.17.5/.config", "usr/lib/modules/6.17.5/config", "boot/config-6.17.5"} {
		put(name)
		if c, _, err := Find(root, "6.17.5"); err != nil || c.Source != filepath.Join(root, name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(sample(f))
	f.Add(packed(f, sample(f), "gzip", "-c"))
	kernel := append([]byte("\x7fELF\x00IKCFG_ST"), packed(f, sample(f), "gzip", "-c")...)
	f.Add(kernel)
	f.Add(bzImage(packed(f, kernel, "xz", "-c", "--x86", "--lzma2")))
	f.Add(zboot(packed(f, kernel, "zstd", "-q", "-c")))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1<<20 {
			return
		}
		if c, err := decode(data); (c == nil) == (err == nil) {
			t.Errorf("%v, %v", c, err)
		}
	})
}
