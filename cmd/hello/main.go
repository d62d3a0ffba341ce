// Command hello is the only file of a container image: it tells what has happened for it to run, and shows by what it sees
// that it runs in a container of its own.
package main

import (
	"fmt"
	"io"
	"os"
)

func main() {
	if err := write(os.Stdout, look(system{root: "/", hostname: os.Hostname, addrs: addresses, pid: os.Getpid})); err != nil {
		fmt.Fprintln(os.Stderr, "hello:", err)
		os.Exit(1)
	}
}

// facts are what the container sees, each ready to be shown.
type facts struct {
	Hostname, Addresses, Gateway, Memory, PID, Kernel string
}

// write tells the story, then its proof.
func write(w io.Writer, f facts) error {
	_, err := fmt.Fprintf(w, `Hello: a container is talking to you. This is how it came about:

  1. The docker client asked the daemon to run the image dockerlaunch/hello.
  2. The daemon, which dockerlaunch had started on a bare root tree, made a
     container out of that image: namespaces, a cgroup, a network address.
  3. The container ran this program, which is all that the image holds.
  4. The daemon passed what it writes back to the client, and so to you.

The container's own view, as proof:

  host name        %s
  address          %s
  default gateway  %s
  memory limit     %s
  process ID       %s
  kernel           %s
`, f.Hostname, f.Addresses, f.Gateway, f.Memory, f.PID, f.Kernel)
	if err != nil {
		return fmt.Errorf("writing: %w", err)
	}
	return nil
}
