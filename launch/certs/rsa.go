package certs

import (
	"bytes"
	"errors"

	"filippo.io/bigmod"
)

const (
	minRSA = 1024 / 8 // bytes; less is refused by crypto/tls
	maxRSA = 8192 / 8 // more is, too
)

// validRSA looks whether a key may be calculated with.
func validRSA(k publicKey) bool {
	n, e := k.modulus, k.exponent
	return len(n) >= minRSA && len(n) <= maxRSA && n[len(n)-1]&1 == 1 && len(e) >= 1 && len(e) <= 4 && e[len(e)-1]&1 == 1 && (len(e) > 1 || e[0] > 1) && (len(e) < 4 || e[0] < 0x80)
}

// padded is the number that PKCS #1 v1.5 signs (RFC 8017, section 9.2); hash is the last byte of the SHA-2 hash's identifier.
func padded(size int, hash string, sum []byte) ([]byte, bool) {
	const sha2 = "\x60\x86\x48\x01\x65\x03\x04\x02" // and hash
	info := sequence(sequence(oid(sha2+hash), value(tagNull)), value(tagOctets, sum))
	fill := size - len(info) - 3
	if fill < 8 {
		return nil, false
	}
	out := append([]byte{0, 1}, bytes.Repeat([]byte{0xff}, fill)...)
	return append(append(out, 0), info...), true
}

// signRSA makes a signature by PKCS #1 v1.5 over a SHA-256 hash. It calculates without the primes, in constant time, which
// takes tens of milliseconds; keys of this kind are old ones that go on, and are not made.
func signRSA(k *privateKey, sum []byte) ([]byte, error) {
	n, err := bigmod.NewModulus(k.modulus)
	if err != nil {
		return nil, err
	}
	text, ok := padded(len(k.modulus), "\x01", sum)
	if !ok {
		return nil, errors.New("the RSA key is too short")
	}
	m, err := bigmod.NewNat().SetBytes(text, n)
	if err != nil {
		return nil, err
	}
	return bigmod.NewNat().Exp(m, k.secret, n).Bytes(n), nil
}

// verifyRSA checks a signature by PKCS #1 v1.5, by making what it has to be and comparing all of it.
func verifyRSA(k publicKey, sum []byte, hash string, signature []byte) bool {
	n, err := bigmod.NewModulus(k.modulus)
	if err != nil || len(signature) != len(k.modulus) {
		return false
	}
	s, err := bigmod.NewNat().SetBytes(signature, n)
	if err != nil {
		return false
	}
	var e uint
	for _, b := range k.exponent {
		e = e<<8 | uint(b)
	}
	want, ok := padded(len(k.modulus), hash, sum)
	return ok && bytes.Equal(bigmod.NewNat().ExpShortVarTime(s, e, n).Bytes(n), want)
}
