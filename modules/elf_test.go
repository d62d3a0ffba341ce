package modules

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// makeModule writes an ELF object with the two sections that are read.
func makeModule(wide bool, order binary.ByteOrder, modinfo, exports string) []byte {
	names := "\x00.modinfo\x00__ksymtab_strings\x00.shstrtab\x00"
	body := []string{"", modinfo, exports, names}
	headerSize, entrySize := 52, 40
	if wide {
		headerSize, entrySize = 64, 64
	}
	data := make([]byte, headerSize)
	var offsets []int
	for _, b := range body {
		offsets = append(offsets, len(data))
		data = append(data, b...)
	}
	table := len(data)
	for i, b := range body {
		h := make([]byte, entrySize)
		order.PutUint32(h, uint32([]int{0, 1, 10, 28}[i]))
		order.PutUint32(h[4:], 1)
		if wide {
			order.PutUint64(h[24:], uint64(offsets[i]))
			order.PutUint64(h[32:], uint64(len(b)))
		} else {
			order.PutUint32(h[16:], uint32(offsets[i]))
			order.PutUint32(h[20:], uint32(len(b)))
		}
		data = append(data, h...)
	}
	copy(data, "\x7fELF")
	data[4], data[5] = 1, 1
	if wide {
		data[4] = 2
	}
	if order == binary.ByteOrder(binary.BigEndian) {
		data[5] = 2
	}
	put16 := func(at, v int) { order.PutUint16(data[at:], uint16(v)) }
	if wide {
		order.PutUint64(data[40:], uint64(table))
		put16(58, entrySize)
		put16(60, len(body))
		put16(62, len(body)-1)
	} else {
		order.PutUint32(data[32:], uint32(table))
		put16(46, entrySize)
		put16(48, len(body))
		put16(50, len(body)-1)
	}
	return data
}

const testModinfo = "name=a-b\x00depends=c,d-e,\x00alias=pci:v*\x00alias=x-y\x00softdep=pre: z\x00vermagic=6.1 SMP\x00\x00novalue\x00license=GPL"

func TestParseInfo(t *testing.T) {
	want := &Info{Name: "a_b", Depends: []string{"c", "d_e"}, Aliases: []string{"pci:v*", "x-y"}, SoftDeps: []string{"pre: z"},
		VerMagic: "6.1 SMP", Exports: []string{"one", "two"}}
	for _, wide := range []bool{true, false} {
		for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
			got, err := parseInfo(makeModule(wide, order, testModinfo, "one\x00two\x00\x00"))
			if diff := cmp.Diff(want, got); diff != "" || err != nil {
				t.Errorf("64 bits %v, %v: %s %v", wide, order, diff, err)
			}
		}
	}
	whole := makeModule(true, binary.LittleEndian, testModinfo, "one\x00")
	for n := range whole {
		if _, err := parseInfo(whole[:n]); !errors.Is(err, ErrNotModule) {
			t.Fatalf("cut at %d: %v", n, err)
		}
	}
}

// A section that claims more than the file has.
func TestParseInfoBounds(t *testing.T) {
	for _, at := range []int{24, 32} { // offset and size in a header of 64 bits
		data := makeModule(true, binary.LittleEndian, testModinfo, "")
		header := binary.LittleEndian.Uint64(data[40:]) + 64 // of .modinfo
		for _, value := range []uint64{uint64(len(data)) + 1, 1 << 40, 1<<64 - 1} {
			binary.LittleEndian.PutUint64(data[header+uint64(at):], value)
			if info, err := parseInfo(data); !errors.Is(err, ErrNotModule) {
				t.Errorf("%d at %d: %+v, %v", value, at, info, err)
			}
		}
	}
}

func FuzzParseInfo(f *testing.F) {
	f.Add(makeModule(true, binary.LittleEndian, testModinfo, "one\x00"))
	f.Add(makeModule(false, binary.BigEndian, testModinfo, "one\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		info, err := parseInfo(data)
		if err != nil {
			if info != nil || !errors.Is(err, ErrNotModule) {
				t.Errorf("%+v, %v", info, err)
			}
			return
		}
		// Nothing is made up: all of it lies in the data.
		for _, list := range [][]string{info.Aliases, info.SoftDeps, info.Exports, {info.VerMagic}} {
			for _, s := range list {
				if !bytes.Contains(data, []byte(s)) {
					t.Errorf("%q is not in the data", s)
				}
			}
		}
	})
}

// packAll packs data in each way that is known.
func packAll(t testing.TB, data []byte) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	var gz, x bytes.Buffer
	g := gzip.NewWriter(&gz)
	w, err := xz.WriterConfig{CheckSum: xz.CRC32, DictCap: 1 << 20}.NewWriter(&x)
	if err != nil {
		t.Fatal(err)
	}
	for _, writer := range []interface {
		Write([]byte) (int, error)
		Close() error
	}{g, w} {
		if _, err := writer.Write(data); err != nil {
			t.Fatal(err)
		}
		if err := writer.Close(); err != nil {
			t.Fatal(err)
		}
	}
	out["gz"], out["xz"] = gz.Bytes(), x.Bytes()
	z, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	out["zst"] = z.EncodeAll(data, nil)
	return out
}

func TestDecompress(t *testing.T) {
	data := bytes.Repeat([]byte("some text that packs well "), 10_000)
	for name, packed := range packAll(t, data) {
		got, err := decompress(packed)
		if err != nil || !bytes.Equal(got, data) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
		for _, n := range []int{8, len(packed) / 2, len(packed) - 13} {
			if got, err := decompress(packed[:n]); err == nil {
				t.Errorf("%s cut at %d of %d: %d bytes and no error", name, n, len(packed), len(got))
			}
		}
	}
	if got, err := decompress(data); err != nil || !bytes.Equal(got, data) {
		t.Errorf("plain: %v", err)
	}
	packed := packAll(t, data)["xz"]
	sum := binary.LittleEndian.AppendUint32(nil, crc32.ChecksumIEEE(data))
	if i := bytes.Index(packed, sum); i < 0 {
		t.Error("the xz file has no checksum")
	} else if packed[i] ^= 1; true {
		if _, err := decompress(packed); !errors.Is(err, errXZ) {
			t.Errorf("a wrong checksum: %v", err)
		}
	}
	if _, err := unxz(packAll(t, data)["xz"], len(data)-1); !errors.Is(err, ErrTooLarge) {
		t.Errorf("beyond the limit: %v", err)
	}
}

// What the xz program writes: several blocks, every check, and what is refused.
func TestXZProgram(t *testing.T) {
	data := bytes.Repeat([]byte("0123456789 some text that packs well\n"), 20_000)
	file := filepath.Join(t.TempDir(), "data")
	if err := os.WriteFile(file, data, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		flags string
		err   error
	}{
		{"--check=crc32 --lzma2=dict=2MiB", nil}, {"--check=crc64", nil}, {"--check=sha256", nil}, {"--check=none", nil},
		{"--block-size=65536", nil}, {"-T2 --block-size=65536", nil},
		{"--x86 --lzma2", errors.ErrUnsupported}, {"--lzma2=dict=1GiB", ErrTooLarge},
	} {
		packed, err := exec.Command("xz", append(strings.Fields("-c "+c.flags), file)...).Output()
		if err != nil {
			t.Fatalf("xz %s: %v (install xz-utils)", c.flags, err)
		}
		got, err := decompress(packed)
		if !errors.Is(err, c.err) || c.err == nil && !bytes.Equal(got, data) {
			t.Errorf("xz %s: %d bytes, %v", c.flags, len(got), err)
		}
		if c.err == nil && !strings.Contains(c.flags, "none") && !strings.Contains(c.flags, "sha256") {
			packed[len(packed)/3] ^= 0x40
			if _, err := decompress(packed); err == nil {
				t.Errorf("xz %s, damaged: no error", c.flags)
			}
		}
	}
}

func FuzzDecompress(f *testing.F) {
	for _, packed := range packAll(f, []byte("some text, some text, some text")) {
		f.Add(packed)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		// The limit of the fuzzing is smaller than the real one, so that a bomb shows as more than it.
		if packingOf(data) == packedXZ {
			if got, err := unxz(data, 1<<20); err == nil && len(got) > 1<<20 {
				t.Errorf("%d bytes beyond the limit", len(got))
			}
			return
		}
		got, err := decompress(data)
		if err == nil && packingOf(data) == plain && !slices.Equal(got, data) {
			t.Error("plain data was changed")
		}
	})
}
