package network

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"
)

// RouterAdvertisements makes an interface take IPv6 addresses and routes from routers also when this machine forwards, which
// Docker turns on: with accept_ra=1 the kernel stops listening to routers then, and drops what it learned
// (Documentation/networking/ip-sysctl.rst).
type RouterAdvertisements struct {
	Device string `json:"device"`
}

func (r RouterAdvertisements) file() string {
	return "/proc/sys/net/ipv6/conf/" + r.Device + "/accept_ra"
}

// String tells what Apply does.
func (r RouterAdvertisements) String() string { return "write 2 to " + r.file() }

// Apply writes the sysctl. A 0 is somebody's decision and stays; a kernel without IPv6 has nothing to write to.
func (r RouterAdvertisements) Apply(context.Context) (kept bool, err error) {
	data, err := os.ReadFile(r.file())
	if errors.Is(err, fs.ErrNotExist) || err == nil && strings.TrimSpace(string(data)) != "1" {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	return false, os.WriteFile(r.file(), []byte("2"), 0)
}
