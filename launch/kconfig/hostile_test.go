package kconfig

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/dockerlaunch/dockerlaunch/launch/kconfig/unpack"
	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"
)

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
