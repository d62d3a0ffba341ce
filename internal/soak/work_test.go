package soak_test

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/dockerlaunch/dockerlaunch/internal/soak"
)

// recording is a connection to the recorder.
type recording struct {
	conn    net.Conn
	lines   *bufio.Scanner
	numbers chan uint64
	synced  chan struct{}
}

// listen connects to the recorder, which shows that the container is back, and holds what it found to what it had told.
func (w *world) listen(t *testing.T, m *machine) *recording {
	t.Helper()
	address, err := m.Forwarded(recorderPort)
	if err != nil {
		t.Fatal(err)
	}
	var r *recording
	for deadline := time.Now().Add(answerLimit); ; time.Sleep(100 * time.Millisecond) {
		conn, err := net.DialTimeout("tcp", address, 5*time.Second)
		if err == nil {
			err = conn.SetDeadline(time.Now().Add(5 * time.Second))
		}
		if err == nil {
			r = &recording{conn, bufio.NewScanner(conn), make(chan uint64, 1), make(chan struct{}, 1)}
			if r.lines.Scan() {
				break
			}
			err = errors.Join(errors.New("the recorder says nothing"), r.lines.Err(), conn.Close())
		}
		if time.Now().After(deadline) {
			t.Fatalf("the container with restart=always does not answer: %v\n%s", err, m.Console())
		}
	}
	if err := r.conn.SetDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	var whole, torn, mark uint64
	if _, err := fmt.Sscanf(r.lines.Text(), "found %d %d %d", &whole, &torn, &mark); err != nil {
		t.Fatalf("the recorder says %q: %v", r.lines.Text(), err)
	}
	t.Logf("found: %d records, %d bytes of the next, mark %d; safe were %d and %d", whole, torn, mark, w.safe, w.mark)
	if whole < w.safe {
		t.Errorf("LOST: %d records were safe, and %d are there, in front of %d bytes", w.safe, whole, torn)
	}
	if mark < w.mark || mark > whole {
		t.Errorf("LOST: the mark %d was safe, and %d is there, at %d records", w.mark, mark, whole)
	}
	if torn >= soak.MaxRecord {
		t.Errorf("%d bytes are behind the last whole record, and a record has %d at the most", torn, soak.MaxRecord)
	}
	return r
}

// wait waits for as many safe records.
func (r *recording) wait(t *testing.T, count int) (last uint64) {
	t.Helper()
	for range count {
		select {
		case last = <-r.numbers:
		case <-time.After(answerLimit):
			t.Fatal("the recorder writes nothing")
		}
	}
	return last
}

// follow notes what the recorder tells, until the connection ends.
func (w *world) follow(_ context.Context, _ *engine, r *recording) error {
	for r.lines.Scan() {
		if r.lines.Text() == "synced" {
			r.synced <- struct{}{}
			continue
		}
		number, err := strconv.ParseUint(r.lines.Text(), 10, 64)
		if err != nil {
			return err
		}
		w.mu.Lock()
		w.safe, w.mark = number, number/8*8
		w.mu.Unlock()
		select {
		case r.numbers <- number:
		default:
		}
	}
	return nil // the power is off, or the test has hung up
}

// loadImages loads images until the power goes, and has every second one made safe.
func (w *world) loadImages(ctx context.Context, e *engine, r *recording) error {
	for ctx.Err() == nil {
		// A number whose image went down with the power is not taken again: Docker may know its layer, without the files, and takes
		// it for the same.
		number := w.number
		w.number++
		tag := strconv.Itoa(number)
		content := make([]byte, 100_000+number*7919%900_000)
		for i := range content {
			content[i] = byte(number + i*i>>8)
		}
		if err := e.load(ctx, tag, w.host.recorder, content); err != nil {
			return lostPower(err)
		}
		w.mu.Lock()
		w.images[tag] = &image{sum: fmt.Sprintf("%x", sha256.Sum256(content))}
		w.mu.Unlock()
		if number%2 == 0 {
			continue
		}
		if _, err := fmt.Fprintln(r.conn, "sync"); err != nil {
			return lostPower(err)
		}
		select {
		case <-r.synced:
		case <-ctx.Done():
			return nil
		}
		w.mu.Lock()
		for _, i := range w.images {
			i.safe = true
		}
		w.mu.Unlock()
	}
	return nil
}

// makeContainers makes and removes containers until the power goes.
func (w *world) makeContainers(ctx context.Context, e *engine, _ *recording) error {
	for n := 0; ctx.Err() == nil; n++ {
		id, err := e.create(ctx, "base", "", false, "sum", "/content", "none")
		if err == nil && n%3 == 0 {
			err = e.start(ctx, id)
		}
		if err == nil && n%4 != 3 { // some are left for the next machine
			err = e.remove(ctx, id)
		}
		if err != nil {
			return lostPower(err)
		}
	}
	return nil
}

// lostPower takes errors of connections for what they are: their end is that of the machine. What Docker itself refuses is
// an error.
func lostPower(err error) error {
	var refused *refusal
	if errors.As(err, &refused) {
		return err
	}
	return nil
}
