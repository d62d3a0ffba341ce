package sha2

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"math/big"
	"testing"
)

// TestPublished has the examples of FIPS 180-4's test data: an empty message, one block, and two.
func TestPublished(t *testing.T) {
	for message, want := range map[string][3]string{
		"": {
			"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
			"38b060a751ac96384cd9327eb1b1e36a21fdb71114be07434c0cc7bf63f6e1da274edebfe76f65fbd51ad2f14898b95b",
			"cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e",
		},
		"abc": {
			"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
			"cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7",
			"ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
		},
	} {
		got := [3]string{
			fmt.Sprintf("%x", Sum256([]byte(message))), fmt.Sprintf("%x", Sum384([]byte(message))), fmt.Sprintf("%x", Sum512([]byte(message))),
		}
		if got != want {
			t.Errorf("%q: %q, want %q", message, got, want)
		}
	}
}

// TestEveryLength compares with the standard library: all ways in which the end of a message can lie in its last blocks, also
// written in two pieces, with a sum in between.
func TestEveryLength(t *testing.T) {
	data := make([]byte, 400)
	for i := range data {
		data[i] = byte(i * 7)
	}
	for n := range len(data) {
		compare(t, data[:n], n/3)
		compare(t, data[:n], n)
	}
}

func compare(t *testing.T, data []byte, cut int) {
	t.Helper()
	h := New256()
	if n, err := h.Write(data[:cut]); n != cut || err != nil {
		t.Fatalf("%d of %d bytes were taken, %v", n, cut, err)
	}
	if h.Sum() != sha256.Sum256(data[:cut]) {
		t.Fatalf("SHA-256 of %d bytes is another", cut)
	}
	h.Write(data[cut:])
	if want := sha256.Sum256(data); h.Sum() != want || Sum256(data) != want {
		t.Fatalf("SHA-256 of %d+%d bytes is another", cut, len(data)-cut)
	}
	if Sum384(data) != sha512.Sum384(data) || Sum512(data) != sha512.Sum512(data) {
		t.Fatalf("SHA-384 or SHA-512 of %d bytes is another", len(data))
	}
}

func FuzzSums(f *testing.F) {
	f.Add([]byte("abc"), uint16(1))
	f.Add(bytes.Repeat([]byte{0xff}, 1000), uint16(500))
	f.Fuzz(func(t *testing.T, data []byte, cut uint16) { compare(t, data, min(len(data), int(cut))) })
}

// TestConstants computes the constants by their definition.
func TestConstants(t *testing.T) {
	n := 0
	for p := int64(2); n < len(cubeRoots); p++ {
		if !big.NewInt(p).ProbablyPrime(0) { // which is exact for small numbers
			continue
		}
		// c is the cube root exactly where c³ ≤ p·2¹⁹² < (c+1)³.
		want := new(big.Int).Lsh(big.NewInt(p), 192)
		whole := int64(1)
		for (whole+1)*(whole+1)*(whole+1) <= p {
			whole++
		}
		c := new(big.Int).Lsh(big.NewInt(whole), 64)
		c.Add(c, new(big.Int).SetUint64(cubeRoots[n]))
		next := new(big.Int).Add(c, big.NewInt(1))
		if cube(c).Cmp(want) > 0 || cube(next).Cmp(want) <= 0 {
			t.Errorf("cubeRoots[%d] is not that of %d", n, p)
		}
		if n < len(squareRoots) {
			root := new(big.Int).Sqrt(new(big.Int).Lsh(big.NewInt(p), 128))
			if root.And(root, new(big.Int).SetUint64(1<<64-1)).Uint64() != squareRoots[n] {
				t.Errorf("squareRoots[%d] is not that of %d", n, p)
			}
		}
		n++
	}
}

func cube(x *big.Int) *big.Int { return new(big.Int).Exp(x, big.NewInt(3), nil) }

func BenchmarkSum256(b *testing.B) {
	data := make([]byte, 1<<20)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		Sum256(data)
	}
}
