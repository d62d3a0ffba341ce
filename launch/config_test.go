package launch

import (
	"os"
	"slices"
	"strconv"
	"testing"
)

// TestHandedOver: sockets that are handed to this process are passed on, and only they.
func TestHandedOver(t *testing.T) {
	mine, others := "LISTEN_PID="+strconv.Itoa(os.Getpid()), "LISTEN_PID="+strconv.Itoa(os.Getpid()+1)
	for _, c := range []struct {
		env  []string
		want []int
	}{
		{nil, nil},
		{[]string{mine, "LISTEN_FDS=2"}, []int{3, 4}},
		{[]string{others, "LISTEN_FDS=2"}, nil},
		{[]string{mine}, nil},
		{[]string{mine, "LISTEN_FDS=0"}, nil},
		{[]string{mine, "LISTEN_FDS=-1"}, nil},
		{[]string{mine, "LISTEN_FDS=many"}, nil},
		{[]string{mine, "LISTEN_FDS=1001"}, nil},
		{[]string{"LISTEN_PID=", "LISTEN_FDS=1"}, nil},
	} {
		if got := (Config{Environ: c.env}).handedOver(func(int) bool { return true }); !slices.Equal(got, c.want) {
			t.Errorf("%q: %d", c.env, got)
		}
	}
	one := func(fd int) bool { return fd == 3 }
	if got := (Config{Environ: []string{mine, "LISTEN_FDS=2"}}).handedOver(one); got != nil {
		t.Errorf("of two there is one, and passed on are %d", got)
	}
	file, err := os.Open("/")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if fd := int(file.Fd()); inherited(fd) || !inherited(0) || inherited(1<<20) {
		t.Error("it cannot be told what was opened here")
	}
}
