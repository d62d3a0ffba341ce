package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/pflag"

	"github.com/dockerlaunch/dockerlaunch/internal/hostcerts"
)

// defaultHosts are the names by which a machine of QEMU's is reached from the host, and those that it knows itself by: the
// address is what QEMU's user network gives to the first machine.
var defaultHosts = []string{"localhost", "docker", "dockerlaunch", "127.0.0.1", "::1", "10.0.2.15"}

// certs makes the certificates of a machine and of its clients.
func certs(_ context.Context, args []string, e env) error {
	f := pflag.NewFlagSet("certs", pflag.ContinueOnError)
	out := f.String("out", "", "`folder` for ca/, server/ and client/; certificates there that will do are kept")
	hosts := f.StringSlice("host", defaultHosts, "`names` and addresses by which the machine is reached")
	if done, err := parse(f, args, e); done || err != nil {
		return err
	}
	if *out == "" {
		return fmt.Errorf("%w: --out is missing", errUsage)
	}
	made, err := hostcerts.Ensure(*out, *hosts, time.Now())
	if err != nil {
		return err
	}
	what := "kept"
	if made {
		what = "made"
	}
	_, err = fmt.Fprintf(e.stdout, "%s: certificates %s\n", *out, what)
	return err
}
