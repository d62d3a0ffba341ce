package certs

import (
	"errors"
	"fmt"

	"filippo.io/bigmod"
	"filippo.io/nistec"

	"github.com/dockerlaunch/dockerlaunch/internal/random"
)

// order is that of P-256's base point (SEC 2, section 2.4.2).
const order = "\xff\xff\xff\xff\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\xbc\xe6\xfa\xad\xa7\x17\x9e\x84\xf3\xb9\xca\xc2\xfc\x63\x25\x51"

const scalarSize = len(order)

func orderModulus() *bigmod.Modulus {
	n, err := bigmod.NewModulus([]byte(order))
	if err != nil {
		panic(err) // a constant that is odd and no zero
	}
	return n
}

func validPoint(b []byte) bool {
	if len(b) != 1+2*scalarSize || b[0] != 4 { // uncompressed
		return false
	}
	_, err := nistec.NewP256Point().SetBytes(b)
	return err == nil
}

// timesGenerator is k times the curve's generator. ScalarBaseMult does the same with a table that it makes first, which takes longer
// than it saves for the three keys of a start; from nistec v0.0.4 on the table is part of every program, with 88 KB, so that go.mod
// stays with v0.0.3.
func timesGenerator(k []byte) (*nistec.P256Point, error) {
	return nistec.NewP256Point().ScalarMult(nistec.NewP256Point().SetGenerator(), k)
}

// newP256 makes a key of its scalar, which older programs wrote without leading zero bytes.
func newP256(secret []byte) (*privateKey, error) {
	if len(secret) == 0 || len(secret) > scalarSize {
		return nil, errDER
	}
	scalar := make([]byte, scalarSize)
	copy(scalar[scalarSize-len(secret):], secret)
	n, err := bigmod.NewNat().SetBytes(scalar, orderModulus())
	if err != nil || n.IsZero() == 1 {
		return nil, errors.New("its number is out of range")
	}
	point, err := timesGenerator(scalar)
	if err != nil {
		return nil, err
	}
	return &privateKey{publicKey: publicKey{point: point.Bytes()}, secret: scalar}, nil
}

// randomScalar returns a number from 1 up to the order, all equally likely.
func randomScalar() ([]byte, *bigmod.Nat, error) {
	n := orderModulus()
	for range 100 { // one in 2^32 is too large
		b := make([]byte, scalarSize)
		if err := random.Read(b); err != nil {
			return nil, nil, fmt.Errorf("reading random bytes: %w", err)
		}
		if k, err := bigmod.NewNat().SetBytes(b, n); err == nil && k.IsZero() == 0 {
			return b, k, nil
		}
	}
	return nil, nil, errors.New("the kernel's random numbers are not random")
}

func generateP256() (*privateKey, error) {
	b, _, err := randomScalar()
	if err != nil {
		return nil, err
	}
	return newP256(b)
}

// hashNumber is the number that ECDSA signs: the leftmost bits of a hash, as many as the order has (FIPS 186-5, 6.4.1).
func hashNumber(sum []byte, n *bigmod.Modulus) *bigmod.Nat {
	e, err := bigmod.NewNat().SetOverflowingBytes(sum[:min(len(sum), scalarSize)], n)
	if err != nil {
		panic(err) // only for what is longer than the order
	}
	return e
}

// inverse is by Fermat's theorem, in constant time: the order is a prime.
func inverse(x *bigmod.Nat, n *bigmod.Modulus) *bigmod.Nat {
	e := []byte(order)
	e[scalarSize-1] -= 2
	return bigmod.NewNat().Exp(x, e, n)
}

// signP256 makes an ECDSA signature (FIPS 186-5, section 6.4.1) in DER.
func signP256(secret, sum []byte) ([]byte, error) {
	n := orderModulus()
	d, err := bigmod.NewNat().SetBytes(secret, n)
	if err != nil {
		return nil, err
	}
	for range 10 { // a second time is as likely as guessing the key
		kBytes, k, err := randomScalar()
		if err != nil {
			return nil, err
		}
		point, err := timesGenerator(kBytes)
		if err != nil {
			return nil, err
		}
		x, err := point.BytesX()
		if err != nil {
			return nil, err
		}
		r, err := bigmod.NewNat().SetOverflowingBytes(x, n)
		if err != nil {
			return nil, err
		}
		// s = (e + r·d) / k
		rBytes := r.Bytes(n)
		s := r.Mul(d, n).Add(hashNumber(sum, n), n).Mul(inverse(k, n), n)
		rCheck, err := bigmod.NewNat().SetBytes(rBytes, n)
		if err != nil {
			return nil, err
		}
		if rCheck.IsZero() == 0 && s.IsZero() == 0 {
			return sequence(integer(rBytes), integer(s.Bytes(n))), nil
		}
	}
	return nil, errors.New("the kernel's random numbers are not random")
}

// verifyP256 checks an ECDSA signature in DER (FIPS 186-5, section 6.4.2).
func verifyP256(public, sum, signature []byte) bool {
	q, err := nistec.NewP256Point().SetBytes(public)
	if err != nil {
		return false
	}
	outer := &reader{rest: signature}
	numbers := outer.sub(tagSequence)
	rBytes, sBytes := numbers.unsigned(), numbers.unsigned()
	if outer.failed || numbers.failed || !outer.empty() || !numbers.empty() {
		return false
	}
	n := orderModulus()
	r, ok := scalar(rBytes, n)
	s, alsoOK := scalar(sBytes, n)
	if !ok || !alsoOK {
		return false
	}
	w := inverse(s, n)
	// x of (e·G + r·Q) / s has to be r.
	u1 := hashNumber(sum, n).Mul(w, n).Bytes(n)
	u2 := w.Mul(r, n).Bytes(n)
	left, err := timesGenerator(u1)
	if err != nil {
		return false
	}
	right, err := nistec.NewP256Point().ScalarMult(q, u2)
	if err != nil {
		return false
	}
	x, err := left.Add(left, right).BytesX()
	if err != nil {
		return false // the point at infinity
	}
	v, err := bigmod.NewNat().SetOverflowingBytes(x, n)
	return err == nil && v.Equal(r) == 1
}

// scalar reads a number from 1 up to the order.
func scalar(b []byte, n *bigmod.Modulus) (*bigmod.Nat, bool) {
	if len(b) > scalarSize {
		return nil, false
	}
	padded := make([]byte, scalarSize)
	copy(padded[scalarSize-len(b):], b)
	x, err := bigmod.NewNat().SetBytes(padded, n)
	return x, err == nil && x.IsZero() == 0
}
