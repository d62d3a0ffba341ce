package soak

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

func TestLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	l, f, err := Open(path)
	if err != nil || f != (Found{}) {
		t.Fatalf("a new log: %+v, %v", f, err)
	}
	for want := uint64(1); want <= 50; want++ {
		if got, err := l.Append(); err != nil || got != want {
			t.Fatalf("record %d: %d, %v", want, got, err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// Cut off anywhere in the last record, 49 are left, and the log goes on with the fiftieth.
	for cut := 1; cut < len(record(50)); cut += 7 {
		if err := os.WriteFile(path, whole[:len(whole)-cut], 0o600); err != nil {
			t.Fatal(err)
		}
		l, f, err := Open(path)
		if err != nil || f.Whole != 49 || f.Torn != int64(len(record(50))-cut) {
			t.Fatalf("without %d bytes: %+v, %v", cut, f, err)
		}
		if n, err := l.Append(); err != nil || n != 50 {
			t.Fatalf("after that: %d, %v", n, err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if again, err := os.ReadFile(path); err != nil || !bytes.Equal(again, whole) {
			t.Fatalf("after that the log is another one, %v", err)
		}
	}
}

// One byte that changes anywhere ends the log before its record.
func TestDamagedLog(t *testing.T) {
	var whole []byte
	var ends []int
	for n := uint64(1); n <= 8; n++ {
		whole = append(whole, record(n)...)
		ends = append(ends, len(whole))
	}
	for at := range whole {
		damaged := bytes.Clone(whole)
		damaged[at] ^= 0x10
		f, err := Read(bytes.NewReader(damaged))
		want := uint64(0)
		for _, end := range ends {
			if end <= at {
				want++
			}
		}
		if err != nil || f.Whole != want || f.Bytes+f.Torn != int64(len(whole)) {
			t.Fatalf("byte %d changed: %+v, %v; %d records are before it", at, f, err, want)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add(append(record(1), record(2)...))
	f.Add(record(1)[:9])
	f.Fuzz(func(t *testing.T, data []byte) {
		found, err := Read(bytes.NewReader(data))
		if err != nil || found.Bytes+found.Torn != int64(len(data)) {
			t.Errorf("%+v of %d bytes, %v", found, len(data), err)
		}
	})
}
