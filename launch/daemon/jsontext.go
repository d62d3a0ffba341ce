package daemon

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf16"
	"unicode/utf8"
)

// member is one member of a JSON object and where it stands in the file.
type member struct {
	key string
	at  int // offset of the key's quote
	raw json.RawMessage
	// rawAt is the offset of the value.
	rawAt int
}

// members lists an object's members in order, duplicates included, which a map would hide. start is the offset of
// object in the file.
func members(object []byte, start int) ([]member, error) {
	decoder := json.NewDecoder(bytes.NewReader(object))
	if _, err := decoder.Token(); err != nil { // the brace
		return nil, err
	}
	var list []member
	for decoder.More() {
		before := int(decoder.InputOffset())
		token, err := decoder.Token()
		if err != nil {
			return nil, err
		}
		key, ok := token.(string)
		if !ok {
			return nil, fmt.Errorf("%v is not a key", token)
		}
		m := member{key: key, at: start + before + max(0, bytes.IndexByte(object[before:], '"'))}
		if err := decoder.Decode(&m.raw); err != nil {
			return nil, err
		}
		m.rawAt = start + int(decoder.InputOffset()) - len(m.raw)
		list = append(list, m)
	}
	return list, nil
}

// cursor finds the lines and columns of offsets that only grow, without counting from the start each time.
type cursor struct {
	data                 []byte
	offset, line, column int
}

// move goes to an offset and counts its line and column, from 1; columns are characters.
func (c *cursor) move(offset int) (line, column int) {
	offset = min(max(offset, c.offset), len(c.data))
	passed := c.data[c.offset:offset]
	c.line += bytes.Count(passed, []byte("\n"))
	if i := bytes.LastIndexByte(passed, '\n'); i >= 0 {
		c.column, passed = 1, passed[i+1:]
	}
	c.offset = offset
	c.column += utf8.RuneCount(passed)
	return c.line, c.column
}

func startOf(data []byte) *cursor { return &cursor{data: data, line: 1, column: 1} }

func errorAt(data []byte, offset int, err error) *ConfigError {
	line, column := startOf(data).move(offset)
	return &ConfigError{Line: line, Column: column, Err: err}
}

// errorOffset finds the byte that a JSON error is about.
func errorOffset(data []byte, err error) int {
	var syntax *json.SyntaxError
	if !errors.As(err, &syntax) {
		// The one other error is an outermost value that is no object.
		return len(data) - len(bytes.TrimLeft(data, " \t\r\n"))
	}
	if syntax.Error() == "unexpected end of JSON input" {
		return len(bytes.TrimRight(data, " \t\r\n"))
	}
	return int(syntax.Offset) - 1 // Offset is behind the byte that was too much
}

// describe puts JSON's type error in words that speak of the file, not of Go.
func describe(err error) error {
	var kind *json.UnmarshalTypeError
	if errors.As(err, &kind) {
		return fmt.Errorf("the outermost value is %s, but must be an object: {...}", kind.Value)
	}
	return err
}

// decodeBOM takes a byte order mark off, and makes UTF-8 of the UTF-16 that it may announce, as dockerd does since 23.0.
func decodeBOM(data []byte) []byte {
	switch {
	case bytes.HasPrefix(data, []byte("\xef\xbb\xbf")):
		return data[3:]
	case bytes.HasPrefix(data, []byte("\xff\xfe")):
		return decodeUTF16(data[2:], binary.LittleEndian)
	case bytes.HasPrefix(data, []byte("\xfe\xff")):
		return decodeUTF16(data[2:], binary.BigEndian)
	}
	return data
}

func decodeUTF16(data []byte, order binary.ByteOrder) []byte {
	units := make([]uint16, 0, len(data)/2)
	for ; len(data) >= 2; data = data[2:] {
		units = append(units, order.Uint16(data))
	}
	text := []byte(string(utf16.Decode(units)))
	if len(data) > 0 {
		text = append(text, 0xff) // half a character: not valid, as invalidUTF8 then tells
	}
	return text
}
