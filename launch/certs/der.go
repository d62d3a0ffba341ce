package certs

import (
	"errors"
	"time"
)

// Tags of DER (ITU-T X.690).
const (
	tagBool         = 0x01
	tagInt          = 0x02
	tagBits         = 0x03
	tagOctets       = 0x04
	tagNull         = 0x05
	tagOID          = 0x06
	tagUTF8         = 0x0c
	tagUTCTime      = 0x17
	tagGeneralTime  = 0x18
	tagSequence     = 0x30
	tagSet          = 0x31
	contextImplicit = 0x80
	contextExplicit = 0xa0
)

var errDER = errors.New("its DER is broken")

// reader takes one DER value after the other off the front of a text. Once something is wrong, failed stays set and all
// further values are empty, so that a caller may look once, at the end.
//
// It takes what certificates and keys are made of, and nothing else: tags of one byte, and lengths of up to three bytes in
// their shortest form.
type reader struct {
	rest   []byte
	failed bool
}

func (r *reader) fail() { r.rest, r.failed = nil, true }

func (r *reader) empty() bool { return len(r.rest) == 0 }

// peek tells whether a value with this tag is next.
func (r *reader) peek(tag byte) bool { return len(r.rest) > 0 && r.rest[0] == tag }

// any takes the next value; whole is it with its tag and length.
func (r *reader) any() (tag byte, body, whole []byte) {
	if len(r.rest) < 2 || r.rest[0]&0x1f == 0x1f {
		r.fail()
		return 0, nil, nil
	}
	head, length := 2, int(r.rest[1])
	if length >= 0x80 {
		n := length & 0x7f
		if n < 1 || n > 3 || len(r.rest) < head+n {
			r.fail()
			return 0, nil, nil
		}
		length = 0
		for _, b := range r.rest[head : head+n] {
			length = length<<8 | int(b)
		}
		if length < 0x80 || length < 1<<(8*(n-1)) {
			r.fail() // not the shortest form
			return 0, nil, nil
		}
		head += n
	}
	if len(r.rest)-head < length {
		r.fail()
		return 0, nil, nil
	}
	tag, body, whole = r.rest[0], r.rest[head:head+length], r.rest[:head+length]
	r.rest = r.rest[head+length:]
	return tag, body, whole
}

// take takes the next value, which must have this tag.
func (r *reader) take(tag byte) []byte {
	body, _ := r.takeWhole(tag)
	return body
}

func (r *reader) takeWhole(tag byte) (body, whole []byte) {
	if !r.peek(tag) {
		r.fail()
		return nil, nil
	}
	_, body, whole = r.any()
	return body, whole
}

// sub takes the next value, which must have this tag, to look into it.
func (r *reader) sub(tag byte) *reader {
	body := r.take(tag)
	return &reader{rest: body, failed: r.failed}
}

// unsigned takes an integer that is not negative, without the leading zero byte.
func (r *reader) unsigned() []byte {
	body := r.take(tagInt)
	switch {
	case r.failed:
	case len(body) == 0 || body[0]&0x80 != 0 || len(body) > 1 && body[0] == 0 && body[1]&0x80 == 0:
		r.fail()
		return nil
	case body[0] == 0:
		return body[1:]
	}
	return body
}

// octetBits takes a bit string of whole bytes.
func (r *reader) octetBits() []byte {
	body := r.take(tagBits)
	if len(body) < 1 || body[0] != 0 {
		r.fail()
		return nil
	}
	return body[1:]
}

// boolean takes a boolean; DER writes true as 255.
func (r *reader) boolean() bool {
	body := r.take(tagBool)
	if len(body) != 1 || body[0] != 0 && body[0] != 0xff {
		r.fail()
		return false
	}
	return body[0] != 0
}

// time takes a time as RFC 5280, section 4.1.2.5 has it: to the second, in UTC.
func (r *reader) time() time.Time {
	tag, body, _ := r.any()
	digits := 12
	if tag == tagGeneralTime {
		digits = 14
	} else if tag != tagUTCTime {
		r.fail()
	}
	if r.failed || len(body) != digits+1 || body[digits] != 'Z' {
		r.fail()
		return time.Time{}
	}
	var n [7]int
	for i, b := range body[:digits] {
		if b < '0' || b > '9' {
			r.fail()
			return time.Time{}
		}
		// The last five pairs are month to second; what stands before them is the year.
		n[(i+14-digits)/2] = n[(i+14-digits)/2]*10 + int(b-'0')
	}
	year := n[0]*100 + n[1]
	if digits == 12 {
		if year += 1900; year < 1950 {
			year += 100
		}
	}
	t := time.Date(year, time.Month(n[2]), n[3], n[4], n[5], n[6], 0, time.UTC)
	if t.Year() != year || int(t.Month()) != n[2] || t.Day() != n[3] || t.Hour() != n[4] || t.Minute() != n[5] || t.Second() != n[6] {
		r.fail() // the 31st of February
		return time.Time{}
	}
	return t
}

// value writes a DER value whose body is made of parts.
func value(tag byte, parts ...[]byte) []byte {
	length := 0
	for _, p := range parts {
		length += len(p)
	}
	var out []byte
	switch {
	case length < 0x80:
		out = append(out, tag, byte(length))
	case length < 1<<8:
		out = append(out, tag, 0x81, byte(length))
	case length < 1<<16:
		out = append(out, tag, 0x82, byte(length>>8), byte(length))
	default:
		out = append(out, tag, 0x83, byte(length>>16), byte(length>>8), byte(length))
	}
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

func sequence(parts ...[]byte) []byte { return value(tagSequence, parts...) }

// integer writes a number that is not negative, in its shortest form.
func integer(n []byte) []byte {
	for len(n) > 0 && n[0] == 0 {
		n = n[1:]
	}
	if len(n) == 0 || n[0]&0x80 != 0 {
		return value(tagInt, []byte{0}, n)
	}
	return value(tagInt, n)
}

func oid(o string) []byte { return value(tagOID, []byte(o)) }

// bitString writes whole bytes.
func bitString(b []byte) []byte { return value(tagBits, []byte{0}, b) }

// timeValue writes a time, as UTCTime up to 2049.
func timeValue(t time.Time) []byte {
	text := t.UTC().Format("20060102150405Z")
	if y := t.UTC().Year(); y >= 1950 && y < 2050 {
		return value(tagUTCTime, []byte(text[2:]))
	}
	return value(tagGeneralTime, []byte(text))
}

// Object identifiers, as the bodies of their DER.
const (
	oidCommonName  = "\x55\x04\x03"
	oidECPublicKey = "\x2a\x86\x48\xce\x3d\x02\x01"
	oidP256        = "\x2a\x86\x48\xce\x3d\x03\x01\x07"
	oidECDSA256    = "\x2a\x86\x48\xce\x3d\x04\x03\x02"
	oidECDSA384    = "\x2a\x86\x48\xce\x3d\x04\x03\x03"
	oidECDSA512    = "\x2a\x86\x48\xce\x3d\x04\x03\x04"
	oidRSA         = "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01"
	oidRSA256      = "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b"
	oidRSA384      = "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0c"
	oidRSA512      = "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0d"

	oidSubjectKeyID   = "\x55\x1d\x0e"
	oidKeyUsage       = "\x55\x1d\x0f"
	oidSubjectAltName = "\x55\x1d\x11"
	oidBasic          = "\x55\x1d\x13"
	oidAuthorityKeyID = "\x55\x1d\x23"
	oidExtKeyUsage    = "\x55\x1d\x25"

	oidAnyUsage   = "\x55\x1d\x25\x00"
	oidServerAuth = "\x2b\x06\x01\x05\x05\x07\x03\x01"
	oidClientAuth = "\x2b\x06\x01\x05\x05\x07\x03\x02"
)
