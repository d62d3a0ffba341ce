package mounts

import (
	"slices"
	"strings"
)

// AnyFS in Mount.Accept stands for every filesystem.
const AnyFS = "*"

// When is the condition under which a Mount is wanted.
type When string

const (
	// WhenAlways mounts unless what is right is there. It is the zero value.
	WhenAlways When = ""
	// WhenExists mounts only where the target folder exists. The kernel makes the folders in sysfs onto which its own
	// filesystems are mounted, so a missing one means that the kernel lacks the filesystem, and nobody else can make it.
	WhenExists When = "exists"
	// WhenUnwritable mounts only where the target folder cannot be written. A missing folder is made, and nothing mounted.
	WhenUnwritable When = "unwritable"
)

// Mount is a filesystem that is wanted at a target.
type Mount struct {
	Source string `json:"source"`
	Target string `json:"target"` // an absolute path; symbolic links in it are followed, as mount(2) does
	FSType string `json:"fstype"`
	// Fallback is the filesystem to mount with the same flags and data where the kernel lacks FSType (ENODEV).
	Fallback string `json:"fallback,omitempty"`
	Flags    Flags  `json:"flags,omitempty"`
	Data     string `json:"data,omitempty"` // the filesystem's own options, comma-separated
	// Mode is that of the target folder where it has to be made; 0 means 0755. Missing parents get 0755.
	Mode Mode `json:"mode,omitempty"`
	// Accept are further filesystems that are right at the target if they are mounted there already; AnyFS is all.
	Accept []string `json:"accept,omitempty"`
	// Populated says that the target serves as a plain folder too, when other filesystems are mounted below it: mounting over
	// it would hide them, a secret at /run/secrets for example.
	Populated bool `json:"populated,omitempty"`
	// Write says that what is kept at the target must not be read-only.
	Write bool `json:"write,omitempty"`
	When  When `json:"when,omitempty"`
	// Purpose says why it is mounted, Lost what does not work without it. Both are parts of sentences, for messages.
	Purpose string `json:"purpose,omitempty"`
	Lost    string `json:"lost,omitempty"`
}

// String says in one line what Apply would do.
func (m Mount) String() string {
	var b strings.Builder
	b.WriteString("mount " + m.FSType + " at " + printable(m.Target))
	if o := options(m.Flags, m.Data); o != "" {
		b.WriteString(" (" + o + ")")
	}
	switch m.When {
	case WhenExists:
		b.WriteString(" where the folder exists")
	case WhenUnwritable:
		b.WriteString(" where it is not writable")
	}
	if m.Purpose != "" {
		b.WriteString(": " + m.Purpose)
	}
	return b.String()
}

// accepts tells whether a filesystem that is mounted at the target is right there.
func (m Mount) accepts(fstype string) bool {
	if fstype == "" {
		return false
	}
	return fstype == m.FSType || fstype == m.Fallback || m.acceptsAny() || slices.Contains(m.Accept, fstype)
}

func (m Mount) acceptsAny() bool { return slices.Contains(m.Accept, AnyFS) }

func (m Mount) mode() Mode {
	if m.Mode == 0 {
		return 0o755
	}
	return m.Mode
}

// options joins flags and data as mount(8) writes them behind -o.
func options(flags Flags, data string) string {
	switch names := flags.String(); {
	case names == "":
		return data
	case data == "":
		return names
	default:
		return names + "," + data
	}
}
