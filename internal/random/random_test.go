package random

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

func TestRead(t *testing.T) {
	a, b := make([]byte, 600), make([]byte, 600) // more than getrandom(2) gives without an interruption is 256
	if err := errors.Join(Wait(t.Context(), func() {}), Read(a), Read(b)); err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(a, b) || bytes.Equal(a[300:], make([]byte, 300)) {
		t.Error("they are not random")
	}
}

// TestWait: a generator that is seeded late is waited for, one that never is only so long.
func TestWait(t *testing.T) {
	asked := errors.New("asked for")
	for _, c := range []struct {
		name   string
		seeded time.Duration
		cancel time.Duration
		want   error
		took   time.Duration
	}{
		{"seeded after a while", 3 * time.Second, time.Hour, nil, 3 * time.Second},
		{"never seeded", 2 * time.Hour, time.Hour, ErrUnseeded, Limit},
		{"not before the end is asked for", 2 * time.Hour, time.Second, asked, time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				kernel := func(b []byte, flags int) (int, error) {
					left := c.seeded - time.Since(began)
					if left > 0 && flags&unix.GRND_NONBLOCK != 0 {
						return 0, unix.EAGAIN
					}
					time.Sleep(left)
					return len(b), nil
				}
				told := 0
				ctx, cancel := context.WithCancelCause(t.Context())
				defer time.AfterFunc(c.cancel, func() { cancel(asked) }).Stop()
				if err := read(ctx, make([]byte, 20), func() { told++ }, kernel); !errors.Is(err, c.want) || told != 1 {
					t.Errorf("%v, want %v; told %d times", err, c.want, told)
				}
				if took := time.Since(began); took != c.took {
					t.Errorf("it took %v, want %v", took, c.took)
				}
				time.Sleep(c.seeded) // until who still waits has ended too
			})
		})
	}
	untold := func() { t.Error("it says that it waits") }
	broken := func([]byte, int) (int, error) { return -1, unix.ENOSYS }
	if err := read(t.Context(), make([]byte, 5), untold, broken); !errors.Is(err, unix.ENOSYS) {
		t.Errorf("%v", err)
	}
	interrupted := 0
	if err := read(t.Context(), make([]byte, 5), untold, func([]byte, int) (int, error) {
		if interrupted++; interrupted < 3 {
			return -1, unix.EINTR
		}
		return 1, nil
	}); err != nil || interrupted != 7 {
		t.Errorf("%v after %d", err, interrupted)
	}
}
