package zstd

import "slices"

// execute appends what the sequences of a block make of its literals and of what is there already.
func (b *block) execute(out, data []byte, n, window, limit int) ([]byte, error) {
	in, err := newBackward(data)
	if err != nil {
		return nil, err
	}
	var states [3]fseEntry
	for i, table := range b.tables {
		states[i] = table[in.take(table.log())]
	}
	out = slices.Grow(out, limit)
	begin := len(out)
	literals := b.literals
	for i := range n {
		code := int(states[offsetCodes].symbol)
		if code > 31 {
			return nil, damaged("an offset of %d bits", code)
		}
		offset := 1<<code + int(in.take(code))
		match, matchBits, ok := matchLength(int(states[matchLengths].symbol))
		length, lengthBits, alsoOK := literalLength(int(states[literalLengths].symbol))
		if !ok || !alsoOK {
			return nil, damaged("an unknown length")
		}
		match += int(in.take(matchBits))
		length += int(in.take(lengthBits))
		offset = b.resolve(offset, length)
		if i < n-1 {
			for _, kind := range [...]int{literalLengths, matchLengths, offsetCodes} {
				states[kind] = b.tables[kind][int(states[kind].base)+int(in.take(int(states[kind].bits)))]
			}
		}
		if in.left < 0 || length > len(literals) || len(out)-begin+length+match > limit {
			return nil, damaged("a sequence takes more than there is")
		}
		out = append(out, literals[:length]...)
		literals = literals[length:]
		if offset <= 0 || offset > len(out) || offset > window {
			return nil, damaged("a sequence refers to %d bytes back, of %d", offset, min(len(out), window))
		}
		if offset >= match {
			out = append(out, out[len(out)-offset:len(out)-offset+match]...)
			continue
		}
		for from := len(out) - offset; match > 0; match-- { // it repeats what it makes itself
			out = append(out, out[from])
			from++
		}
	}
	if in.left != 0 {
		return nil, damaged("a block's sequences do not come out even")
	}
	return append(out, literals...), nil
}

// resolve turns the number of an offset into the offset: 1 to 3 stand for the last ones (3.1.1.5).
func (b *block) resolve(value, literals int) int {
	last := &b.offsets
	if value > 3 {
		*last = [3]int{value - 3, last[0], last[1]}
		return last[0]
	}
	if literals == 0 {
		value++
	}
	switch value {
	case 2:
		last[0], last[1] = last[1], last[0]
	case 3:
		*last = [3]int{last[2], last[0], last[1]}
	case 4:
		*last = [3]int{last[0] - 1, last[0], last[1]}
	}
	return last[0]
}

// literalLength is the least length of a code, and how many bits follow to be added (3.1.1.3.2.1.1).
func literalLength(code int) (base, bits int, ok bool) {
	switch {
	case code < 16:
		return code, 0, true
	case code < 20:
		return 16 + 2*(code-16), 1, true
	case code < 22:
		return 24 + 4*(code-20), 2, true
	case code < 24:
		return 32 + 8*(code-22), 3, true
	case code == 24:
		return 48, 4, true
	case code < 36:
		return 64 << (code - 25), code - 19, true
	}
	return 0, 0, false
}

// matchLength is the same for matches.
func matchLength(code int) (base, bits int, ok bool) {
	switch {
	case code < 32:
		return code + 3, 0, true
	case code < 36:
		return 35 + 2*(code-32), 1, true
	case code < 38:
		return 43 + 4*(code-36), 2, true
	case code < 40:
		return 51 + 8*(code-38), 3, true
	case code < 42:
		return 67 + 16*(code-40), 4, true
	case code == 42:
		return 99, 5, true
	case code < 53:
		return 3 + 128<<(code-43), code - 36, true
	}
	return 0, 0, false
}
