package check

import "strings"

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
func commandLineFiles() []string {
	return []string{"/boot/firmware/cmdline.txt", "/boot/cmdline.txt", "/etc/kernel/cmdline"}
}

// Where says where words are put on the kernel command line: "add cgroup_enable=memory to …, run … and reboot".
func (b Boot) Where(what string) string {
	is := func(names ...string) bool {
		for _, name := range names {
			if b.ID == name {
				return true
			}
		}
		for like := range strings.FieldsSeq(b.Like) {
			for _, name := range names {
				if like == name {
					return true
				}
			}
		}
		return false
	}
	const grub = " GRUB_CMDLINE_LINUX in /etc/default/grub, run "
	switch {
	case strings.HasSuffix(b.File, "cmdline.txt"):
		return what + " the one line of " + b.File + " and reboot"
	case is("nixos"):
		return what + " boot.kernelParams in /etc/nixos/configuration.nix, run nixos-rebuild boot and reboot"
	case b.File != "" && !is("debian", "ubuntu"):
		return what + " " + b.File + ", run kernel-install add-all and reboot"
	case is("debian", "ubuntu"):
		return what + grub + "update-grub and reboot"
	case is("fedora", "rhel", "centos"):
		return what + " the boot entries: grubby --update-kernel=ALL --args=\"...\" (or --remove-args), and reboot"
	case is("alpine"):
		return what + " default_kernel_opts in /etc/update-extlinux.conf, run update-extlinux and reboot (with GRUB:" + grub + "grub-mkconfig -o /boot/grub/grub.cfg)"
	case is("suse", "opensuse", "sles"):
		return what + grub + "grub2-mkconfig -o /boot/grub2/grub.cfg and reboot"
	case is("arch", "gentoo", "void"):
		return what + grub + "grub-mkconfig -o /boot/grub/grub.cfg and reboot; with systemd-boot add them to `options` of the entry in /boot/loader/entries"
	}
	return what + " the kernel command line that your boot loader gives, and reboot"
}

// readOSRelease takes ID and ID_LIKE out of os-release(5).
func readOSRelease(text string) (id, like string) {
	for line := range strings.Lines(text) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if !ok {
			continue
		}
		value = strings.Trim(value, `"'`)
		switch key {
		case "ID":
			id = strings.ToLower(value)
		case "ID_LIKE":
			like = strings.ToLower(value)
		}
	}
	return id, like
}
