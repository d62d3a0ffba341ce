package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// system is where the facts come from; tests give it another root.
type system struct {
	root     string
	hostname func() (string, error)
	addrs    func() ([]netip.Prefix, error)
	pid      func() int
}

// look gathers the facts. One that cannot be found says why in its place: the others still prove something.
func look(s system) facts {
	return facts{
		Hostname:  known(s.hostname()),
		Addresses: known(s.addresses()),
		Gateway:   known(s.gateway()),
		Memory:    known(s.memory()),
		PID:       strconv.Itoa(s.pid()),
		Kernel:    known(s.kernel()),
	}
}

func known(value string, err error) string {
	if err != nil {
		return fmt.Sprintf("unknown (%v)", err)
	}
	return value
}

func (s system) addresses() (string, error) {
	list, err := s.addrs()
	if err != nil {
		return "", err
	}
	if len(list) == 0 {
		return "none but loopback", nil
	}
	words := make([]string, len(list))
	for i, a := range list {
		words[i] = a.String()
	}
	return strings.Join(words, ", "), nil
}

// addresses lists the addresses of all devices but those that lead nowhere else.
func addresses() ([]netip.Prefix, error) {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return nil, err
	}
	var list []netip.Prefix
	for _, a := range all {
		p, err := netip.ParsePrefix(a.String())
		if err != nil {
			return nil, err
		}
		if !p.Addr().IsLoopback() && !p.Addr().IsLinkLocalUnicast() {
			list = append(list, p)
		}
	}
	return list, nil
}

func (s system) gateway() (string, error) {
	f, err := os.Open(filepath.Join(s.root, "proc/net/route"))
	if err != nil {
		return "", err
	}
	defer f.Close()
	gw, device, err := parseGateway(f)
	if errors.Is(err, errNoGateway) {
		return "none", nil
	}
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s on %s", gw, device), nil
}

var errNoGateway = errors.New("there is no default route")

// parseGateway finds the default route in the format of /proc/net/route: after a heading, one route per line, with device,
// destination, gateway, flags, ... mask in column 8. Addresses are hexadecimal words whose bytes in this machine's memory are
// the address (net/ipv4/fib_trie.c, fib_route_seq_show).
func parseGateway(r io.Reader) (netip.Addr, string, error) {
	sc := bufio.NewScanner(r)
	for sc.Scan() {
		f := strings.Fields(sc.Text())
		if len(f) < 8 || f[1] != "00000000" || f[7] != "00000000" || f[2] == "00000000" {
			continue
		}
		word, err := strconv.ParseUint(f[2], 16, 32)
		if err != nil || len(f[2]) != 8 {
			return netip.Addr{}, "", fmt.Errorf("gateway %q is no address", f[2])
		}
		var gw [4]byte
		binary.NativeEndian.PutUint32(gw[:], uint32(word))
		return netip.AddrFrom4(gw), f[0], nil
	}
	if err := sc.Err(); err != nil {
		return netip.Addr{}, "", err
	}
	return netip.Addr{}, "", errNoGateway
}

// memoryFiles hold the limit of the container's own cgroup, on v2 and on v1.
var memoryFiles = []string{"sys/fs/cgroup/memory.max", "sys/fs/cgroup/memory/memory.limit_in_bytes"}

func (s system) memory() (string, error) {
	for _, name := range memoryFiles {
		b, err := os.ReadFile(filepath.Join(s.root, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", err
		}
		return parseMemory(string(b))
	}
	return "", errors.New("no memory cgroup at /sys/fs/cgroup")
}

// parseMemory reads "max" or a number of bytes. v1 writes the largest number of whole pages that fits 63 bits for no limit
// (PAGE_COUNTER_MAX in include/linux/page_counter.h), which depends on the page size: so everything from 2^62 on is none.
func parseMemory(text string) (string, error) {
	text = strings.TrimSpace(text)
	if text == "max" {
		return "none", nil
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return "", fmt.Errorf("the memory limit %q is no number of bytes", text)
	}
	if n >= 1<<62 {
		return "none", nil
	}
	if h := human(n); h != "" {
		return fmt.Sprintf("%s (%d bytes)", h, n), nil
	}
	return fmt.Sprintf("%d bytes", n), nil
}

// human writes a number of bytes in the largest unit that leaves at least one, with a decimal where it is not whole; it is
// empty for what bytes say best.
func human(n uint64) string {
	for i, unit := range []string{"TiB", "GiB", "MiB", "KiB"} {
		size := uint64(1) << (40 - 10*i)
		if n < size {
			continue
		}
		if n%size == 0 {
			return fmt.Sprintf("%d %s", n/size, unit)
		}
		return fmt.Sprintf("%.1f %s", float64(n)/float64(size), unit)
	}
	return ""
}

func (s system) kernel() (string, error) {
	b, err := os.ReadFile(filepath.Join(s.root, "proc/sys/kernel/osrelease"))
	if err != nil {
		return "", err
	}
	return strings.TrimSpace(string(b)), nil
}
