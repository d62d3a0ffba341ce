package launch

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/dockerlaunch/dockerlaunch/launch/storage"
)

// TestDataDiskWaitsForDrivers: a disk that is not there yet gets its time when the drivers are loaded, and not before.
func TestDataDiskWaitsForDrivers(t *testing.T) {
	spec, err := storage.ParseSpec("LABEL=no-such-disk")
	if err != nil {
		t.Fatal(err)
	}
	for _, format := range []string{"", "blank"} {
		settled, ended := make(chan struct{}), make(chan error, 1)
		d := DataDisk{Spec: spec.String(), Format: format, wait: time.Millisecond, settled: settled}
		go func() {
			_, err := d.survey(t.Context(), spec)
			ended <- err
		}()
		select {
		case err := <-ended:
			t.Fatalf("format %q: it waits for no driver: %v", format, err)
		case <-time.After(5 * diskPoll):
		}
		close(settled)
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("format %q: %v", format, err)
			}
		case <-time.After(time.Minute):
			t.Fatalf("format %q: it waits on, though the drivers are loaded", format)
		}

		ctx, cancel := context.WithCancelCause(t.Context())
		cause := errors.New("the machine goes down")
		cancel(cause)
		d.settled = make(chan struct{})
		if _, err := d.survey(ctx, spec); !errors.Is(err, cause) {
			t.Errorf("format %q: %v, where the machine goes down", format, err)
		}
	}
}
