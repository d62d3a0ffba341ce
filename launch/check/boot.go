package check

import (
	"strings"
)

// Boot is what is known of how the system boots, to say where its kernel command line is set.
type Boot struct {
	// CommandLine is /proc/cmdline.
	CommandLine string
	// ID and Like are ID and ID_LIKE of os-release(5).
	ID, Like string
	// File is a file that holds the kernel command line, such as /boot/firmware/cmdline.txt, or "".
	File string
}

// commandLineFiles are files whose text is the kernel command line: Raspberry Pi's, in the folder of today and that of before,
// and that of kernel-install(8).
var commandLineFiles = [...]string{"/boot/firmware/cmdline.txt", "/boot/cmdline.txt", "/etc/kernel/cmdline"}

// bootPlaces is where distributions set the kernel command line, by ID of os-release(5); what follows "add X" or "take X off".
var bootPlaces = [...][2]string{
	{"debian ubuntu", "in GRUB_CMDLINE_LINUX in /etc/default/grub, run update-grub and reboot"},
	{"nixos", "in boot.kernelParams in /etc/nixos/configuration.nix, run nixos-rebuild boot and reboot"},
	{"fedora rhel centos", "with grubby --update-kernel=ALL --args=WORDS (or --remove-args=WORDS), and reboot"},
	{"alpine", "in default_kernel_opts in /etc/update-extlinux.conf, run update-extlinux and reboot"},
	{"suse opensuse sles", "in GRUB_CMDLINE_LINUX in /etc/default/grub, run grub2-mkconfig -o /boot/grub2/grub.cfg and reboot"},
	{"arch gentoo void", "in GRUB_CMDLINE_LINUX in /etc/default/grub, run grub-mkconfig -o /boot/grub/grub.cfg and reboot; " +
		"with systemd-boot in `options` of the entry in /boot/loader/entries"},
}

// where says how words get onto the kernel command line, or off it.
func (b *Boot) where(what, words string) string {
	return what + " " + words + " " + b.place()
}

func (b *Boot) place() string {
	if strings.HasSuffix(b.File, "cmdline.txt") {
		return "in the one line of " + b.File + ", and reboot"
	}
	for id := range strings.FieldsSeq(b.ID + " " + b.Like) {
		for i := range bootPlaces {
			if strings.Contains(" "+bootPlaces[i][0]+" ", " "+id+" ") && (b.File == "" || i == 0) {
				return bootPlaces[i][1]
			}
		}
	}
	if b.File != "" {
		return "in " + b.File + ", run kernel-install add-all and reboot"
	}
	return "on the kernel command line, which your boot loader gives, and reboot"
}

// readOSRelease takes ID and ID_LIKE out of os-release(5).
func readOSRelease(text string) (id, like string) {
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		value = strings.ToLower(strings.Trim(value, `"'`))
		switch key {
		case "ID":
			id = value
		case "ID_LIKE":
			like = value
		}
	}
	return id, like
}
