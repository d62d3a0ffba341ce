package kconfig

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/dockerlaunch/dockerlaunch/internal/testenv"
	"github.com/dockerlaunch/dockerlaunch/internal/vm"
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
		"gz": {"gzip", "-c"}, "xz": {"xz", "-c"}, "zst": {"zstd", "-q", "-c"}, "lzma": {"xz", "-c", "--format=lzma"},
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

// TestMarkAnywhere puts the mark before, across and behind the end of what is read at once.
func TestMarkAnywhere(t *testing.T) {
	config := packed(t, sample(t), "gzip", "-c", "-n")
	for shift := range len(mark) + 2 {
		data := append(make([]byte, 256<<10-shift), "IKCFG_ST"...)
		if c, err := fromStream(bytes.NewReader(append(data, config...))); err != nil || c.Text != "6.17.5" {
			t.Errorf("%d bytes before the end: %v", shift, err)
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
