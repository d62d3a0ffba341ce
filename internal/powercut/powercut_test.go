package powercut

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func blank(t *testing.T, sectors int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(path, make([]byte, sectors*SectorSize), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func open(t *testing.T, path string) *Disk {
	t.Helper()
	d, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func sectors(n int, fill byte) []byte { return bytes.Repeat([]byte{fill}, n*SectorSize) }

func write(t *testing.T, d *Disk, content []byte, sector int64) {
	t.Helper()
	if _, err := d.WriteAt(content, sector*SectorSize); err != nil {
		t.Fatal(err)
	}
}

// Whatever the dice say: what was flushed is there, and what was not is of one of its ages, sector by sector.
func TestCut(t *testing.T) {
	const count = 64
	seen := map[byte]int{}
	for seed := range uint64(200) {
		path := blank(t, count)
		d := open(t, path)
		write(t, d, sectors(count, 'a'), 0)
		if err := d.Flush(); err != nil {
			t.Fatal(err)
		}
		write(t, d, sectors(count/2, 'b'), count/2)
		write(t, d, sectors(count/4, 'c'), count/2)
		got := make([]byte, SectorSize)
		if _, err := d.ReadAt(got, count/2*SectorSize); err != nil || got[0] != 'c' {
			t.Fatalf("before the cut %q is read, %v", got[0], err)
		}
		loss, err := d.Cut(rand.New(rand.NewPCG(seed, 0)))
		if err != nil || loss.Cached != count/2 || loss.Lost > loss.Cached {
			t.Fatalf("%+v, %v", loss, err)
		}
		image, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		lost := 0
		for n := range count {
			sector := image[n*SectorSize : (n+1)*SectorSize]
			may := "a"
			switch {
			case n >= count*3/4:
				may = "ab"
			case n >= count/2:
				may = "abc"
			}
			if !bytes.Equal(sector, sectors(1, sector[0])) || bytes.IndexByte([]byte(may), sector[0]) < 0 {
				t.Fatalf("seed %d: sector %d is %q", seed, n, sector[:4])
			}
			if sector[0] != may[len(may)-1] {
				lost++
			}
			if n >= count/2 && n < count*3/4 {
				seen[sector[0]]++
			}
		}
		if lost != loss.Lost {
			t.Errorf("seed %d: %d sectors are lost, and %+v was told", seed, lost, loss)
		}
	}
	for _, age := range "abc" {
		if seen[byte(age)] < 100 {
			t.Errorf("of its ages a sector had %c %d times only", age, seen[byte(age)])
		}
	}
}

func TestWithoutPower(t *testing.T) {
	d := open(t, blank(t, 8))
	write(t, d, sectors(1, 'x'), 0)
	d.Off()
	if err := d.Flush(); !errors.Is(err, ErrCut) {
		t.Errorf("flush: %v", err)
	}
	if _, err := d.WriteAt(sectors(1, 'x'), 0); !errors.Is(err, ErrCut) {
		t.Errorf("write: %v", err)
	}
	if _, err := d.ReadAt(sectors(1, 'x'), 0); !errors.Is(err, ErrCut) {
		t.Errorf("read: %v", err)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

func TestOffAfter(t *testing.T) {
	path := blank(t, 8)
	d := open(t, path)
	d.OffAfter(3)
	write(t, d, sectors(1, 'x'), 0)
	if err := d.Flush(); err != nil {
		t.Fatal(err)
	}
	write(t, d, sectors(2, 'x'), 1)
	if _, err := d.WriteAt(sectors(3, 'x'), 3*SectorSize); !errors.Is(err, ErrCut) {
		t.Errorf("the third write: %v", err)
	}
	if err := d.Flush(); !errors.Is(err, ErrCut) {
		t.Errorf("a flush after it: %v", err)
	}
	loss, err := d.Cut(rand.New(rand.NewPCG(0, 0)))
	if err != nil || loss.Cached != 5 {
		t.Errorf("%+v, %v", loss, err)
	}
}

func TestBounds(t *testing.T) {
	d := open(t, blank(t, 8))
	for _, at := range []struct {
		n   int
		off int64
	}{{1, 0}, {SectorSize, 1}, {SectorSize, -SectorSize}, {SectorSize, 8 * SectorSize}, {2 * SectorSize, 7 * SectorSize}} {
		if _, err := d.WriteAt(make([]byte, at.n), at.off); !errors.Is(err, os.ErrInvalid) {
			t.Errorf("%+v: %v", at, err)
		}
		if _, err := d.ReadAt(make([]byte, at.n), at.off); !errors.Is(err, os.ErrInvalid) {
			t.Errorf("%+v: %v", at, err)
		}
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	odd := filepath.Join(t.TempDir(), "odd")
	if err := os.WriteFile(odd, make([]byte, 100), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(odd); err == nil {
		t.Error("an image with a part of a sector is opened")
	}
	if _, err := Open(filepath.Join(t.TempDir(), "missing")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("an image that is missing: %v", err)
	}
}

// What is closed in order is complete, in runs that are longer than what is written at once.
func TestClose(t *testing.T) {
	path := blank(t, 5000)
	d := open(t, path)
	want := make([]byte, 5000*SectorSize)
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		n, at := 1+r.IntN(50), r.IntN(4950)
		content := sectors(n, byte(r.IntN(256)))
		write(t, d, content, int64(at))
		copy(want[at*SectorSize:], content)
	}
	for at := range 5000 {
		if want[at*SectorSize] == 0 {
			write(t, d, sectors(1, 7), int64(at))
			copy(want[at*SectorSize:], sectors(1, 7))
		}
	}
	got := make([]byte, len(want))
	if _, err := d.ReadAt(got, 0); err != nil || !bytes.Equal(got, want) {
		t.Errorf("before it is closed, something else is read than was written, %v", err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
		t.Errorf("something else is there than was written, %v", err)
	}
}

// A client without power hears nothing more.
func TestSilence(t *testing.T) {
	d := open(t, blank(t, 8))
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go d.Serve(l)
	conn, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	flush := append([]byte{0x25, 0x60, 0x95, 0x13, 0, 0, 0, commandFlush}, make([]byte, 20)...)
	say := func(data []byte, answer int) {
		t.Helper()
		if _, err := conn.Write(data); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(conn, make([]byte, answer)); err != nil {
			t.Fatal(err)
		}
	}
	say([]byte{0, 0, 0, 3}, 18)
	say(append([]byte("IHAVEOPT"), 0, 0, 0, 1, 0, 0, 0, 0), 10)
	say(flush, 16)
	d.Off()
	if _, err := conn.Write(flush); err != nil {
		t.Fatal(err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if n, err := conn.Read(make([]byte, 1)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("without power the disk says %d bytes, %v", n, err)
	}
	if _, err := d.Cut(rand.New(rand.NewPCG(0, 0))); err != nil {
		t.Error(err)
	}
}

// FuzzClient: whatever a client says, it is answered or left.
func FuzzClient(f *testing.F) {
	hello := []byte{0, 0, 0, 3}
	option := append([]byte("IHAVEOPT"), 0, 0, 0, 7, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0)
	ask := func(command byte, length byte) []byte {
		return []byte{0x25, 0x60, 0x95, 0x13, 0, 0, 0, command, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, length, 0}
	}
	f.Add(bytes.Join([][]byte{hello, option, ask(commandRead, 2), ask(commandWrite, 2), sectors(1, 'x'), ask(commandFlush, 0), ask(9, 0), ask(commandLeave, 0)}, nil))
	f.Add(bytes.Join([][]byte{hello, []byte("IHAVEOPT"), {0, 0, 0, 1, 0, 0, 0, 0}, ask(commandRead, 1)}, nil))
	f.Add(bytes.Join([][]byte{hello, []byte("IHAVEOPT"), {0, 0, 0, 8, 0, 0, 0, 0}, []byte("IHAVEOPT"), {0, 0, 0, 2, 0, 0, 0, 0}}, nil))
	f.Fuzz(func(t *testing.T, said []byte) {
		d := open(t, blank(t, 64))
		here, there := net.Pipe()
		l := &oneConn{conns: make(chan net.Conn, 1)}
		l.conns <- there
		close(l.conns)
		d.Serve(l)
		deadline := time.Now().Add(10 * time.Second)
		if err := here.SetDeadline(deadline); err != nil {
			t.Fatal(err)
		}
		heard := make(chan error, 1)
		go func() {
			_, err := io.Copy(io.Discard, here)
			heard <- err
		}()
		// A client that was left cannot say the rest.
		_, _ = here.Write(said)
		here.Close()
		<-heard
		if time.Now().After(deadline) {
			t.Error("the server neither answers nor leaves")
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
}

// oneConn is a listener with one connection.
type oneConn struct{ conns chan net.Conn }

func (l *oneConn) Accept() (net.Conn, error) {
	if c, ok := <-l.conns; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}
func (l *oneConn) Close() error   { return nil }
func (l *oneConn) Addr() net.Addr { return nil }
