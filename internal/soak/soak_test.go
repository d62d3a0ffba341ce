package soak_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dockerlaunch/dockerlaunch/internal/powercut"
)

const (
	// defaultCuts are made unless SOAK_CUTS says otherwise; where that is not said, no new one is begun after timeBudget,
	// so that a slow machine makes fewer, but leastCuts in any case.
	defaultCuts = 20
	leastCuts   = 5
	timeBudget  = 12 * time.Minute
	// longestLife is how long a machine's containers write at the most before its power goes.
	longestLife = 4 * time.Second
	// settleTime is after what an image is to be safe that nobody flushed but the launcher. The kernel waits thrice as long.
	settleTime = 10 * time.Second
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
	// safe: sync(2) was called after Docker had said that the image is there, or the launcher has had time for it. Docker itself
	// does not flush an image's files.
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
	works := []func(context.Context, *engine, *recording) error{w.follow, w.loadImages, w.makeContainers}
	if first {
		works = works[:1] // the others flush the filesystem, which also the end of a container does
	}
	for _, work := range works {
		working.Go(func() {
			if err := work(ctx, e, r); err != nil {
				failed <- err
			}
		})
	}
	begun := r.wait(t, 1)
	life := time.Duration(w.random.Int64N(int64(longestLife)))
	if first {
		life = settleTime
	}
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
		w.giveUp(t, m, err)
	}
}

// giveUp cuts the power of a machine that the emulation has failed, which must not happen often.
func (w *world) giveUp(t *testing.T, m *machine, err error) {
	t.Helper()
	loss := w.takePower(t, m)
	if w.stalled++; w.stalled > mostStalled {
		t.Fatalf("%v, for the %dth time:\n%s", err, w.stalled, m.Console())
	}
	t.Logf("cut after %.1f s, because %v: %v", time.Since(m.on).Seconds(), err, loss)
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
	if err := m.shows(t, `mounted filesystem`); err != nil { // of the root
		w.giveUp(t, m, err)
		return
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
	content := []byte(strings.Repeat("settled ", 50_000))
	var id string
	if err == nil {
		id, err = e.create(ctx, "base", "recorder", true, "record", "/log", ":"+strconv.Itoa(recorderPort))
	}
	if err == nil {
		err = e.start(ctx, id)
	}
	if err == nil {
		err = e.load(ctx, "settled", w.host.recorder, content)
	}
	if err != nil {
		t.Fatalf("setting up: %v", err)
	}
	w.images["base"] = &image{sum: fmt.Sprintf("%x", sha256.Sum256(nil)), seen: true}
	w.images["settled"] = &image{sum: fmt.Sprintf("%x", sha256.Sum256(content)), safe: true}
}
