package unpack

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"testing"

	"github.com/dockerlaunch/dockerlaunch/internal/testenv"
)

// code is what the filters look for: much that looks like calls, densely and not, in either byte order.
func code(n int) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	out := make([]byte, 0, n+8)
	for len(out) < n {
		switch r.IntN(8) {
		case 0, 1:
			out = append(out, 0xe8|byte(r.IntN(2)), byte(r.IntN(256)), byte(r.IntN(256)), byte(r.IntN(256)), byte(-r.IntN(2)))
		case 2:
			out = append(out, 0xe8, 0xe9, byte(-r.IntN(2)), byte(-r.IntN(2)))
		case 3:
			out = append(out, byte(r.IntN(256)), byte(r.IntN(256)), byte(r.IntN(256)), 0xeb)
		case 4:
			for len(out)%4 != 0 {
				out = append(out, 0)
			}
			out = append(out, 0x48, byte(r.IntN(256)), byte(r.IntN(256)), byte(r.IntN(64))<<2|1)
		default:
			out = append(out, byte(r.IntN(256)))
		}
	}
	return out[:n]
}

// packed is what a packer makes of data. The packers write formats that this package reads and cannot write.
func packed(t testing.TB, data []byte, command ...string) []byte {
	t.Helper()
	if _, err := exec.LookPath(command[0]); err != nil {
		testenv.Missing(t, "it needs "+command[0]+" (scripts/install-tools test)")
	}
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stdin, cmd.Stderr = bytes.NewReader(data), os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v", command, err)
	}
	return out
}

func TestFormats(t *testing.T) {
	for _, test := range []struct {
		want    Format
		command []string
	}{
		{Gzip, []string{"gzip", "-c", "-n"}},
		{XZ, []string{"xz", "-c"}},
		{XZ, []string{"xz", "-c", "--check=none", "--block-size=10000"}},
		{XZ, []string{"xz", "-c", "--check=sha256"}},
		{XZ, []string{"xz", "-c", "--check=crc32", "--x86", "--lzma2=dict=128MiB"}},
		{XZ, []string{"xz", "-c", "--check=crc32", "--x86", "--lzma2=dict=1MiB", "--block-size=9999"}},
		{XZ, []string{"xz", "-c", "--check=crc32", "--powerpc", "--lzma2=dict=1MiB"}},
		{XZ, []string{"xz", "-c", "--check=crc32", "--arm", "--lzma2=dict=1MiB"}},
		{LZMA, []string{"xz", "-c", "--format=lzma"}},
		{Zstd, []string{"zstd", "-q", "-c", "-22", "--ultra"}},
		{LZ4, []string{"lz4", "-q", "-c", "-l"}},
	} {
		for _, size := range []int{0, 7, 100_001} {
			data := code(size)
			in := packed(t, data, test.command...)
			if f := FormatOf(in); f != test.want && size > 7 {
				t.Errorf("%v: taken for %q", test.command, f)
				continue
			}
			if size == 0 && (test.want == LZ4 || test.want == Zstd) {
				continue // nothing is in it that what follows could be told from
			}
			// What follows must not matter: an image goes on behind what is packed in it.
			r, err := NewReader(test.want, append(in, "further bytes of an image"...))
			if err != nil {
				t.Errorf("%v of %d bytes: %v", test.command, size, err)
				continue
			}
			got, err := io.ReadAll(r)
			if err != nil || !bytes.Equal(got, data) {
				t.Errorf("%v of %d bytes: %d bytes, right %v, %v", test.command, size, len(got), bytes.Equal(got, data), err)
			}
			if size < 100 || test.want == LZ4 { // a cut in lz4's legacy frame looks like its end
				continue
			}
			r, err = NewReader(test.want, in[:len(in)/2])
			if err == nil {
				_, err = io.Copy(io.Discard, r)
			}
			if err == nil {
				t.Errorf("%v, cut in half: no error", test.command)
			}
		}
	}
}

func TestRefused(t *testing.T) {
	data := code(5000)
	for _, test := range []struct {
		name string
		in   []byte
		want error
	}{
		{"lzo", append([]byte("\x89LZO\x00\r\n\x1a\n"), data...), ErrUnsupported},
		{"bzip2", append([]byte("BZh9\x31\x41\x59\x26\x53\x59"), data...), ErrUnsupported},
		{"sparc filter", packed(t, data, "xz", "-c", "--sparc", "--lzma2"), ErrUnsupported},
		{"dictionary", packed(t, data, "xz", "-c", "--lzma2=dict=512MiB"), ErrWindow},
		{"lzma dictionary", packed(t, data, "xz", "-c", "--format=lzma", "--lzma1=dict=512MiB"), ErrWindow},
		{"xz checksum", func() []byte {
			in := packed(t, data, "xz", "-c", "--lzma2=preset=0")
			in[len(in)/2] ^= 1
			return in
		}(), ErrDamaged},
	} {
		r, err := NewReader(FormatOf(test.in), test.in)
		if err == nil {
			_, err = io.Copy(io.Discard, r)
		}
		if !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", test.name, err, test.want)
		}
	}
}

func FuzzUnpack(f *testing.F) {
	data := code(300)
	for _, command := range [][]string{
		{"gzip", "-c"}, {"xz", "-c", "--x86", "--lzma2"}, {"xz", "-c", "--format=lzma"}, {"zstd", "-q", "-c"}, {"lz4", "-q", "-c", "-l"},
	} {
		f.Add(packed(f, data, command...))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		format := FormatOf(in)
		r, err := NewReader(format, in)
		if err != nil {
			return
		}
		if n, err := io.Copy(io.Discard, io.LimitReader(r, 1<<20)); err == nil && n < 0 {
			t.Errorf("%s: %d bytes", format, n)
		}
	})
}
