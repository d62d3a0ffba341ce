package initramfs

import (
	"github.com/dockerlaunch/dockerlaunch/launch"
)

// Wanted is a set of modules that a machine with Docker can use.
type Wanted struct {
	// For says what is lost without them.
	For string
	// Names are modules; those that a kernel lacks are passed over.
	Names []string
	// Folders hold modules of which all are taken, by their path below the kernel's folder of modules.
	Folders []string
	// Required says that each of Names must be there, as a module or built in.
	Required bool
}

// WantedModules lists what an initramfs takes of a kernel's modules; the modules that those depend on come by themselves.
// The names are those of the kernel's own makefiles. Whoever needs more hardware takes the modules of its kernel whole.
func WantedModules() []Wanted {
	wanted := []Wanted{
		{For: "virtual machines' disks and network", Required: true, Names: []string{"virtio_pci", "virtio_blk", "virtio_net", "virtio_scsi", "sd_mod", "ext4"}},
		{For: "other devices of virtual machines", Names: []string{
			"virtio_mmio", "virtio_balloon", "virtio_console", "virtio_rng", "virtio_input", "virtio_mem", "vmw_vsock_virtio_transport", "qemu_fw_cfg",
		}},
		{For: "disks of other machines", Names: []string{
			"nvme", "ahci", "ata_piix", "usb_storage", "uas", "xhci_pci", "ehci_pci", "vmw_pvscsi", "hv_storvsc", "xen_blkfront", "sr_mod", "mmc_block", "sdhci_pci",
		}},
		{For: "network cards of other machines", Names: []string{
			"e1000", "e1000e", "igb", "igc", "ixgbe", "ixgbevf", "i40e", "iavf", "r8169", "8139cp", "tg3", "bnxt_en", "mlx4_en", "mlx5_core",
			"vmxnet3", "hv_netvsc", "xen_netfront", "ena", "gve",
		}},
		{For: "the power button, Ctrl-Alt-Del, clock and watchdog", Names: []string{
			"button", "evdev", "atkbd", "i8042", "usbhid", "hid_generic", "hyperv_keyboard", "rtc_cmos", "i6300esb", "iTCO_wdt", "softdog", "hv_utils",
		}},
		{For: "file systems of disks", Names: []string{"xfs", "btrfs", "vfat", "nls_ascii", "nls_cp437", "nls_iso8859_1", "isofs", "fuse", "virtiofs", "9p", "9pnet_virtio"}},
		{For: "Docker's storage and loop devices", Required: true, Names: []string{"overlay", "loop"}},
		{For: "the devicemapper driver, encrypted disks", Names: []string{"dm_mod", "dm_thin_pool", "dm_crypt"}},
		{For: "Docker's networks", Required: true, Names: []string{"bridge", "br_netfilter", "veth", "vxlan", "macvlan", "ipvlan", "dummy"}},
		{For: "overlay networks with encryption, and what containers bring along", Names: []string{
			"esp4", "esp6", "ah4", "xfrm_user", "xfrm_algo", "tun", "tap", "macvtap", "wireguard", "8021q", "bonding", "sctp", "sch_htb", "sch_fq", "sch_ingress", "cls_u32", "act_mirred",
			"unix_diag", "tcp_diag", "udp_diag", "inet_diag", "netlink_diag", "af_packet_diag", "tls",
		}},
		{For: "rules of iptables, ip6tables, nft and ipvs", Folders: []string{
			"kernel/net/netfilter", "kernel/net/ipv4/netfilter", "kernel/net/ipv6/netfilter", "kernel/net/bridge/netfilter",
		}},
	}
	for _, firewall := range []launch.Firewall{launch.FirewallIPTablesNft, launch.FirewallIPTablesLegacy, launch.FirewallNftables} {
		for _, w := range launch.WantedModules(firewall) {
			// The first of the names is today's; the launcher does with any of them.
			wanted = append(wanted, Wanted{For: w.For, Names: w.Names})
		}
	}
	return wanted
}
