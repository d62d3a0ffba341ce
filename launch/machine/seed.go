package machine

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// seedSize is the size of the seeds that are written, in bytes: the 256 bits that the kernel's generator holds (random(4)).
	seedSize = 32
	// seedLimit is what is read of a seed.
	seedLimit = 512
	// rndAddEntropy is RNDADDENTROPY of random(4), _IOW('R', 0x03, int[2]). It is the same on all of Go's Linux ports but mips
	// and ppc64, which Docker is not built for with this launcher.
	rndAddEntropy = 0x40085203
)

// Errors of a seed that is not credited.
var (
	// ErrSeedExposed is a seed that others than root can read or could have written.
	ErrSeedExposed = errors.New("others than root can read or write it")
	// ErrSeedShort is a file with too little in it for a seed.
	ErrSeedShort = errors.New("it is too short")
	// ErrNoEntropy is a kernel whose generator is not ready, so that no seed can be made yet.
	ErrNoEntropy = errors.New("the kernel has no entropy yet")
)

// Seed carries entropy from one boot to the next, in a file of mode 0600. A machine without a hardware generator otherwise
// starts with none, and whatever asks for random numbers, TLS keys first of all, waits.
//
// No seed is credited twice: the next one is on the disk before this one is given to the kernel, and both are made apart by
// a hash. Where the new one cannot be written, the old one is mixed in without being credited. What remains is the user's:
// a disk image that is copied, or a snapshot of a machine that is started twice, has one seed in two places. An image to be
// copied should hold none.
type Seed struct {
	Path string
	// Random is /dev/urandom where empty.
	Random string
}

// String tells what Apply does.
func (s Seed) String() string {
	return "renew the entropy seed " + s.Path + " and give it to the kernel"
}

// Apply renews the seed, credits the old one and reports kept where there was none and none could be made yet. It never waits
// for entropy. The error wraps ErrSeedExposed or ErrSeedShort where a file is there that is not credited; it is replaced.
func (s Seed) Apply(ctx context.Context) (kept bool, err error) {
	err = try(ctx, ioLimit, "the entropy seed "+s.Path, s.renew)
	if errors.Is(err, ErrNoEntropy) {
		return true, nil // Save makes one, later
	}
	return false, err
}

func (s Seed) renew() error {
	old, bad := s.read()
	if len(old) > 0 {
		// Mixing in harms nobody, whoever wrote it; it is crediting that needs care.
		if err := s.mix(old); err != nil {
			return err
		}
	}
	if err := s.write(old); err != nil {
		return errors.Join(bad, err)
	}
	if bad != nil || len(old) == 0 {
		return bad
	}
	return s.credit(old)
}

// Save writes a new seed: at shutdown, and from time to time, so that a power cut finds one that was never used. The error
// wraps ErrNoEntropy while the kernel has none.
func (s Seed) Save(ctx context.Context) error {
	return try(ctx, ioLimit, "the entropy seed "+s.Path, func() error {
		// What stands there goes into the new one where it can be read, and is replaced in any case.
		old, _ := s.read()
		return s.write(old)
	})
}

// read reads the seed. The error tells why what is there is not to be credited; nothing there is no error.
func (s Seed) read() ([]byte, error) {
	// Neither a link nor a FIFO leads elsewhere or keeps the boot waiting.
	f, err := os.OpenFile(s.Path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("the entropy seed: %w", err)
	}
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return nil, &fs.PathError{Op: "fstat", Path: s.Path, Err: err}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, fmt.Errorf("the entropy seed %s is no file: it is not used", s.Path)
	}
	data, err := io.ReadAll(io.LimitReader(f, seedLimit))
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading the entropy seed: %w", err)
	case st.Mode&0o077 != 0 || st.Uid != uint32(os.Geteuid()):
		return data, fmt.Errorf("the entropy seed %s (mode %#o, owner %d) is not credited, and replaced: %w",
			s.Path, st.Mode&0o7777, st.Uid, ErrSeedExposed)
	case len(data) < seedSize:
		return data, fmt.Errorf("the entropy seed %s (%d bytes) is not credited, and replaced: %w", s.Path, len(data), ErrSeedShort)
	}
	return data, nil
}

// write writes a new seed, made from the kernel's generator, the old seed and the clocks. Nobody who knows one of the two
// seeds can tell the other. Without an old one, the generator has to be ready.
func (s Seed) write(old []byte) error {
	var fresh [seedSize]byte
	n, err := unix.Getrandom(fresh[:], unix.GRND_NONBLOCK)
	if err != nil || n < seedSize {
		if len(old) < seedSize {
			return fmt.Errorf("making a new entropy seed %s: %w", s.Path, ErrNoEntropy)
		}
		// The secret is the old seed then. GRND_INSECURE is there since Linux 5.6, and without it the rest must do.
		const insecure = 4
		if _, err := unix.Getrandom(fresh[:], insecure); err != nil {
			fresh = [seedSize]byte{}
		}
	}
	var boot unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &boot); err != nil {
		return fmt.Errorf("clock_gettime(CLOCK_BOOTTIME): %w", err)
	}
	text := []byte("dockerlaunch entropy seed, first form")
	text = binary.LittleEndian.AppendUint64(text, uint64(time.Now().UnixNano()))
	text = binary.LittleEndian.AppendUint64(text, uint64(boot.Nano()))
	text = append(text, fresh[:]...)
	text = append(text, old...)
	seed := sha256.Sum256(text)
	if err := replaceFile(s.Path, 0o600, seed[:]); err != nil {
		return fmt.Errorf("writing a new entropy seed (so that the old one is not credited; is %s on a disk that can be written?): %w",
			filepath.Dir(s.Path), err)
	}
	return nil
}

func (s Seed) random() string {
	if s.Random == "" {
		return "/dev/urandom"
	}
	return s.Random
}

// mix gives the kernel bytes without credit, as everybody may (random(4)).
func (s Seed) mix(data []byte) error {
	f, err := os.OpenFile(s.random(), os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("giving the kernel the entropy seed: %w", err)
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Close())
}

// credit gives the kernel bytes that count. It takes CAP_SYS_ADMIN.
func (s Seed) credit(data []byte) error {
	f, err := os.OpenFile(s.random(), os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("crediting the entropy seed: %w", err)
	}
	defer f.Close()
	// struct rand_pool_info of include/uapi/linux/random.h.
	var info struct {
		bits, size int32
		buf        [seedLimit]byte
	}
	// However long, it stands for what the generator holds.
	info.bits = seedSize * 8
	info.size = int32(copy(info.buf[:], data))
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), rndAddEntropy, uintptr(unsafe.Pointer(&info))); errno != 0 {
		return fmt.Errorf("crediting the entropy seed: RNDADDENTROPY on %s: %w", s.random(), errno)
	}
	return nil
}

// EntropyReady tells, without waiting, whether the kernel's generator has been seeded.
func EntropyReady() bool {
	var b [1]byte
	_, err := unix.Getrandom(b[:], unix.GRND_NONBLOCK)
	return err == nil
}
