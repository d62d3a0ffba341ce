package certs

import (
	"encoding/pem"
	"time"
)

// Roots is what a bundle of CA certificates comes to at a moment.
type Roots struct {
	// Total counts the certificates that can be read, Broken the blocks that cannot.
	Total, Broken int
	// Valid counts those that are valid at the moment, Early those that are not valid yet.
	Valid, Early int
	// Until is when the last of them ends.
	Until time.Time
}

// ReadRoots reads a bundle in PEM. Of a certificate it reads when it is valid, and neither names nor keys.
func ReadRoots(data []byte, now time.Time) (r Roots) {
	for {
		block, rest := pem.Decode(data)
		if block == nil {
			return r
		}
		data = rest
		if block.Type != "CERTIFICATE" {
			continue
		}
		from, to, ok := validity(block.Bytes)
		if !ok {
			r.Broken++
			continue
		}
		r.Total++
		if now.Before(from) {
			r.Early++
		} else if !now.After(to) {
			r.Valid++
		}
		if to.After(r.Until) {
			r.Until = to
		}
	}
}

// validity reads the third or fourth field of a certificate (RFC 5280, section 4.1).
func validity(raw []byte) (from, to time.Time, ok bool) {
	outer := &reader{rest: raw}
	body := outer.sub(tagSequence)
	tbs := body.sub(tagSequence)
	if tbs.peek(contextExplicit) {
		tbs.any()
	}
	tbs.take(tagInt)
	tbs.take(tagSequence)
	tbs.take(tagSequence)
	times := tbs.sub(tagSequence)
	from, to = times.time(), times.time()
	return from, to, !outer.failed && !body.failed && !tbs.failed && !times.failed
}
