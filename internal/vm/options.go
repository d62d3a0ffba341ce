package vm

import (
	"io/fs"
	"strconv"
	"time"
)

// Options describe a machine and what is to run on it. Zero values are good, but for Kernel.
type Options struct {
	Kernel Kernel
	// Cmdline is added to the kernel command line, after "console=ttyS0 panic=-1 quiet".
	Cmdline []string
	Memory  int // MiB; 1024 when zero
	// Mount names what the init mounts before the commands: "proc", "sys", "dev", "tmp".
	Mount []string
	// Commands run one after the other; a failing one does not keep the next from running.
	Commands []Command
	// Files and Trees go into the initramfs. A later one replaces an earlier one of the same path.
	Files []File
	Trees []Tree
	// Init replaces the harness's init with a program of the host's; Commands and Mount must be empty then.
	Init string
	// Initramfs is a ready one, such as build/initramfs.img, with an init of its own: Init, Commands and Mount must be
	// empty. Files and Trees are put behind it, and replace what it has of the same path.
	Initramfs string

	Drives []Drive
	// NICs are QEMU's names of network cards ("virtio-net-pci", "e1000"). Each sits on a user network of its own, which
	// answers DHCP and reaches nothing outside.
	NICs []string
	// Forward are TCP ports of the machine that are to be reached from the host, through its first network card, which
	// has to be there; Machine.Forwarded tells where. The machine must have the address that QEMU's DHCP gives.
	Forward []int
	// Outside lets the machine reach what the host reaches.
	Outside bool
	// Reboot lets the machine boot again when it asks to; otherwise it ends.
	Reboot bool
	// Args are added to QEMU's own.
	Args []string
	// Limit bounds the machine's life; three minutes when zero.
	Limit time.Duration
}

// Command is a program to run in the machine: one of Test, Program and Path says which.
type Command struct {
	// Test is a Go package ("./mounts", from the module's root): its tests are built without cgo, and run in a folder
	// that holds the package's testdata.
	Test string
	// Program is a package main, built the same way.
	Program string
	// Path is a file of the initramfs.
	Path string

	Args []string // without the program's name
	// Env is added to PATH, HOME=/root, DOCKERLAUNCH_TEST_MACHINE=1 and DOCKERLAUNCH_TEST_STRICT=1: in a machine, a test
	// that finds something missing has failed.
	Env []string
	Dir string // working directory; of a Test, its package's folder, else /
	// Limit ends the program when it takes longer; one minute when zero.
	Limit time.Duration
}

// File is one file of the initramfs.
type File struct {
	Path string
	From string // a file of the host, whose mode is kept
	// Data and Mode describe the file where From is empty; the mode is 0644 when zero.
	Data []byte
	Mode fs.FileMode
	Link string // where it is not empty, the file is a symbolic link to it
}

// Tree is a folder of the host laid into the initramfs, symbolic links as links.
type Tree struct {
	Path string
	From string
	// Keep chooses among the files by their slash-separated path below From; nil keeps all.
	Keep func(rel string) bool
}

// ModulesTree is the kernel's modules at the place where they belong, with the index.
func (k Kernel) ModulesTree(keep func(rel string) bool) Tree {
	return Tree{Path: "/lib/modules/" + k.Release, From: k.Modules, Keep: keep}
}

// Drive is a disk of the machine.
type Drive struct {
	Image string // a raw image on the host
	// Server, in the place of Image, is the path of a socket at which a server of network block devices has the disk.
	// Flushes reach it, which they do not with an image.
	Server   string
	Bus      string // "virtio", "nvme", "ahci" or "usb"
	ReadOnly bool
}

func (d Drive) args(id string) []string {
	device := map[string][]string{
		"virtio": {"-device", "virtio-blk-pci,serial=" + id + ",drive=" + id},
		"nvme":   {"-device", "nvme,serial=" + id + ",drive=" + id},
		"ahci":   {"-device", "ahci,id=" + id + "-bus", "-device", "ide-hd,bus=" + id + "-bus.0,drive=" + id},
		"usb":    {"-device", "qemu-xhci,id=" + id + "-bus", "-device", "usb-storage,bus=" + id + "-bus.0,drive=" + id},
	}[d.Bus]
	drive := "if=none,format=raw,id=" + id
	if d.Server != "" {
		drive += ",cache=writeback,file.driver=nbd,file.server.type=unix,file.server.path=" + d.Server
	} else {
		drive += ",cache=unsafe,file=" + d.Image
	}
	if d.ReadOnly {
		drive += ",readonly=on"
	}
	return append([]string{"-drive", drive}, device...)
}

func (o *Options) memory() int {
	if o.Memory == 0 {
		return 1024
	}
	return o.Memory
}

func (o *Options) limit() time.Duration {
	if o.Limit == 0 {
		return 3 * time.Minute
	}
	return o.Limit
}

func (o *Options) hardware() []string {
	args := []string{
		"-nodefaults", "-no-user-config", "-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2",
		"-m", strconv.Itoa(o.memory()), "-display", "none",
		"-device", "virtio-rng-pci",
	}
	if !o.Reboot {
		args = append(args, "-no-reboot")
	}
	for i, d := range o.Drives {
		args = append(args, d.args("drive"+strconv.Itoa(i))...)
	}
	for i, nic := range o.NICs {
		id := "net" + strconv.Itoa(i)
		user := "user,id=" + id
		if !o.Outside {
			user += ",restrict=on" // rules of forwarding hold all the same
		}
		if i == 0 {
			for _, port := range o.Forward {
				user += ",hostfwd=tcp:127.0.0.1:0-:" + strconv.Itoa(port) // 0 is any port that is free
			}
		}
		args = append(args, "-netdev", user, "-device", nic+",netdev="+id)
	}
	return append(args, o.Args...)
}
