package kconfig

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"strings"
	"testing"
)

// large is a configuration as big as those of distributions: 300 KiB with 12,000 options.
func large() []byte {
	var b bytes.Buffer
	b.WriteString(whole("# Linux/x86 6.12.43 Kernel Configuration", "CONFIG_"+strings.Join(Names(), "=y\nCONFIG_")+"=y"))
	for i := range 12_000 {
		if i%4 == 0 {
			fmt.Fprintf(&b, "# CONFIG_SOME_OPTION_%d is not set\n", i)
		} else {
			fmt.Fprintf(&b, "CONFIG_OTHER_OPTION_%d=m\n", i)
		}
	}
	return b.Bytes()
}

func BenchmarkParseAndJudge(b *testing.B) {
	data := large()
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		c, err := Parse(data)
		if err != nil {
			b.Fatal(err)
		}
		Judge(c, Conditions{}, nil)
	}
}

func BenchmarkJudge(b *testing.B) {
	c, err := Parse(large())
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		Judge(c, Conditions{}, nil)
	}
}

func BenchmarkGzip(b *testing.B) {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := z.Write(large()); err != nil {
		b.Fatal(err)
	}
	if err := z.Close(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := decode(packed.Bytes()); err != nil {
			b.Fatal(err)
		}
	}
}
