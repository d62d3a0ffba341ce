package mounts

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestErrorText(t *testing.T) {
	for _, tc := range []struct {
		err  Error
		want string
	}{
		{Error{Op: "look at", Target: "/x", Err: unix.EIO}, "look at /x: input/output error"},
		{
			Error{
				Op: opMount, Source: "proc", Target: "/proc", FSType: "proc", Flags: sealed, Data: "hidepid=2", Kind: ErrForeign,
				Err: unix.EBUSY, Detail: "a\nb", Lost: "nothing works", Advice: "think",
			},
			"mount proc at /proc (nosuid,nodev,noexec,hidepid=2): device or resource busy: something else is there: a b; " +
				"without it nothing works; think",
		},
		{Error{Op: opLink, Source: "/a", Target: "/b\n/c", Kind: ErrForeign}, `link "/b\n/c" to /a: something else is there`},
		{Error{Op: opBind, Source: "/a", Target: "", Flags: unix.MS_BIND, Err: unix.EINVAL}, `bind "" to /a (bind): invalid argument`},
		{Error{Op: opMount, Target: "/x", Kind: ErrNotPermitted, Err: unix.EPERM}, "mount /x: operation not permitted"},
		{Error{Op: "make", Target: "/x", Kind: ErrReadOnlyRoot, Err: unix.EROFS}, "make /x: read-only file system"},
		{Error{Op: "make", Target: "/x", Kind: ErrReadOnlyRoot}, "make /x: read-only file system"},
		{Error{Op: "make", Target: "/x"}, "make /x"},
	} {
		if got := tc.err.Error(); got != tc.want {
			t.Errorf("%q\nwant %q", got, tc.want)
		}
	}
}

func TestErrorMatches(t *testing.T) {
	all := []error{
		ErrReadOnlyRoot, ErrReadOnly, ErrReadOnlySys, ErrNoTarget, ErrForeign, ErrNoFilesystem, ErrNotPermitted, ErrNotMountPoint,
	}
	for _, kind := range all {
		err := error(&Error{Op: opMount, Target: "/x", Kind: kind, Err: unix.EIO})
		for _, other := range all {
			want := other == kind || kind == ErrReadOnlySys && other == ErrReadOnly
			if errors.Is(err, other) != want {
				t.Errorf("%q matches %q: %v", kind, other, !want)
			}
		}
		if !errors.Is(err, unix.EIO) || errors.Is(err, unix.EPERM) {
			t.Errorf("%q does not lead to the errno", kind)
		}
	}
	if err := error(&Error{Op: opMount}); errors.Is(err, nil) || errors.Is(err, ErrForeign) {
		t.Error("an error without a kind matches")
	}
}

func TestClassify(t *testing.T) {
	m := Mount{FSType: "btrfs", Target: "/x"}
	for _, tc := range []struct {
		op     string
		err    error
		kind   error
		advice string
	}{
		{opMount, unix.EPERM, ErrNotPermitted, "--privileged"},
		{opMount, unix.EACCES, ErrNotPermitted, "--privileged"}, // AppArmor
		{opMount, unix.ENODEV, ErrNoFilesystem, "CONFIG_BTRFS_FS=y"},
		{opMount, unix.EROFS, nil, ""}, // a block device that is read-only
		{opMount, unix.EBUSY, nil, ""},
		{"make", unix.EROFS, ErrReadOnlyRoot, "in the image"},
		{"make", unix.EACCES, ErrNotPermitted, "root"},
		{"make", unix.ENOTDIR, ErrNoTarget, ""},
		{"make", unix.ELOOP, ErrNoTarget, ""},
		{"make", unix.ENOSPC, nil, ""},
	} {
		e := m.failure(tc.op, tc.err)
		if e.Kind != tc.kind || !strings.Contains(e.Advice, tc.advice) || tc.advice == "" && e.Advice != "" {
			t.Errorf("%s, %v: %v, %q", tc.op, tc.err, e.Kind, e.Advice)
		}
	}
}

func TestKernelAdvice(t *testing.T) {
	for _, m := range append(Base(), Rest()...) {
		if text := kernelAdvice(m.FSType); !strings.Contains(text, "CONFIG_") {
			t.Errorf("%s: %q", m.FSType, text)
		}
	}
	for fstype, want := range map[string]string{
		"mqueue":  "boot a kernel with CONFIG_POSIX_MQUEUE=y (it cannot be a module)",
		"overlay": "load the module overlay, or boot a kernel with CONFIG_OVERLAY_FS=y",
		"fancyfs": "load the module with the alias fs-fancyfs, or boot a kernel with that filesystem",
	} {
		if got := kernelAdvice(fstype); got != want {
			t.Errorf("%s: %q, want %q", fstype, got, want)
		}
	}
}

func TestMagicName(t *testing.T) {
	high := uint32(0xcafe4a11)
	for magic, want := range map[int64]string{
		0x9fa0: "proc", 0xcafe4a11: "bpf", int64(int32(high)): "bpf", 0x12345: "0x12345",
	} {
		if got := magicName(magic); got != want {
			t.Errorf("%#x is %q, want %q", magic, got, want)
		}
	}
}

// crosses stands in for STATX_ATTR_MOUNT_ROOT on kernels before 5.8, which the tests do not run on.
func TestCrosses(t *testing.T) {
	ask := func(path string) unix.Statx_t {
		t.Helper()
		var st unix.Statx_t
		if err := unix.Statx(unix.AT_FDCWD, path, 0, unix.STATX_INO, &st); err != nil {
			t.Fatal(err)
		}
		return st
	}
	for _, tc := range []struct {
		parent, folder string
		want           bool
	}{
		{"/", "/proc", true},
		{"/", "/", true}, // the parent of the root is the root
		{"/proc", "/proc/sys", false},
	} {
		if got := crosses(ask(tc.parent), ask(tc.folder)); got != tc.want {
			t.Errorf("from %s to %s: %v", tc.parent, tc.folder, got)
		}
		point, id, err := mountAt(tc.folder)
		if err != nil || point != tc.want || id <= 0 {
			t.Errorf("the kernel says of %s: %v, mount %d, %v", tc.folder, point, id, err)
		}
	}
	if _, _, err := mountAt("/nonexistent"); !errors.Is(err, unix.ENOENT) {
		t.Errorf("%v", err)
	}
}
