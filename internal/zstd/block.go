package zstd

// block is what a block leaves to the next.
type block struct {
	huff       *huffTable
	tables     [3]fseTable // of literals' lengths, offsets, lengths of matches
	offsets    [3]int      // the last ones
	literals   []byte
	predefined [3]fseTable // once they were needed
}

const (
	literalLengths = iota
	offsetCodes
	matchLengths
)

// unpack appends what a block unpacks to.
func (b *block) unpack(out, data []byte, window, limit int) ([]byte, error) {
	data, err := b.readLiterals(data, limit)
	if err != nil {
		return nil, err
	}
	if len(data) == 0 {
		return nil, damaged("a block has no sequences")
	}
	n := int(data[0])
	switch {
	case n == 0:
		if len(data) > 1 {
			return nil, damaged("something follows a block's literals")
		}
		return append(out, b.literals...), nil
	case n < 128:
		data = data[1:]
	case len(data) < 3:
		return nil, damaged("a block's sequences are cut short")
	case n < 255:
		n = (n-128)<<8 | int(data[1])
		data = data[2:]
	default:
		n = int(data[1]) + int(data[2])<<8 + 0x7f00
		data = data[3:]
	}
	if data, err = b.readTables(data); err != nil {
		return nil, err
	}
	return b.execute(out, data, n, window, limit)
}

// readLiterals reads the literals of a block (3.1.1.3.1), and returns what follows them.
func (b *block) readLiterals(data []byte, limit int) ([]byte, error) {
	if len(data) == 0 {
		return nil, damaged("a block is empty")
	}
	kind, format := data[0]&3, data[0]>>2&3
	header := [...][4]int{{1, 2, 1, 3}, {1, 2, 1, 3}, {3, 3, 4, 5}, {3, 3, 4, 5}}[kind][format]
	if len(data) < header {
		return nil, damaged("a block's literals are cut short")
	}
	var bits uint64
	for i := header - 1; i >= 0; i-- {
		bits = bits<<8 | uint64(data[i])
	}
	data = data[header:]
	if kind < 2 {
		size := int(bits >> 4)
		if format&1 == 0 {
			size = int(bits >> 3)
		}
		packed := size
		if kind == 1 {
			packed = 1
		}
		if size > limit || packed > len(data) {
			return nil, damaged("a block's literals have %d bytes", size)
		}
		b.literals = append(b.literals[:0], data[:packed]...)
		for len(b.literals) < size {
			b.literals = append(b.literals, data[0])
		}
		return data[packed:], nil
	}
	width := [...]int{10, 10, 14, 18}[format]
	size, packed := int(bits>>4&(1<<width-1)), int(bits>>(4+width)&(1<<width-1))
	if size > limit || packed > len(data) {
		return nil, damaged("a block's literals have %d bytes, packed %d", size, packed)
	}
	body, rest := data[:packed], data[packed:]
	if kind == 2 {
		var err error
		if b.huff, body, err = readHuff(body); err != nil {
			return nil, err
		}
	} else if b.huff == nil {
		return nil, damaged("a block goes by a tree that was not there")
	}
	return rest, b.decodeLiterals(body, size, format == 0)
}

// decodeLiterals reads literals in one stream or four.
func (b *block) decodeLiterals(body []byte, size int, one bool) (err error) {
	if one {
		b.literals, err = b.huff.decode(b.literals[:0], body, size)
		return err
	}
	if len(body) < 6 {
		return damaged("the streams of a block's literals are cut short")
	}
	jumps, body := body[:6], body[6:]
	each := (size + 3) / 4
	b.literals = b.literals[:0]
	for i := range 4 {
		stream, n := body, size-3*each
		if i < 3 {
			length := int(jumps[2*i]) | int(jumps[2*i+1])<<8
			if length > len(body) {
				return damaged("the streams of a block's literals are cut short")
			}
			stream, body, n = body[:length], body[length:], each
		}
		if n < 0 {
			return damaged("four streams for %d literals", size)
		}
		if b.literals, err = b.huff.decode(b.literals, stream, n); err != nil {
			return err
		}
	}
	return nil
}

// readTables reads how the sequences of a block are coded (3.1.1.3.2.1), and returns what follows.
func (b *block) readTables(data []byte) ([]byte, error) {
	if len(data) == 0 || data[0]&3 != 0 {
		return nil, damaged("a block's sequences have no modes")
	}
	modes := data[0]
	data = data[1:]
	for i := range b.tables {
		var err error
		switch modes >> (6 - 2*i) & 3 {
		case 0:
			b.tables[i], err = b.usual(i)
		case 1:
			if len(data) == 0 {
				return nil, damaged("a table is cut short")
			}
			b.tables[i], data = fseTable{{symbol: data[0]}}, data[1:]
		case 2:
			limit, maxLog := [...]int{36, 32, 53}[i], [...]int{9, 8, 9}[i]
			b.tables[i], data, err = readFSE(data, limit, maxLog)
		case 3:
			if b.tables[i] == nil {
				err = damaged("a block goes by a table that was not there")
			}
		}
		if err != nil {
			return nil, err
		}
	}
	return data, nil
}

// usual are the tables that are not in the data (3.1.1.3.2.2).
func (b *block) usual(i int) (fseTable, error) {
	if b.predefined[i] != nil {
		return b.predefined[i], nil
	}
	var counts []int16
	log := 6
	switch i {
	case literalLengths:
		counts = []int16{
			4, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 2, 1, 1, 1, 1, 1, -1, -1, -1, -1,
		}
	case offsetCodes:
		counts = []int16{1, 1, 1, 1, 1, 1, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1}
		log = 5
	case matchLengths:
		counts = []int16{1, 4, 3, 2, 2, 2, 2, 2, 2}
		for range 37 {
			counts = append(counts, 1)
		}
		counts = append(counts, -1, -1, -1, -1, -1, -1, -1)
	}
	var err error
	b.predefined[i], err = makeFSE(counts, log)
	return b.predefined[i], err
}
