package mounts

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// Outcome is what is to be done about a Mount.
type Outcome string

const (
	OutcomeKeep   Outcome = "keep"   // what is wanted stands there
	OutcomeMount  Outcome = "mount"  // the filesystem is to be mounted; a missing folder is made first
	OutcomeMake   Outcome = "make"   // only the folder is to be made
	OutcomeSkip   Outcome = "skip"   // it is not wanted here
	OutcomeRefuse Outcome = "refuse" // what stands there is wrong, and is not ours to remove
)

// Decision is an Outcome with its reason.
type Decision struct {
	Outcome Outcome `json:"outcome"`
	Reason  string  `json:"reason"`
	// Err is set with OutcomeRefuse only, and matches one of the Err variables of this package.
	Err *Error `json:"-"`
}

// Decide says what is to be done about the mount where the state is as given. It is pure.
//
// A right filesystem is kept, as is whatever else the mount accepts; in a container that is what the runtime mounted. A
// folder that serves as a plain folder too (Populated) is kept when other mounts lie below it, since mounting over it would
// hide them. Everything else that is mounted at the target is refused.
func (m Mount) Decide(s State) Decision {
	switch s.Kind {
	case KindDangling:
		return m.refuse(ErrNoTarget, "it is a symbolic link that leads nowhere", "make what it points to, or remove the link")
	case KindOther:
		return m.refuse(ErrNoTarget, "a file stands there or in its path", "move it away and make a folder in its place")
	case KindMissing:
		return m.decideMissing(s)
	}
	if s.MountPoint {
		return m.decideMounted(s)
	}
	if m.When == WhenUnwritable && s.Writable {
		return Decision{Outcome: OutcomeKeep, Reason: "the folder is writable"}
	}
	if len(s.Below) > 0 {
		return m.decideBelow(s)
	}
	if m.When == WhenUnwritable {
		return Decision{Outcome: OutcomeMount, Reason: "the folder is not writable"}
	}
	return Decision{Outcome: OutcomeMount, Reason: "nothing is mounted there"}
}

func (m Mount) decideMissing(s State) Decision {
	switch {
	case m.When == WhenExists:
		return Decision{Outcome: OutcomeSkip, Reason: "the folder does not exist, so the kernel lacks the filesystem"}
	case s.ReadOnly:
		return m.refuse(ErrReadOnlyRoot, "the folder is missing and cannot be made on the "+s.FSType+" it would lie on",
			"make "+printable(m.Target)+" in the image, or start with a writable root")
	case m.When == WhenUnwritable:
		return Decision{Outcome: OutcomeMake, Reason: "the folder is missing"}
	}
	return Decision{Outcome: OutcomeMount, Reason: "the folder is missing"}
}

func (m Mount) decideMounted(s State) Decision {
	unmount := "unmount it first, or start without that mount"
	switch {
	case !m.accepts(s.FSType):
		return m.refuse(ErrForeign, "a filesystem of type "+s.FSType+" is mounted there", unmount)
	case s.FSType == m.FSType && !m.acceptsAny() && s.Root != "" && s.Root != "/":
		return m.refuse(ErrForeign, "only "+printable(s.Root)+" of a "+s.FSType+" is mounted there", unmount)
	case s.OtherPIDs:
		return m.refuse(ErrForeign, "the proc there belongs to another PID namespace",
			"unmount it first, or enter the namespace with unshare --pid --fork --mount-proc")
	case s.NoDev && m.Flags&unix.MS_NODEV == 0 && (m.FSType == "devtmpfs" || m.FSType == "devpts"):
		return m.refuse(ErrForeign, "it is mounted nodev, so that no device in it opens", "remount it with the option dev")
	case m.When == WhenUnwritable && !s.Writable:
		return Decision{Outcome: OutcomeMount, Reason: "the " + s.FSType + " that is mounted there is not writable"}
	case m.Write && s.ReadOnly && s.FSType == "sysfs":
		return m.refuse(ErrReadOnlySys, "", "start the container with --privileged")
	case m.Write && s.ReadOnly:
		return m.refuse(ErrReadOnly, "the "+s.FSType+" there has to be writable", "remount it with the option rw")
	case s.FSType == m.FSType:
		return Decision{Outcome: OutcomeKeep, Reason: m.FSType + " is mounted there"}
	}
	return Decision{Outcome: OutcomeKeep, Reason: "the " + s.FSType + " that is mounted there does as well"}
}

// decideBelow is about a folder that is no mount point, but has some below it.
func (m Mount) decideBelow(s State) Decision {
	below := s.Below[0]
	if more := len(s.Below) - 1; more > 0 {
		below = fmt.Sprintf("%s and %d more", below, more)
	}
	switch {
	case !m.Populated:
		return m.refuse(ErrForeign, "mounting it would hide what is mounted below: "+below,
			"unmount what is below first, or mount "+m.FSType+" before it")
	case m.Write && !s.Writable:
		return m.refuse(ErrReadOnly, "the folder is not writable, and mounting over it would hide "+below,
			"mount a "+m.FSType+" there before what lies below, with docker run --tmpfs "+m.Target+" for example")
	}
	return Decision{Outcome: OutcomeKeep, Reason: "the folder serves as it is, and mounting over it would hide " + below}
}

func (m Mount) refuse(kind error, detail, advice string) Decision {
	return Decision{
		Outcome: OutcomeRefuse,
		Reason:  strings.TrimPrefix(kind.Error()+": "+detail, ": "),
		Err: &Error{
			Op: opMount, Source: m.Source, Target: m.Target, FSType: m.FSType, Flags: m.Flags, Data: m.Data,
			Kind: kind, Detail: detail, Lost: m.Lost, Advice: advice,
		},
	}
}
