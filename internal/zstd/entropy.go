package zstd

import "math/bits"

// fseEntry is a state: its symbol, and the next state as a base and so many bits to be added.
type fseEntry struct {
	symbol uint8
	bits   uint8
	base   uint16
}

// fseTable is a decoder of finite state entropy (RFC 8878, 4.1); its length is a power of two.
type fseTable []fseEntry

func (t fseTable) log() int { return bits.Len(uint(len(t))) - 1 }

// readFSE reads a table for symbols below limit, and returns what follows it.
func readFSE(data []byte, limit, maxLog int) (fseTable, []byte, error) {
	f := forward{data: data}
	log := f.take(4) + 5
	if log > maxLog {
		return nil, nil, damaged("a table of %d bits", log)
	}
	counts := make([]int16, 0, limit)
	left := 1 << log
	for left > 0 {
		if len(counts) == limit || f.at > 8*len(data) {
			return nil, nil, damaged("a table does not end")
		}
		width := bits.Len(uint(left + 1))
		value := f.take(width)
		low := value & (1<<(width-1) - 1)
		if spare := 1<<width - 1 - (left + 1); low < spare {
			value = low
			f.at-- // that value has a bit less
		} else if value >= 1<<(width-1) {
			value -= spare
		}
		count := value - 1
		if count < 0 {
			left--
		} else {
			left -= count
		}
		counts = append(counts, int16(count))
		for count == 0 {
			zeros := f.take(2)
			for range zeros {
				counts = append(counts, 0)
			}
			if len(counts) > limit {
				return nil, nil, damaged("a table has too many symbols")
			}
			if zeros < 3 {
				break
			}
		}
	}
	used := (f.at + 7) / 8
	if left < 0 || used > len(data) {
		return nil, nil, damaged("a table is cut short")
	}
	table, err := makeFSE(counts, log)
	return table, data[used:], err
}

// makeFSE spreads the symbols over the states; a count of -1 stands for less than one.
func makeFSE(counts []int16, log int) (fseTable, error) {
	size := 1 << log
	table := make(fseTable, size)
	next := make([]uint16, len(counts))
	high := size
	for symbol, count := range counts {
		if count < 0 {
			high--
			table[high].symbol = uint8(symbol)
			next[symbol] = 1
		} else {
			next[symbol] = uint16(count)
		}
	}
	at, step, mask := 0, size>>1+size>>3+3, size-1
	for symbol, count := range counts {
		for range count {
			table[at].symbol = uint8(symbol)
			for at = (at + step) & mask; at >= high; {
				at = (at + step) & mask
			}
		}
	}
	if at != 0 {
		return nil, damaged("a table does not come out even")
	}
	for i := range table {
		e := &table[i]
		n := next[e.symbol]
		next[e.symbol]++
		e.bits = uint8(log - bits.Len16(n) + 1)
		e.base = n<<e.bits - uint16(size)
	}
	return table, nil
}

// huffTable is a decoder of Huffman codes: by the next maxBits bits, the symbol and how many of them are its own.
type huffTable struct {
	log     int
	entries []huffEntry
}

type huffEntry struct{ symbol, bits uint8 }

// maxHuffLog is the longest code, in bits.
const maxHuffLog = 11

// readHuff reads a tree (4.2.1), and returns what follows it.
func readHuff(data []byte) (*huffTable, []byte, error) {
	if len(data) == 0 {
		return nil, nil, damaged("a tree is missing")
	}
	size := int(data[0])
	data = data[1:]
	var weights []uint8
	if size >= 128 {
		n := size - 127
		if size = (n + 1) / 2; size > len(data) {
			return nil, nil, damaged("a tree is cut short")
		}
		for i := range n {
			weights = append(weights, data[i/2]>>(4*(1-i%2))&15)
		}
	} else {
		if size > len(data) {
			return nil, nil, damaged("a tree is cut short")
		}
		var err error
		if weights, err = readWeights(data[:size]); err != nil {
			return nil, nil, err
		}
	}
	table, err := makeHuff(weights)
	return table, data[size:], err
}

// readWeights reads weights that are packed themselves, with two states in turn.
func readWeights(data []byte) ([]uint8, error) {
	table, rest, err := readFSE(data, 256, 6)
	if err != nil {
		return nil, err
	}
	in, err := newBackward(rest)
	if err != nil {
		return nil, err
	}
	var states [2]uint64
	for i := range states {
		states[i] = in.take(table.log())
	}
	var weights []uint8
	for i := 0; ; i = 1 - i {
		e := table[states[i]]
		weights = append(weights, e.symbol)
		states[i] = uint64(e.base) + in.take(int(e.bits))
		if in.left < 0 {
			weights = append(weights, table[states[1-i]].symbol)
			break
		}
		if len(weights) > 255 {
			return nil, damaged("a tree has too many symbols")
		}
	}
	return weights, nil
}

// makeHuff makes a table of the weights of all symbols but the last, whose weight fills what is left.
func makeHuff(weights []uint8) (*huffTable, error) {
	sum := 0
	for _, w := range weights {
		if w > maxHuffLog {
			return nil, damaged("a code of more than %d bits", maxHuffLog)
		}
		sum += 1 << w >> 1
	}
	log := bits.Len(uint(sum))
	left := 1<<log - sum
	if sum == 0 || log > maxHuffLog || left&(left-1) != 0 || len(weights) > 255 {
		return nil, damaged("a tree does not come out even")
	}
	weights = append(weights, uint8(bits.Len(uint(left))))
	t := &huffTable{log: log, entries: make([]huffEntry, 0, 1<<log)}
	for weight := uint8(1); int(weight) <= log; weight++ {
		for symbol, w := range weights {
			if w == weight {
				for range 1 << (w - 1) {
					t.entries = append(t.entries, huffEntry{uint8(symbol), uint8(log) + 1 - w})
				}
			}
		}
	}
	return t, nil
}

// decode appends n symbols.
func (t *huffTable) decode(out, data []byte, n int) ([]byte, error) {
	in, err := newBackward(data)
	if err != nil {
		return nil, err
	}
	for range n {
		e := t.entries[in.peek(t.log)]
		out = append(out, e.symbol)
		in.left -= int(e.bits)
	}
	if in.left != 0 {
		return nil, damaged("a stream of literals does not come out even")
	}
	return out, nil
}
