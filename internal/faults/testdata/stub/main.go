// Command stub stands for containerd, which answers on its socket until it is told to stop, and under any other name for
// dockerd, which says that it is ready, waits for the launcher's report, and ends.
package main

import (
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

func main() {
	var err error
	if filepath.Base(os.Args[0]) == "containerd" {
		err = containerd()
	} else {
		err = dockerd()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "stub:", err)
		os.Exit(99)
	}
}

func containerd() error {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	l, err := net.Listen("unix", "/run/docker/containerd/containerd.sock")
	if err != nil {
		return err
	}
	defer l.Close()
	<-stop
	return nil
}

func dockerd() error {
	// A daemon that works is what the runs look for in what was said.
	fmt.Fprintf(os.Stderr, "stub: started with %q\n", os.Args[1:])
	if address := os.Getenv("NOTIFY_SOCKET"); address != "" {
		c, err := net.Dial("unixgram", address)
		if err == nil {
			defer c.Close()
			_, err = c.Write([]byte("READY=1\n"))
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "stub:", err) // dockerd goes on all the same
		}
	}
	for range 60 {
		if _, err := os.Stat("/run/dockerlaunch/report.json"); err == nil {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	return nil
}
