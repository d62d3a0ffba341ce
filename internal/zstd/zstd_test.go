package zstd

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
)

const testWindow = 64 << 20

// samples are contents of many kinds.
func samples(t testing.TB) map[string][]byte {
	t.Helper()
	random := rand.New(rand.NewPCG(1, 2))
	noise := make([]byte, 300<<10)
	for i := range noise {
		noise[i] = byte(random.Uint32())
	}
	var words strings.Builder
	for words.Len() < 700<<10 {
		fmt.Fprintf(&words, "%s %d\n", []string{"kernel", "module", "alias", "symbol", "pci:v0000"}[random.IntN(5)], random.IntN(1000))
	}
	skewed := make([]byte, 200<<10)
	for i := range skewed {
		skewed[i] = byte(random.ExpFloat64() * 8)
	}
	self, err := os.Executable() // a real program: code, tables, text
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	return map[string][]byte{
		"empty": nil, "one": {7}, "few": []byte("hello, hello, hello"), "zeros": make([]byte, 1<<20), "noise": noise,
		"words": []byte(words.String()), "skewed": skewed, "program": program[:min(len(program), 1<<20)],
		"far": append(append(bytes.Clone(noise), make([]byte, 600<<10)...), noise...),
	}
}

func pack(t testing.TB, data []byte, o ...zstd.EOption) []byte {
	t.Helper()
	e, err := zstd.NewWriter(nil, o...)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	return e.EncodeAll(data, nil)
}

func TestDecode(t *testing.T) {
	for name, data := range samples(t) {
		for _, level := range []zstd.EncoderLevel{zstd.SpeedFastest, zstd.SpeedDefault, zstd.SpeedBestCompression} {
			packed := pack(t, data, zstd.WithEncoderLevel(level))
			for _, o := range []zstd.EOption{zstd.WithWindowSize(1 << 17), zstd.WithEncoderCRC(false), zstd.WithSingleSegment(true)} {
				other := pack(t, data, zstd.WithEncoderLevel(level), o)
				if got, err := Decode(other, len(data), testWindow); err != nil || !bytes.Equal(got, data) {
					t.Errorf("%s at level %v: %d bytes of %d, %v", name, level, len(got), len(data), err)
				}
			}
			both := append(append(bytes.Clone(packed), "\x5a\x2a\x4d\x18\x03\x00\x00\x00abc"...), packed...)
			if got, err := Decode(both, 2*len(data), testWindow); err != nil || !bytes.Equal(got, append(bytes.Clone(data), data...)) {
				t.Errorf("%s at level %v, twice: %d bytes of %d, %v", name, level, len(got), 2*len(data), err)
			}
		}
	}
}

// The reference program at its levels makes blocks of kinds that the library above does not. The files are
// its output for numbers in lines and for the text of a licence, by `zstd -N`.
func TestDecodeReference(t *testing.T) {
	files, err := filepath.Glob("testdata/*.zst")
	if err != nil || len(files) == 0 {
		t.Fatal("no files", err)
	}
	for _, file := range files {
		packed, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		d, err := zstd.NewReader(nil)
		if err != nil {
			t.Fatal(err)
		}
		want, err := d.DecodeAll(packed, nil)
		d.Close()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := Decode(packed, len(want), testWindow); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes of %d, %v", file, len(got), len(want), err)
		}
	}
}

func TestReader(t *testing.T) {
	data := samples(t)["words"]
	var packed bytes.Buffer
	e, err := zstd.NewWriter(&packed, zstd.WithWindowSize(1<<16))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	packed.WriteString("what follows")
	r, err := NewReader(packed.Bytes(), 1<<16)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(io.MultiReader(io.LimitReader(r, 12345), r))
	if err != nil || !bytes.Equal(got, data) || string(r.Rest()) != "what follows" {
		t.Errorf("%d bytes of %d, %v; behind it %.20q", len(got), len(data), err, r.Rest())
	}
	if limit := 3*(1<<16) + 3*maxBlock; cap(r.out) > limit {
		t.Errorf("a window of 64 KiB takes %d bytes, more than %d", cap(r.out), limit)
	}
	if n, err := r.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("once more: %d, %v", n, err)
	}
}

func TestErrors(t *testing.T) {
	data := samples(t)["words"]
	packed := pack(t, data)
	if _, err := Decode(packed, len(data)-1, testWindow); !errors.Is(err, ErrLimit) {
		t.Errorf("over the limit: %v", err)
	}
	if _, err := Decode(packed, len(data), 1<<10); !errors.Is(err, ErrWindow) {
		t.Errorf("over the window: %v", err)
	}
	changed := bytes.Clone(packed)
	changed[len(changed)-1]++
	if _, err := Decode(changed, len(data), testWindow); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "checksum") {
		t.Errorf("another checksum: %v", err)
	}
	for _, n := range []int{1, 4, 5, 6, 9, 100, len(packed) / 2, len(packed) - 4, len(packed) - 1} {
		if _, err := Decode(packed[:n], len(data), testWindow); !errors.Is(err, ErrDamaged) {
			t.Errorf("the first %d bytes: %v", n, err)
		}
	}
	dictionary := append([]byte("\x28\xb5\x2f\xfd\x23\x05\x00\x00\x00\x03"), 0, 0, 0, 0)
	if _, err := Decode(dictionary, 100, testWindow); !errors.Is(err, ErrUnsupported) {
		t.Errorf("with a dictionary: %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	for _, data := range samples(f) {
		if packed := pack(f, data[:min(len(data), 3000)]); len(packed) < 4000 {
			f.Add(packed)
		}
	}
	files, err := filepath.Glob("testdata/*.zst")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		if data, err := os.ReadFile(file); err == nil && len(data) < 4000 {
			f.Add(data)
		}
	}
	const limit = 1 << 20
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(limit), zstd.WithDecoderMaxMemory(limit))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, packed []byte) {
		begin := time.Now()
		got, err := Decode(packed, limit, limit)
		if took := time.Since(begin); took > 10*time.Second {
			t.Errorf("%d bytes took %v", len(packed), took)
		}
		want, wantErr := d.DecodeAll(packed, nil)
		if err == nil && wantErr == nil && !bytes.Equal(got, want) {
			t.Errorf("%x: %d bytes, and %d by the other decoder", packed, len(got), len(want))
		}
		if err != nil && wantErr == nil && len(want) <= limit && !errors.Is(err, ErrUnsupported) && !errors.Is(err, ErrWindow) {
			t.Errorf("%x: %v, and %d bytes by the other decoder", packed, err, len(want))
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	data := samples(b)["program"]
	packed := pack(b, data, zstd.WithEncoderLevel(zstd.SpeedBestCompression))
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, err := Decode(packed, len(data), testWindow); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeOther(b *testing.B) {
	data := samples(b)["program"]
	packed := pack(b, data, zstd.WithEncoderLevel(zstd.SpeedBestCompression))
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, err := d.DecodeAll(packed, nil); err != nil {
			b.Fatal(err)
		}
	}
}
