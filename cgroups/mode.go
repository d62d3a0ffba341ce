package cgroups

import "fmt"

// Mode tells which version of cgroups is mounted.
type Mode uint8

const (
	// None: nothing is mounted.
	None Mode = iota
	// V1: controllers in hierarchies of their own.
	V1
	// V2: cgroup2 at the root.
	V2
	// Hybrid: V1, with a cgroup2 that manages no controllers for anybody at unified below the root.
	Hybrid
)

var modeNames = [...]string{None: "none", V1: "v1", V2: "v2", Hybrid: "hybrid"}

// String returns none, v1, v2 or hybrid.
func (m Mode) String() string {
	if int(m) < len(modeNames) {
		return modeNames[m]
	}
	return fmt.Sprintf("Mode(%d)", uint8(m))
}

// MarshalText returns what String does; an unknown Mode is an error.
func (m Mode) MarshalText() ([]byte, error) {
	if int(m) >= len(modeNames) {
		return nil, fmt.Errorf("unknown cgroup mode %d", uint8(m))
	}
	return []byte(modeNames[m]), nil
}

// UnmarshalText accepts what MarshalText returns.
func (m *Mode) UnmarshalText(text []byte) error {
	for i, name := range modeNames {
		if string(text) == name {
			*m = Mode(i)
			return nil
		}
	}
	return fmt.Errorf("unknown cgroup mode %q: it is none, v1, v2 or hybrid", text)
}

// Want is what a user asks for.
type Want uint8

const (
	// WantAuto keeps what is mounted, and where nothing is mounted what the kernel offers decides.
	WantAuto Want = iota
	// WantV1 asks for the controllers in v1 hierarchies. A hybrid system has them there.
	WantV1
	// WantV2 asks for cgroup2 at the root.
	WantV2
	// WantHybrid asks for WantV1 and a cgroup2 at unified below the root.
	WantHybrid
)

var wantNames = [...]string{WantAuto: "auto", WantV1: "v1", WantV2: "v2", WantHybrid: "hybrid"}

// ParseWant reads the value of a command-line flag: auto, v1, v2 or hybrid.
func ParseWant(text string) (Want, error) {
	for i, name := range wantNames {
		if text == name {
			return Want(i), nil
		}
	}
	return WantAuto, fmt.Errorf("unknown cgroup version %q: it is auto, v1, v2 or hybrid", text)
}

// String returns auto, v1, v2 or hybrid.
func (w Want) String() string {
	if int(w) < len(wantNames) {
		return wantNames[w]
	}
	return fmt.Sprintf("Want(%d)", uint8(w))
}

// MarshalText returns what String does; an unknown Want is an error.
func (w Want) MarshalText() ([]byte, error) {
	if int(w) >= len(wantNames) {
		return nil, fmt.Errorf("unknown wish for cgroups %d", uint8(w))
	}
	return []byte(wantNames[w]), nil
}

// UnmarshalText is ParseWant.
func (w *Want) UnmarshalText(text []byte) error {
	v, err := ParseWant(string(text))
	if err == nil {
		*w = v
	}
	return err
}
