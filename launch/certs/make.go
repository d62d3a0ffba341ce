package certs

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/dockerlaunch/dockerlaunch/internal/random"
)

const (
	// lifetime is how long a certificate is valid: what docker:dind uses, and the most that some clients' systems take.
	lifetime = 825 * day
	// backdate is how long before its making a certificate becomes valid. Clocks that took local time for UTC are up to
	// 14 hours off.
	backdate = day
	day      = 24 * time.Hour
)

// clockFloor is before this program was written: a clock that shows less is wrong, as on a machine without a battery behind
// its clock, which begins at 1970 or at the kernel's own date.
func clockFloor() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) }

// epoch is where clocks that were never set begin, and what marks the certificates made by one.
func epoch() time.Time { return time.Unix(0, 0).UTC() }

// lifespan tells from when to when a certificate made now is valid.
//
// With a clock that is plainly wrong it is valid by that clock, and for twenty years from the floor on, so that it does not
// end when the clock is set; the first start with a clock that is set makes it anew. later is a time that an older
// certificate says it was already, zero where none does: a clock that went back since, or was ahead then. The certificate
// is valid by both, for there is no telling which of them is right, unless they are more than ten years apart.
func lifespan(now, later time.Time) (from, to time.Time) {
	now = now.UTC().Truncate(time.Second)
	if now.Before(clockFloor()) {
		return epoch(), clockFloor().AddDate(20, 0, 0)
	}
	from = now.Add(-backdate)
	to = from.Add(lifetime)
	if later.After(now) && later.Before(now.AddDate(10, 0, 0)) {
		to = later.Add(lifetime)
	}
	return from, to
}

// profile is a kind of certificate.
type profile struct {
	name  string // of the folder
	file  string // its common name
	usage string // extended key usage; empty for a CA
}

// certificateFor makes and signs a certificate. issuer is nil for a CA, which signs itself. A renewed CA keeps the subject
// that it has, so that certificates it has issued still lead to it.
func certificateFor(p profile, subject []byte, key publicKey, w Wanted, from, to time.Time, issuer *certificate, signer *privateKey) (*certificate, error) {
	serial := make([]byte, 16)
	if err := random.Read(serial); err != nil {
		return nil, fmt.Errorf("reading random bytes: %w", err)
	}
	// Positive, and always of the same length.
	serial[0] = serial[0]&0x7f | 0x40
	if subject == nil {
		subject = sequence(value(tagSet, sequence(oid(oidCommonName), value(tagUTF8, []byte(p.file)))))
	}
	issuerName, issuerID := subject, signer.id()
	if issuer != nil {
		issuerName = issuer.subject
		if issuer.keyID != nil {
			issuerID = issuer.keyID
		}
	}
	var list []byte
	if issuer == nil {
		list = append(list, extension(oidBasic, true, sequence(value(tagBool, []byte{0xff})))...)
		// digitalSignature, keyCertSign and cRLSign
		list = append(list, extension(oidKeyUsage, true, value(tagBits, []byte{1, 0x86}))...)
	} else {
		list = append(list, extension(oidBasic, true, sequence())...)
		list = append(list, extension(oidKeyUsage, true, value(tagBits, []byte{7, 0x80}))...)
		list = append(list, extension(oidExtKeyUsage, false, sequence(oid(p.usage)))...)
	}
	list = append(list, extension(oidSubjectKeyID, false, value(tagOctets, key.id()))...)
	list = append(list, extension(oidAuthorityKeyID, false, sequence(value(contextImplicit, issuerID)))...)
	if names := alternatives(w); names != nil && p.usage == oidServerAuth {
		list = append(list, extension(oidSubjectAltName, false, names)...)
	}
	algorithm := signer.algorithm()
	tbs := sequence(
		value(contextExplicit, integer([]byte{2})), integer(serial), algorithm, issuerName,
		sequence(timeValue(from), timeValue(to)), subject, key.info(),
		value(contextExplicit|3, sequence(list)),
	)
	signature, err := signer.sign(algorithm, tbs)
	if err != nil {
		return nil, fmt.Errorf("signing the %s certificate: %w", p.name, err)
	}
	return parseCertificate(sequence(tbs, algorithm, bitString(signature)))
}

func extension(kind string, critical bool, body []byte) []byte {
	if critical {
		return sequence(oid(kind), value(tagBool, []byte{0xff}), value(tagOctets, body))
	}
	return sequence(oid(kind), value(tagOctets, body))
}

// alternatives writes the subject's alternative names; nil where there are none.
func alternatives(w Wanted) []byte {
	var list []byte
	for _, name := range w.Names {
		list = append(list, value(contextImplicit|2, []byte(name))...)
	}
	for _, ip := range w.IPs {
		list = append(list, value(contextImplicit|7, bytesOf(ip))...)
	}
	if list == nil {
		return nil
	}
	return sequence(list)
}

func bytesOf(ip netip.Addr) []byte { return ip.AsSlice() }
