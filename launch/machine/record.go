package machine

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// RecordLimit is the size of a record in the kernel's log that every kernel takes whole, in bytes: more than 1024 with the
// kernel's own additions is refused (PRINTKRB_RECORD_MAX in kernel/printk).
const RecordLimit = 900

// maxRecords bounds what one message may come to.
const maxRecords = 64

// Prefix begins each of the launcher's lines.
const Prefix = "dockerlaunch: "

// Records makes the records for /dev/kmsg of a message: each line one record or, where it is longer than RecordLimit, several,
// cut between characters. Control characters are written as \xNN, since the kernel hands them to the terminal as they are. A
// message of more than 64 records ends with a note about the rest. A record without its newline could be continued by the next
// one, and the kernel shows it to nobody until that has come (prb_commit in kernel/printk/printk_ringbuffer.c).
func Records(level Level, text string) []string {
	start := "<" + strconv.Itoa(int(min(max(level, Emergency), Debug))) + ">" + Prefix
	return pieces(start, "\n", text, RecordLimit)
}

// Lines makes the lines for the console of a message.
func Lines(text string) []string { return pieces(Prefix, "\n", text, RecordLimit) }

func pieces(start, end, text string, limit int) []string {
	var out []string
	room := limit - len(start) - len(end)
	text = strings.TrimRight(text, "\r\n")
	for {
		line, rest, more := strings.Cut(text, "\n")
		// What will not be used is not made: a message may be megabytes.
		line = escape(line[:min(len(line), maxRecords*limit)])
		for {
			if len(out) == maxRecords-1 && (len(line) > room || more) {
				return append(out, start+fmt.Sprintf("(%d bytes more)", len(line)+len(rest))+end)
			}
			n := cutAt(line, room)
			out = append(out, start+line[:n]+end)
			if line = line[n:]; line == "" {
				break
			}
		}
		if !more {
			return out
		}
		text = rest
	}
}

// cutAt gives the largest length up to limit at which no character is cut in two. Where the bytes are no UTF-8 it is limit.
func cutAt(s string, limit int) int {
	if len(s) <= limit {
		return len(s)
	}
	for n := limit; n > limit-utf8.UTFMax; n-- {
		if utf8.RuneStart(s[n]) {
			return n
		}
	}
	return limit
}

// escape replaces what a terminal would act on, but for tabs.
func escape(s string) string {
	control := func(c byte) bool { return c < 0x20 && c != '\t' || c == 0x7f }
	s = strings.TrimSuffix(s, "\r")
	i := 0
	for i < len(s) && !control(s[i]) {
		i++
	}
	if i == len(s) {
		return s
	}
	const digits = "0123456789abcdef"
	out := append(make([]byte, 0, len(s)+16), s[:i]...)
	for ; i < len(s); i++ {
		if c := s[i]; control(c) {
			out = append(out, '\\', 'x', digits[c>>4], digits[c&15])
		} else {
			out = append(out, c)
		}
	}
	return string(out)
}
