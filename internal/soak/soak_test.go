package soak_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dockerlaunch/dockerlaunch/internal/powercut"
	"github.com/dockerlaunch/dockerlaunch/internal/soak"
	"github.com/dockerlaunch/dockerlaunch/internal/testenv"
)

const (
	// defaultCuts are made unless SOAK_CUTS says otherwise; where that is not said, no new one is begun after timeBudget,
	// so that a slow machine makes fewer, but leastCuts in any case.
	defaultCuts = 20
	leastCuts   = 5
	timeBudget  = 5 * time.Minute
	// longestLife is how long a machine's containers write at the most before its power goes.
	longestLife = 4 * time.Second
	// mostStalled is how often the emulation may fail.
	mostStalled = 3
)

// setting reads a number from the environment.
func setting(t *testing.T, name string) (n uint64, set bool) {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return 0, false
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n, true
}

// TestPowerCuts cuts the power of one machine after the other, all with the same disk. SOAK_CUTS is how often; SOAK_SEED repeats
// the choices of another run, though not the moments at which the machine's programs are hit.
func TestPowerCuts(t *testing.T) {
	cuts, asked := setting(t, "SOAK_CUTS")
	if !asked {
		cuts = defaultCuts
	}
	seed, given := setting(t, "SOAK_SEED")
	if !given {
		seed = uint64(time.Now().UnixNano() % 1e9)
	}
	t.Logf("SOAK_SEED=%d", seed)
	w := &world{host: prepare(t), random: rand.New(rand.NewPCG(seed, 0)), images: map[string]*image{}}
	begin := time.Now()
	done := uint64(0)
	for ; done < cuts && !t.Failed(); done++ {
		if !asked && done >= leastCuts && time.Since(begin) > timeBudget {
			t.Logf("no time is left for more: %d cuts were to be made", cuts)
			break
		}
		if done > 0 && w.random.IntN(6) == 0 {
			t.Run(fmt.Sprintf("cut in the start before %d", done+1), w.cutInStart)
		}
		t.Run(fmt.Sprintf("cut %d", done+1), func(t *testing.T) { w.life(t, true) })
	}
	if !t.Failed() {
		t.Run("power off", func(t *testing.T) { w.life(t, false) })
	}
	t.Logf("%d cuts and %d more in the midst of a start, SOAK_SEED=%d: %v, %.1f s a cut; %d records safe, %d images loaded, %d of them not yet safe when the power went, of which %d were gone and %d damaged",
		done, w.inStart+w.stalled, seed, time.Since(begin).Round(time.Second), time.Since(begin).Seconds()/float64(max(done, 1)), w.safe, w.number, w.unsafe, w.gone, w.damaged)
}

// world is what is known outside of the machines.
type world struct {
	host   *host
	random *rand.Rand

	mu   sync.Mutex
	safe uint64 // the last record that was told to be safe
	mark uint64 // the last mark that must be safe by that
	// images are those that Docker said to have imported.
	images map[string]*image

	number                int
	inStart, stalled      int // cuts of machines that were not up yet
	unsafe, gone, damaged int
}

type image struct {
	sum string
	// safe: sync(2) was called after Docker had said that the image is there. Docker itself does not flush an image's files.
	safe bool
	seen bool // by a machine that started later
}

// life is that of one machine: start, look at everything, work, and a cut, or an end in order.
func (w *world) life(t *testing.T, cut bool) {
	var words []string
	first := len(w.images) == 0
	if first {
		words = []string{"dockerlaunch.format=blank"}
	}
	m, e := w.up(t, words...)
	ready := time.Since(m.on)
	if first {
		w.setUp(t, e)
	}
	r := w.listen(t, m)
	defer r.conn.Close()
	if !first {
		w.lookAtDisk(t, m)
		w.lookAtImages(t, e)
	}
	if t.Failed() {
		return
	}
	looked := time.Since(m.on)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var working sync.WaitGroup
	failed := make(chan error, 3)
	for _, work := range []func(context.Context, *engine, *recording) error{w.loadImages, w.makeContainers, w.follow} {
		working.Go(func() {
			if err := work(ctx, e, r); err != nil {
				failed <- err
			}
		})
	}
	begun := r.wait(t, 1)
	life := time.Duration(w.random.Int64N(int64(longestLife)))
	select {
	case err := <-failed:
		t.Errorf("before the power went: %v\n%s", err, m.Console())
	case <-time.After(life):
	}
	if !cut {
		cancel()
		r.conn.Close()
		working.Wait()
		w.end(t, m)
		return
	}
	if w.random.IntN(4) > 0 {
		// In the midst of what is written between two flushes.
		m.disk.OffAfter(1 + w.random.IntN(30))
		select {
		case <-m.disk.Gone():
		case <-time.After(longestLife):
		}
	}
	loss := w.takePower(t, m)
	cancel()
	r.conn.Close()
	working.Wait()
	t.Logf("ready after %.1f s, looked at after %.1f s, cut %v later with records %d to %d safe: %v", ready.Seconds(), looked.Seconds(),
		life.Round(time.Millisecond), begun, w.safe, loss)
}

// up starts a machine and waits for its Docker. One that the emulation has failed loses its power like any other, and is
// followed by the next.
func (w *world) up(t *testing.T, words ...string) (*machine, *engine) {
	t.Helper()
	for {
		m := w.host.powerOn(t, words...)
		e, err := m.ready(t)
		if err == nil {
			return m, e
		}
		loss := w.takePower(t, m)
		if w.stalled++; w.stalled > mostStalled {
			t.Fatalf("%v, for the %dth time:\n%s", err, w.stalled, m.Console())
		}
		t.Logf("cut after %.1f s, because %v: %v", time.Since(m.on).Seconds(), err, loss)
	}
}

// takePower cuts the power now, or finds it cut.
func (w *world) takePower(t *testing.T, m *machine) powercut.Loss {
	t.Helper()
	m.disk.Off()
	if err := m.Cut(); err != nil {
		t.Fatal(err)
	}
	loss, err := m.disk.Cut(w.random)
	if err != nil {
		t.Fatal(err)
	}
	return loss
}

// cutInStart takes the power of a machine that is not up yet, as somebody does who tries the switch twice.
func (w *world) cutInStart(t *testing.T) {
	m := w.host.powerOn(t)
	if _, err := m.WaitFor(`mounted filesystem`, readyLimit); err != nil { // of the root
		t.Fatal(err)
	}
	wait := time.Duration(w.random.Int64N(int64(5 * time.Second)))
	select {
	case <-m.Done():
		t.Fatalf("the machine has ended:\n%s", m.Console())
	case <-time.After(wait):
	}
	loss := w.takePower(t, m)
	w.inStart++
	t.Logf("cut after %.1f s, %v after its root was mounted: %v", time.Since(m.on).Seconds(), wait.Round(time.Millisecond), loss)
}

// setUp loads the image of the recorder and starts that.
func (w *world) setUp(t *testing.T, e *engine) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), answerLimit)
	defer cancel()
	err := e.load(ctx, "base", w.host.recorder, nil)
	var id string
	if err == nil {
		id, err = e.create(ctx, "base", "recorder", true, "record", "/log", ":"+strconv.Itoa(recorderPort))
	}
	if err == nil {
		err = e.start(ctx, id)
	}
	if err != nil {
		t.Fatalf("setting up: %v", err)
	}
	w.images["base"] = &image{sum: fmt.Sprintf("%x", sha256.Sum256(nil)), seen: true}
}

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
	for ; ctx.Err() == nil; w.number++ {
		tag := strconv.Itoa(w.number)
		content := make([]byte, 100_000+w.number*7919%900_000)
		for i := range content {
			content[i] = byte(w.number + i*i>>8)
		}
		if err := e.load(ctx, tag, w.host.recorder, content); err != nil {
			return lostPower(err)
		}
		w.mu.Lock()
		w.images[tag] = &image{sum: fmt.Sprintf("%x", sha256.Sum256(content))}
		w.mu.Unlock()
		if w.number%2 == 0 {
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

// lookAtDisk sees that the filesystem was checked before it was mounted: the check replays the journal, and the kernel then
// has nothing to recover.
func (w *world) lookAtDisk(t *testing.T, m *machine) {
	t.Helper()
	console := m.Console()
	if strings.Contains(console, "recovery complete") {
		t.Errorf("the kernel had to replay the journal, e2fsck did not run:\n%s", console)
	}
	for _, bad := range []string{"EXT4-fs error", "EXT4-fs warning", "Kernel panic", "is empty, after a power cut"} {
		if strings.Contains(console, bad) {
			t.Errorf("the console says %q:\n%s", bad, console)
		}
	}
	for line := range strings.Lines(console) {
		if strings.Contains(line, "were corrected") || strings.Contains(line, "after a power cut") {
			t.Log(strings.TrimSpace(line))
		}
	}
}

// lookAtImages holds the images to what was told of them, and removes those that have been looked at.
func (w *world) lookAtImages(t *testing.T, e *engine) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), answerLimit)
	defer cancel()
	there, err := e.images(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for tag, i := range w.images {
		if i.safe && !there[tag] {
			t.Errorf("LOST: the image soak:%s was safe, and is not there", tag)
		}
	}
	ran := 0
	for _, tag := range slices.Sorted(maps.Keys(w.images)) {
		i := w.images[tag]
		if i.seen {
			continue
		}
		if !i.safe {
			w.unsafe++
			if !there[tag] {
				w.gone++
				delete(w.images, tag)
				continue
			}
		}
		err := error(nil)
		if ran++; ran <= 3 { // each takes a second or two
			err = e.run(ctx, tag, "sum", "/content", i.sum)
		}
		switch {
		case err != nil && i.safe:
			t.Errorf("LOST: the image soak:%s was safe, and does not run: %v", tag, err)
		case err != nil:
			w.damaged++
			t.Logf("the image soak:%s, of which Docker had said that it is there, and which was not safe, does not run: %v", tag, err)
		}
		if err := e.ask(ctx, "DELETE", "/images/soak:"+tag, nil, nil, nil); err != nil {
			t.Errorf("removing the image soak:%s: %v", tag, err)
		}
		delete(w.images, tag)
	}
	if !there["base"] {
		t.Error("LOST: the image of the container that runs is not there")
	}
}

// end turns the machine off by its power button, and looks at the disk.
func (w *world) end(t *testing.T, m *machine) {
	t.Helper()
	if err := m.PowerButton(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-m.Done():
	case <-time.After(answerLimit):
		t.Fatalf("the machine does not go down:\n%s", m.Console())
	}
	if err := m.disk.Close(); err != nil {
		t.Fatal(err)
	}
	fsck, err := exec.LookPath("e2fsck")
	if err != nil {
		testenv.Missing(t, err.Error())
	}
	out, err := exec.Command(fsck, "-fn", w.host.data).CombinedOutput()
	if err != nil || bytes.Contains(out, []byte("recovering journal")) {
		t.Errorf("the disk was not left clean: %v\n%s", err, out)
	}
}
