package vm

import (
	"testing"
)

func TestForwardedIn(t *testing.T) {
	const text = `Hub -1 (net0):
  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ
  TCP[HOST_FORWARD]  14       127.0.0.1 40001       10.0.2.15  2375     0     0
  TCP[HOST_FORWARD]  13       127.0.0.1 40002       10.0.2.15  2376     0     0
`
	if got, err := forwardedIn(text, 2376); err != nil || got != "127.0.0.1:40002" {
		t.Errorf("%q, %v", got, err)
	}
	for _, port := range []int{237, 376, 40002} {
		if got, err := forwardedIn(text, port); err == nil {
			t.Errorf("port %d is forwarded from %q", port, got)
		}
	}
}
