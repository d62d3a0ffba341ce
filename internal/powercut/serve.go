package powercut

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
)

// The protocol is that of https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md: the fixed newstyle handshake,
// simple replies, and no extension.
const (
	magicServer = 0x4e42444d41474943 // "NBDMAGIC"
	magicOption = 0x49484156454f5054 // "IHAVEOPT"
	magicReply  = 0x0003e889045565a9
	magicAsk    = 0x25609513
	magicAnswer = 0x67446698

	fixedNewstyle = 1 << 0
	noZeroes      = 1 << 1

	optionExportName = 1
	optionAbort      = 2
	optionInfo       = 6
	optionGo         = 7

	replyAck         = 1
	replyInfo        = 3
	replyUnsupported = 1<<31 | 1

	infoExport    = 0
	infoBlockSize = 3

	// What the disk can do: it has flags, and understands flushes and writes that are safe at once.
	diskFlags = 1<<0 | 1<<2 | 1<<3

	commandRead  = 0
	commandWrite = 1
	commandLeave = 2
	commandFlush = 3

	flagFUA = 1 << 0

	mostBytes  = 32 << 20 // of one request, which is also what QEMU keeps to
	mostOption = 64 << 10
)

// Serve serves the disk to whoever connects, until the listener is closed. One that breaks the protocol is left; clients
// come and go as a disk is plugged in and out, so that their errors end nothing.
func (d *Disk) Serve(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			c := &client{disk: d, in: bufio.NewReaderSize(conn, 1<<20), out: bufio.NewWriterSize(conn, 1<<20)}
			if err := c.greet(); err != nil {
				return // nothing was transmitted yet: the client sees the end of the connection
			}
			// The client has been told of errors of the disk; others mean that it is gone.
			_ = c.transmit()
		}()
	}
}

type client struct {
	disk *Disk
	in   *bufio.Reader
	out  *bufio.Writer
}

// put sends fixed-size values in the protocol's byte order.
func (c *client) put(values ...any) error {
	for _, v := range values {
		if err := binary.Write(c.out, binary.BigEndian, v); err != nil {
			return err
		}
	}
	return nil
}

func (c *client) get(values ...any) error {
	for _, v := range values {
		if err := binary.Read(c.in, binary.BigEndian, v); err != nil {
			return err
		}
	}
	return nil
}

var errLeft = errors.New("the client has left")

// greet goes through the handshake, up to the point at which requests come.
func (c *client) greet() error {
	if err := errors.Join(c.put(uint64(magicServer), uint64(magicOption), uint16(fixedNewstyle|noZeroes)), c.out.Flush()); err != nil {
		return err
	}
	var flags uint32
	if err := c.get(&flags); err != nil {
		return err
	}
	for {
		var magic uint64
		var option, length uint32
		if err := c.get(&magic, &option, &length); err != nil {
			return err
		}
		if magic != magicOption || length > mostOption {
			return fmt.Errorf("option %d of %d bytes with magic %#x: %w", option, length, magic, os.ErrInvalid)
		}
		data := make([]byte, length)
		if _, err := io.ReadFull(c.in, data); err != nil {
			return err
		}
		begins, err := c.option(option, flags)
		if err := errors.Join(err, c.out.Flush()); err != nil || begins {
			return err
		}
	}
}

// option answers one option. begins tells that requests come next.
func (c *client) option(option, flags uint32) (begins bool, err error) {
	reply := func(kind uint32, data ...any) error {
		length := 0
		for _, v := range data {
			length += binary.Size(v)
		}
		return errors.Join(c.put(uint64(magicReply), option, kind, uint32(length)), c.put(data...))
	}
	switch option {
	case optionExportName:
		err = c.put(uint64(c.disk.Size()), uint16(diskFlags))
		if flags&noZeroes == 0 {
			err = errors.Join(err, c.put(make([]byte, 124)))
		}
		return true, err
	case optionInfo, optionGo: // whatever the name: there is one disk
		err = errors.Join(
			reply(replyInfo, uint16(infoExport), uint64(c.disk.Size()), uint16(diskFlags)),
			reply(replyInfo, uint16(infoBlockSize), uint32(SectorSize), uint32(4096), uint32(mostBytes)),
			reply(replyAck),
		)
		return option == optionGo, err
	case optionAbort:
		return false, errors.Join(reply(replyAck), c.out.Flush(), errLeft)
	}
	return false, reply(replyUnsupported)
}

// transmit does what is asked, in the order in which it is asked.
func (c *client) transmit() error {
	for {
		var magic, length uint32
		var flags, command uint16
		var cookie, offset uint64
		if err := c.get(&magic, &flags, &command, &cookie, &offset, &length); err != nil {
			return err
		}
		if magic != magicAsk || command == commandLeave || length > mostBytes || offset > 1<<62 {
			return errLeft
		}
		var data []byte
		var err error
		switch command {
		case commandRead:
			data = make([]byte, length)
			_, err = c.disk.ReadAt(data, int64(offset))
		case commandWrite:
			content := make([]byte, length)
			if _, err := io.ReadFull(c.in, content); err != nil {
				return err
			}
			if _, err = c.disk.WriteAt(content, int64(offset)); err == nil && flags&flagFUA != 0 {
				err = c.disk.Flush() // more than was asked for, which no client can count on
			}
		case commandFlush:
			err = c.disk.Flush()
		default:
			err = syscall.EINVAL
		}
		if errors.Is(err, ErrCut) {
			// A disk without power says nothing, not even that: the machine must not hear of an error and go on with it.
			_, err = io.Copy(io.Discard, c.in)
			return err
		}
		if err != nil {
			data = nil
		}
		if err := errors.Join(c.put(uint32(magicAnswer), code(err), cookie, data), c.out.Flush()); err != nil {
			return err
		}
	}
}

// code is an error as the protocol has it.
func code(err error) uint32 {
	switch {
	case err == nil:
		return 0
	case errors.Is(err, os.ErrInvalid), errors.Is(err, syscall.EINVAL):
		return uint32(syscall.EINVAL)
	}
	return uint32(syscall.EIO)
}
