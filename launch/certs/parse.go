package certs

import (
	"bytes"
	"encoding/pem"
	"errors"
	"net/netip"
	"slices"
	"time"
)

// certificate is what matters of an X.509 certificate (RFC 5280).
type certificate struct {
	raw, tbs          []byte
	serial            []byte
	issuer, subject   []byte // whole, as they are compared byte for byte
	commonName        string // the subject's
	issuerName        string // the issuer's common name
	from, to          time.Time
	key               publicKey
	ca, hasBasic      bool
	usage             []byte // key usage bits, nil where it has none
	extended          []string
	hasExtended       bool
	names             []string
	ips               []netip.Addr
	keyID, issuerID   []byte
	algorithm, signed []byte // of the signature
}

var errNoCertificate = errors.New("it holds no certificate in PEM")

// maxCertificates bounds how many certificates of one file are read.
const maxCertificates = 500

// parseCertificates reads all certificates of a file in PEM; other blocks are passed over.
func parseCertificates(data []byte) ([]*certificate, error) {
	var list []*certificate
	for {
		block, rest := pem.Decode(data)
		if block == nil {
			break
		}
		data = rest
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := parseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		if list = append(list, c); len(list) > maxCertificates {
			return nil, errors.New("it holds too many certificates")
		}
	}
	if len(list) == 0 {
		return nil, errNoCertificate
	}
	return list, nil
}

func parseCertificate(raw []byte) (*certificate, error) {
	outer := &reader{rest: raw}
	c := &certificate{}
	body, whole := outer.takeWhole(tagSequence)
	r := &reader{rest: body}
	var tbs []byte
	tbs, c.tbs = r.takeWhole(tagSequence)
	_, c.algorithm = r.takeWhole(tagSequence)
	c.signed = r.octetBits()
	c.raw = whole
	if outer.failed || r.failed || !outer.empty() || !r.empty() {
		return nil, errDER
	}
	if !c.readBody(&reader{rest: tbs}) {
		return nil, errDER
	}
	return c, nil
}

// readBody reads the part that is signed.
func (c *certificate) readBody(r *reader) bool {
	if r.peek(contextExplicit) {
		version := r.sub(contextExplicit)
		if n := version.unsigned(); version.failed || len(n) > 1 || len(n) == 1 && n[0] > 2 {
			return false
		}
	}
	c.serial = r.take(tagInt)
	_, inner := r.takeWhole(tagSequence)
	if !bytes.Equal(inner, c.algorithm) {
		return false // RFC 5280, section 4.1.1.2
	}
	_, c.issuer = r.takeWhole(tagSequence)
	validity := r.sub(tagSequence)
	c.from, c.to = validity.time(), validity.time()
	_, c.subject = r.takeWhole(tagSequence)
	c.commonName, c.issuerName = commonName(c.subject), commonName(c.issuer)
	c.key = readPublicKey(r.sub(tagSequence))
	for _, tag := range []byte{contextImplicit | 1, contextImplicit | 2} { // unique identifiers, which nobody uses
		if r.peek(tag) {
			r.any()
		}
	}
	if r.failed || validity.failed {
		return false
	}
	if r.peek(contextExplicit | 3) {
		explicit := r.sub(contextExplicit | 3)
		list := explicit.sub(tagSequence)
		for !list.empty() {
			c.readExtension(list)
		}
		if explicit.failed || list.failed {
			return false
		}
	}
	return r.empty() && !r.failed
}

func (c *certificate) readExtension(list *reader) {
	e := list.sub(tagSequence)
	kind := string(e.take(tagOID))
	if e.peek(tagBool) {
		e.boolean()
	}
	r := &reader{rest: e.take(tagOctets)}
	if e.failed || !e.empty() {
		list.fail()
		return
	}
	switch kind {
	case oidBasic:
		s := r.sub(tagSequence)
		c.hasBasic = true
		if s.peek(tagBool) {
			c.ca = s.boolean()
		}
		r.failed = r.failed || s.failed
	case oidKeyUsage:
		bits := r.take(tagBits)
		if len(bits) < 1 {
			r.fail()
			break
		}
		c.usage = append([]byte{}, bits[1:]...)
	case oidExtKeyUsage:
		s := r.sub(tagSequence)
		c.hasExtended = true
		for !s.empty() {
			c.extended = append(c.extended, string(s.take(tagOID)))
		}
		r.failed = r.failed || s.failed
	case oidSubjectAltName:
		s := r.sub(tagSequence)
		for !s.empty() {
			c.readName(s)
		}
		r.failed = r.failed || s.failed
	case oidSubjectKeyID:
		c.keyID = r.take(tagOctets)
	case oidAuthorityKeyID:
		s := r.sub(tagSequence)
		if s.peek(contextImplicit) {
			c.issuerID = s.take(contextImplicit)
		}
		r.failed = r.failed || s.failed
	default:
		return
	}
	if r.failed {
		list.fail()
	}
}

// readName reads a GeneralName, of which names and addresses count here.
func (c *certificate) readName(r *reader) {
	tag, body, _ := r.any()
	switch tag {
	case contextImplicit | 2:
		c.names = append(c.names, string(body))
	case contextImplicit | 7:
		ip, ok := netip.AddrFromSlice(body)
		if !ok {
			r.fail()
			return
		}
		c.ips = append(c.ips, ip)
	}
}

// commonName finds the last common name in a Name; empty where there is none.
func commonName(name []byte) (found string) {
	r := &reader{rest: name}
	for list := r.sub(tagSequence); !list.empty(); {
		for set := list.sub(tagSet); !set.empty(); {
			pair := set.sub(tagSequence)
			kind := string(pair.take(tagOID))
			if _, text, _ := pair.any(); kind == oidCommonName {
				found = string(text)
			}
		}
	}
	return found
}

// may tells whether the key usage extension allows a bit (0 digitalSignature, 5 keyCertSign), as it does where it is missing.
func (c *certificate) may(bit int) bool {
	return c.usage == nil || bit/8 < len(c.usage) && c.usage[bit/8]&(0x80>>(bit%8)) != 0
}

// serves tells whether the extended key usage allows an authentication, as it does where it is missing.
func (c *certificate) serves(usage string) bool {
	return !c.hasExtended || slices.Contains(c.extended, usage) || slices.Contains(c.extended, oidAnyUsage)
}

// issuedBy tells whether the names and key identifiers lead from c to an issuer. It says nothing of the signature.
func (c *certificate) issuedBy(issuer *certificate) bool {
	return bytes.Equal(c.issuer, issuer.subject) && (c.issuerID == nil || issuer.keyID == nil || bytes.Equal(c.issuerID, issuer.keyID))
}

func (c *certificate) encode() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.raw})
}
