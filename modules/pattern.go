package modules

// matches reports whether a name matches an alias pattern, as fnmatch(3) without flags: *, ?, [set], [!set] and \ before
// any of them. An alias has no file names in it, so / and a leading dot are nothing special. The time is bounded by the
// product of both lengths: only the last star is ever tried again.
func matches[P string | []byte](pattern P, name string) bool {
	p, n := 0, 0
	star, resume := -1, 0
	for n < len(name) {
		if p < len(pattern) {
			if pattern[p] == '*' {
				star, resume = p, n
				p++
				continue
			}
			if ok, width := matchOne(pattern[p:], name[n]); ok {
				p += width
				n++
				continue
			}
		}
		if star < 0 {
			return false
		}
		resume++
		p, n = star+1, resume
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

// matchOne matches one byte with the pattern's first element, and tells how long that element is.
func matchOne[P string | []byte](pattern P, c byte) (ok bool, width int) {
	switch pattern[0] {
	case '?':
		return true, 1
	case '\\':
		if len(pattern) == 1 {
			return c == '\\', 1
		}
		return c == pattern[1], 2
	case '[':
		if ok, width, closed := matchSet(pattern, c); closed {
			return ok, width
		}
		return c == '[', 1 // a bracket that is never closed stands for itself
	}
	return c == pattern[0], 1
}

func matchSet[P string | []byte](pattern P, c byte) (ok bool, width int, closed bool) {
	i := 1
	negated := i < len(pattern) && (pattern[i] == '!' || pattern[i] == '^')
	if negated {
		i++
	}
	for first := true; i < len(pattern); first = false {
		if pattern[i] == ']' && !first {
			return ok != negated, i + 1, true
		}
		var low, high byte
		if low, i, closed = setByte(pattern, i); !closed {
			return false, 0, false
		}
		high = low
		if i+1 < len(pattern) && pattern[i] == '-' && pattern[i+1] != ']' {
			if high, i, closed = setByte(pattern, i+1); !closed {
				return false, 0, false
			}
		}
		ok = ok || low <= c && c <= high
	}
	return false, 0, false
}

// setByte reads a byte of a set, which a backslash may precede.
func setByte[P string | []byte](pattern P, i int) (b byte, next int, ok bool) {
	if pattern[i] == '\\' {
		i++
	}
	if i >= len(pattern) {
		return 0, i, false
	}
	return pattern[i], i + 1, true
}
