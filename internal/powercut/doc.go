// Package powercut serves a disk whose power can be taken away at any moment, and which then holds what a real one could
// hold: everything that was flushed, and of the rest whatever had left the disk's cache by then.
//
//	d, err := powercut.Open("data.img")
//	go d.Serve(listener)                                  // QEMU is a client of the network block device protocol
//	...
//	loss, err := d.Cut(rand.New(rand.NewPCG(seed, 0)))    // the image is what a machine finds at its next start
//
// Killing QEMU alone takes nothing away: what a guest wrote lies in the host's page cache, flushed or not. With this disk a
// filesystem, or a program on it, that forgets a flush loses data here as it would at a wall socket.
package powercut
