package certs

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/pem"
	"errors"
	"strings"
)

// Two kinds of keys are known: ECDSA on P-256, of which new ones are made, and RSA, which docker:dind made and which may
// go on signing. The arithmetic is that of filippo.io/nistec and filippo.io/bigmod, the exported copies of what crypto/ecdsa
// and crypto/rsa are built upon: these packages themselves bring three more curves, math/big and half a megabyte along.

// publicKey is the key in a certificate. One of another kind has neither point nor modulus.
type publicKey struct {
	point []byte // uncompressed, on P-256
	// modulus and exponent of RSA, without leading zero bytes.
	modulus, exponent []byte
}

func (k publicKey) known() bool { return k.point != nil || k.modulus != nil }

func (k publicKey) equal(o publicKey) bool {
	return bytes.Equal(k.point, o.point) && bytes.Equal(k.modulus, o.modulus) && bytes.Equal(k.exponent, o.exponent)
}

// info writes a SubjectPublicKeyInfo (RFC 5280, section 4.1.2.7).
func (k publicKey) info() []byte {
	if k.point != nil {
		return sequence(sequence(oid(oidECPublicKey), oid(oidP256)), bitString(k.point))
	}
	return sequence(sequence(oid(oidRSA), value(tagNull)), bitString(sequence(integer(k.modulus), integer(k.exponent))))
}

// id is the key identifier of RFC 7093, section 2, method 1: 160 bits of SHA-256 over the key's bits.
func (k publicKey) id() []byte {
	bits := k.point
	if bits == nil {
		bits = sequence(integer(k.modulus), integer(k.exponent))
	}
	sum := sha256.Sum256(bits)
	return sum[:20]
}

// readPublicKey reads a SubjectPublicKeyInfo's body. A kind that is not known is no error.
func readPublicKey(r *reader) publicKey {
	algorithm := r.sub(tagSequence)
	kind := string(algorithm.take(tagOID))
	parameters := algorithm.rest
	bits := r.octetBits()
	if algorithm.failed {
		r.fail()
	}
	if r.failed {
		return publicKey{}
	}
	switch kind {
	case oidECPublicKey:
		if bytes.Equal(parameters, oid(oidP256)) && validPoint(bits) {
			return publicKey{point: bits}
		}
	case oidRSA:
		return readRSAPublic(bits)
	}
	return publicKey{}
}

func readRSAPublic(bits []byte) publicKey {
	r := &reader{rest: bits}
	numbers := r.sub(tagSequence)
	k := publicKey{modulus: numbers.unsigned(), exponent: numbers.unsigned()}
	if r.failed || numbers.failed || !r.empty() || !numbers.empty() || !validRSA(k) {
		return publicKey{}
	}
	return k
}

// privateKey is a key that signs: on P-256 secret is the scalar, with RSA the private exponent.
type privateKey struct {
	publicKey
	secret []byte
}

var (
	// errForeignKey says that a key is well-formed, and of a kind that is not worked with here.
	errForeignKey = errors.New("it is a key of a kind, or with a passphrase, that this launcher does not sign with (it takes ECDSA on P-256 and RSA)")
	errNoKey      = errors.New("it holds no private key in PEM")
)

// parseKey reads a private key in PEM: PKCS #8 (RFC 5958), SEC 1 (RFC 5915) or PKCS #1 (RFC 8017).
func parseKey(data []byte) (*privateKey, error) {
	for {
		block, rest := pem.Decode(data)
		if block == nil {
			return nil, errNoKey
		}
		data = rest
		if block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "" {
			return nil, errForeignKey
		}
		r := &reader{rest: block.Bytes}
		var k *privateKey
		var err error
		switch {
		case block.Type == "PRIVATE KEY":
			k, err = readPKCS8(r)
		case block.Type == "EC PRIVATE KEY":
			k, err = readSEC1(r, nil)
		case block.Type == "RSA PRIVATE KEY":
			k, err = readPKCS1(r)
		case strings.HasSuffix(block.Type, "PRIVATE KEY"):
			return nil, errForeignKey
		default:
			continue // EC PARAMETERS, which openssl ecparam writes before the key
		}
		if err == nil && !r.empty() {
			err = errDER
		}
		return k, err
	}
}

func readPKCS8(r *reader) (*privateKey, error) {
	s := r.sub(tagSequence)
	s.unsigned() // 0, or 1 with the public key behind
	algorithm := s.sub(tagSequence)
	kind := string(algorithm.take(tagOID))
	inner := &reader{rest: s.take(tagOctets)}
	if s.failed || algorithm.failed {
		return nil, errDER
	}
	switch kind {
	case oidECPublicKey:
		return readSEC1(inner, algorithm.rest)
	case oidRSA:
		return readPKCS1(inner)
	}
	return nil, errForeignKey
}

// readSEC1 reads an ECPrivateKey; parameters name the curve where it does not do so itself.
func readSEC1(r *reader, parameters []byte) (*privateKey, error) {
	s := r.sub(tagSequence)
	version := s.unsigned()
	secret := s.take(tagOctets)
	if s.peek(contextExplicit) {
		parameters = s.take(contextExplicit)
	}
	if s.failed || len(version) != 1 || version[0] != 1 {
		return nil, errDER
	}
	if !bytes.Equal(parameters, oid(oidP256)) {
		return nil, errForeignKey
	}
	return newP256(secret)
}

func readPKCS1(r *reader) (*privateKey, error) {
	s := r.sub(tagSequence)
	s.unsigned() // the version
	k := &privateKey{publicKey: publicKey{modulus: s.unsigned(), exponent: s.unsigned()}, secret: s.unsigned()}
	if s.failed || !validRSA(k.publicKey) || len(k.secret) == 0 || len(k.secret) > len(k.modulus) {
		return nil, errDER
	}
	return k, nil
}

// encode writes a key that was made here, as PKCS #8 in PEM.
func (k *privateKey) encode() []byte {
	key := sequence(integer([]byte{1}), value(tagOctets, k.secret), value(contextExplicit|1, bitString(k.point)))
	der := sequence(integer(nil), sequence(oid(oidECPublicKey), oid(oidP256)), value(tagOctets, key))
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// sign returns the signature's AlgorithmIdentifier and its bits.
func (k *privateKey) sign(algorithm, message []byte) ([]byte, error) {
	sum := sha256.Sum256(message)
	var signature []byte
	var err error
	if k.point != nil {
		signature, err = signP256(k.secret, sum[:])
	} else {
		signature, err = signRSA(k, sum[:])
	}
	if err != nil {
		return nil, err
	}
	// A fault of the machine in the arithmetic could give the key away with the signature.
	if ok, checked := k.verify(algorithm, message, signature); !ok || !checked {
		return nil, errors.New("the signature that was made does not verify: this machine miscalculates")
	}
	return signature, nil
}

// algorithm is the AlgorithmIdentifier of what sign makes.
func (k publicKey) algorithm() []byte {
	if k.point != nil {
		return sequence(oid(oidECDSA256))
	}
	return sequence(oid(oidRSA256), value(tagNull))
}

// verify checks a signature. checked is false for a kind of key or signature that is not known here, such as P-384 or
// RSA-PSS: whoever connects checks those.
func (k publicKey) verify(algorithm, message, signature []byte) (ok, checked bool) {
	r := &reader{rest: algorithm}
	s := r.sub(tagSequence)
	kind := string(s.take(tagOID))
	var sum []byte
	var info string // of the hash, for RSA
	switch kind {
	case oidECDSA256, oidRSA256:
		h := sha256.Sum256(message)
		sum, info = h[:], "\x01"
	case oidECDSA384, oidRSA384:
		h := sha512.Sum384(message)
		sum, info = h[:], "\x02"
	case oidECDSA512, oidRSA512:
		h := sha512.Sum512(message)
		sum, info = h[:], "\x03"
	default:
		return false, false
	}
	ecdsa := kind == oidECDSA256 || kind == oidECDSA384 || kind == oidECDSA512
	switch {
	case ecdsa && k.point != nil:
		return verifyP256(k.point, sum, signature), true
	case !ecdsa && k.modulus != nil:
		return verifyRSA(k, sum, info, signature), true
	}
	return false, false
}
