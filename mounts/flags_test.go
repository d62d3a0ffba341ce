package mounts

import (
	"encoding/json"
	"io/fs"
	"testing"

	"golang.org/x/sys/unix"
)

func TestFlags(t *testing.T) {
	for _, tc := range []struct {
		flags Flags
		text  string
	}{
		{0, ""},
		{unix.MS_NOSUID, "nosuid"},
		{sealed, "nosuid,nodev,noexec"},
		{unix.MS_REC | unix.MS_SHARED, "rec,shared"},
		{unix.MS_BIND | unix.MS_RDONLY, "ro,bind"},
		{unix.MS_NOEXEC | 1<<30, "noexec,0x40000000"},
	} {
		if got := tc.flags.String(); got != tc.text {
			t.Errorf("Flags(%#x) = %q, want %q", uintptr(tc.flags), got, tc.text)
		}
		var back Flags
		if err := back.UnmarshalText([]byte(tc.text)); err != nil || back != tc.flags {
			t.Errorf("%q = %#x, %v", tc.text, uintptr(back), err)
		}
	}
	f := Flags(unix.MS_NOSUID)
	for _, bad := range []string{"nosuid,nonsense", "0xzz", "0X1"} {
		if err := f.UnmarshalText([]byte(bad)); err == nil || f != unix.MS_NOSUID {
			t.Errorf("%q was taken as %v, %v", bad, f, err)
		}
	}
}

func TestMode(t *testing.T) {
	for _, tc := range []struct {
		mode Mode
		text string
		fs   fs.FileMode
	}{
		{0o755, "0755", 0o755},
		{0o1777, "01777", 0o777 | fs.ModeSticky},
		{0o6700, "06700", 0o700 | fs.ModeSetuid | fs.ModeSetgid},
		{0, "0000", 0},
	} {
		var back Mode
		if err := back.UnmarshalText([]byte(tc.text)); err != nil || back != tc.mode {
			t.Errorf("%q = %v, %v", tc.text, back, err)
		}
		if tc.mode.String() != tc.text || tc.mode.FileMode() != tc.fs {
			t.Errorf("%#o: %q, %v", uint32(tc.mode), tc.mode, tc.mode.FileMode())
		}
	}
	var m Mode
	for _, bad := range []string{"", "8", "10000", "-1", "rwx"} {
		if err := m.UnmarshalText([]byte(bad)); err == nil {
			t.Errorf("%q was taken for the mode %v", bad, m)
		}
	}
}

func TestMountJSON(t *testing.T) {
	text, err := json.Marshal(Rest()[1])
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"source":"shm","target":"/dev/shm","fstype":"tmpfs","flags":"nosuid,nodev,noexec","data":"mode=1777",` +
		`"mode":"01777","accept":["*"],"populated":true,"write":true,` +
		`"purpose":"POSIX shared memory, see shm_overview(7)",` +
		`"lost":"programs that use POSIX shared memory or semaphores fail outside containers"}`
	if string(text) != want {
		t.Errorf("JSON:\n%s\nwant:\n%s", text, want)
	}
}
