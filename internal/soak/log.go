package soak

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"os"
)

// A record has a head of four big-endian numbers, magic (4 bytes), length (4), number (8) and sum (4), and then as many bytes
// as the length says, which follow from the number alone. The sum is of the head before it, and of these bytes.
const (
	headSize    = 20
	recordMagic = 0x534f414b
	// MaxRecord is the most bytes that one record takes: some of a sector, some of several blocks.
	MaxRecord = headSize + 3*4096
)

// record makes the record of a number.
func record(number uint64) []byte {
	r := rand.New(rand.NewPCG(number, recordMagic))
	length := r.IntN(600)
	if r.IntN(4) == 0 {
		length = r.IntN(MaxRecord - headSize + 1)
	}
	data := make([]byte, headSize, headSize+length)
	binary.BigEndian.PutUint32(data, recordMagic)
	binary.BigEndian.PutUint32(data[4:], uint32(length))
	binary.BigEndian.PutUint64(data[8:], number)
	for len(data) < headSize+length {
		data = append(data, byte(r.Uint32()))
	}
	sum := crc32.ChecksumIEEE(data[:headSize-4])
	binary.BigEndian.PutUint32(data[headSize-4:], crc32.Update(sum, crc32.IEEETable, data[headSize:]))
	return data
}

// Found is what a log holds.
type Found struct {
	Whole uint64 // the number of the last record of those that are whole and in order, from 1 on
	Bytes int64  // how many bytes they take
	Torn  int64  // the bytes behind them
}

// Read reads a log from its beginning.
func Read(r io.Reader) (Found, error) {
	var f Found
	in := bufio.NewReaderSize(r, 1<<16)
	for {
		want := record(f.Whole + 1)
		got := make([]byte, len(want))
		n, err := io.ReadFull(in, got)
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return f, err
		}
		if n < len(want) || string(got) != string(want) {
			rest, err := io.Copy(io.Discard, in)
			f.Torn = int64(n) + rest
			return f, err
		}
		f.Whole++
		f.Bytes += int64(n)
	}
}

// Log is a file of numbered records.
type Log struct {
	file *os.File
	last uint64
}

// Open opens a log, or makes it, and cuts off what is torn at its end, as a database does with its journal.
func Open(path string) (*Log, Found, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, Found{}, err
	}
	f, err := Read(file)
	if err == nil {
		err = file.Truncate(f.Bytes)
	}
	if err == nil {
		_, err = file.Seek(f.Bytes, io.SeekStart)
	}
	if err != nil {
		return nil, f, errors.Join(fmt.Errorf("opening the log: %w", err), file.Close())
	}
	return &Log{file, f.Whole}, f, nil
}

// Append writes the next record and returns its number when it is safe.
func (l *Log) Append() (uint64, error) {
	if _, err := l.file.Write(record(l.last + 1)); err != nil {
		return 0, err
	}
	if err := l.file.Sync(); err != nil {
		return 0, err
	}
	l.last++
	return l.last, nil
}

// Close closes the file.
func (l *Log) Close() error { return l.file.Close() }
