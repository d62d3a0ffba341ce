#!/bin/busybox sh
# shellcheck shell=dash
# The other init of the benchmark: what somebody who knows Linux, Docker and busybox writes by hand for this one machine, to
# have its Docker soon. It is meant to be hard to beat: it knows the machine's devices, address and modules beforehand, looks
# for nothing, waits for nothing, checks nothing, and leaves out whatever dockerd does not need to start.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
b=/bin/busybox

$b mount -t proc -o nosuid,nodev,noexec proc /proc
$b mount -t sysfs -o nosuid,nodev,noexec sysfs /sys
$b mount -t devtmpfs -o nosuid dev /dev
$b mkdir -p /dev/pts /dev/shm /dev/mqueue
$b mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts /dev/pts
$b mount -t tmpfs -o nosuid,nodev,mode=1777 shm /dev/shm
$b mount -t mqueue mqueue /dev/mqueue
$b mount -t tmpfs -o nosuid,nodev,mode=755 run /run
$b mount -t cgroup2 -o nosuid,nodev,noexec cgroup2 /sys/fs/cgroup

# One process for all modules, beside everything else until dockerd: the network card's, then the same that the launcher
# loads for dockerd and its iptables. Whatever hardware there is besides, nothing here needs.
$b modprobe -a virtio_net overlay bridge br_netfilter veth nf_conntrack nf_nat nf_conntrack_netlink \
	xt_conntrack xt_addrtype xt_MASQUERADE xt_nat nf_tables nft_chain_nat nft_compat &
modules=$!

# The data-root: in memory, as the launcher's is in this comparison.
$b mount -t tmpfs data /var/lib/docker
# / is the initramfs, on which runc cannot pivot_root. Copying it to a tmpfs would take seconds; this is the short way.
export DOCKER_RAMDISK=1
$b mount --make-rshared /
# dockerd looks its own name up, and would wait for name servers.
$b hostname docker
echo 127.0.0.1 localhost docker >/etc/hosts
$b ip link set lo up
ulimit -n 1048576
echo 1 >/proc/sys/net/ipv4/ip_forward

wait $modules
# Where the address is known there is no need of DHCP, which takes longer.
$b ip link set eth0 up
$b ip addr add 10.0.2.15/24 dev eth0
$b ip route add default via 10.0.2.2
echo nameserver 10.0.2.3 >/etc/resolv.conf

# Into a file: a serial console is slow. PID 1 stays, and reaps.
dockerd >/var/log/docker.log 2>&1 &
while :; do wait; $b sleep 1; done
