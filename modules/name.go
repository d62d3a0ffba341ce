package modules

import "strings"

// Normalize gives a module's name or an alias the form in which they are compared: the kernel takes - and _ for the same,
// but not between the brackets of an alias pattern.
func Normalize(name string) string {
	if !strings.Contains(name, "-") {
		return name
	}
	b := []byte(name)
	inBrackets := false
	for i, c := range b {
		switch {
		case c == '[':
			inBrackets = true
		case c == ']':
			inBrackets = false
		case c == '-' && !inBrackets:
			b[i] = '_'
		}
	}
	return string(b)
}

// NameOf is the name of the module in a file, whatever it is compressed with: "nf_nat" of "kernel/net/nf-nat.ko.xz".
func NameOf(file string) string {
	name := file[strings.LastIndexByte(file, '/')+1:]
	if dot := strings.IndexByte(name, '.'); dot >= 0 {
		name = name[:dot]
	}
	return Normalize(name)
}

// isModuleFile tells modules from what else lies in the same folders.
func isModuleFile(name string) bool {
	for _, suffix := range [...]string{".ko", ".ko.xz", ".ko.zst", ".ko.gz"} {
		if strings.HasSuffix(name, suffix) {
			return true
		}
	}
	return false
}
