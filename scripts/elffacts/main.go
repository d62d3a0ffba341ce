// Command elffacts prints what the build check wants to know of an ELF file: its interpreter, which a static program does
// not have, and whether a symbol table is left in it.
package main

import (
	"debug/elf"
	"errors"
	"fmt"
	"os"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: elffacts FILE")
		os.Exit(2)
	}
	if err := facts(os.Args[1]); err != nil {
		fmt.Fprintf(os.Stderr, "elffacts: %s: %v\n", os.Args[1], err)
		os.Exit(1)
	}
}

func facts(name string) (err error) {
	f, err := elf.Open(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	interpreter, symbols := "none", "none"
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			interpreter = "dynamic"
		}
	}
	if f.SectionByType(elf.SHT_SYMTAB) != nil {
		symbols = "there"
	}
	_, err = fmt.Printf("interpreter: %s\nsymbols: %s\n", interpreter, symbols)
	return err
}
