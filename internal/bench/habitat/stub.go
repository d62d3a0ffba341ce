package habitat

import (
	"bytes"
	"encoding/binary"
)

// Stub is a program in the place of a daemon, that starts in no time: it appends the monotonic clock, two numbers of eight
// bytes (struct timespec), to /bench/stub and rests. Asked for its version, it gives one of dockerd's form and ends. It is an
// ELF file for amd64, as a program that has to be compiled would be one of Go's, whose own start takes longer than what is
// measured.
func Stub() []byte {
	// cmp qword ptr [rsp], 2; jb stamp
	code := []byte{0x48, 0x83, 0x3c, 0x24, 0x02, 0x72, 0x1b}
	// mov rsi, [rsp+16]; movabs rcx, "--versio"; cmp [rsi], rcx; je version; cmp word ptr [rsi], "-v"; je version
	code = append(code, 0x48, 0x8b, 0x74, 0x24, 0x10, 0x48, 0xb9, '-', '-', 'v', 'e', 'r', 's', 'i', 'o',
		0x48, 0x39, 0x0e, 0x74, 0x4c, 0x66, 0x81, 0x3e, '-', 'v', 0x74, 0x45)
	// stamp: sub rsp, 16; clock_gettime(CLOCK_MONOTONIC, rsp)
	code = append(code, 0x48, 0x83, 0xec, 0x10, 0xbf, 1, 0, 0, 0, 0x48, 0x89, 0xe6, 0xb8, 0xe4, 0, 0, 0, 0x0f, 0x05)
	// open(path, O_WRONLY|O_CREAT|O_APPEND, 0644)
	code = append(code, 0x48, 0x8d, 0x3d, 0x4c, 0, 0, 0, 0xbe, 0x41, 0x04, 0, 0, 0xba, 0xa4, 0x01, 0, 0, 0xb8, 2, 0, 0, 0, 0x0f, 0x05)
	// write(rax, rsp, 16)
	code = append(code, 0x89, 0xc7, 0x48, 0x89, 0xe6, 0xba, 16, 0, 0, 0, 0xb8, 1, 0, 0, 0, 0x0f, 0x05)
	// rest: pause(); jmp rest
	code = append(code, 0xb8, 34, 0, 0, 0, 0x0f, 0x05, 0xeb, 0xf7)
	// version: write(1, text, len); exit(0)
	code = append(code, 0xbf, 1, 0, 0, 0, 0x48, 0x8d, 0x35, 0x21, 0, 0, 0, 0xba, 37, 0, 0, 0, 0xb8, 1, 0, 0, 0, 0x0f, 0x05,
		0x31, 0xff, 0xb8, 60, 0, 0, 0, 0x0f, 0x05)
	code = append(code, stubPath+"\x00Docker version 26.1.5, build a72d7cd\n"...)

	return program(code)
}

const (
	stubPath  = "/bench/stub"
	startPath = "/bench/start"
)

// starter is a program that writes the clock to /bench/start as Stub does and executes its arguments. It stands between the
// stage and what is measured, because to end the stage, a process of Go's with its threads and its memory, takes longer than
// the execution of a small program.
func starter() []byte {
	// mov r12, rsp; sub rsp, 16; clock_gettime(CLOCK_MONOTONIC, rsp)
	code := []byte{0x49, 0x89, 0xe4, 0x48, 0x83, 0xec, 0x10, 0xbf, 1, 0, 0, 0, 0x48, 0x89, 0xe6, 0xb8, 0xe4, 0, 0, 0, 0x0f, 0x05}
	// open(path, O_WRONLY|O_CREAT|O_TRUNC|O_CLOEXEC, 0644)
	code = append(code, 0x48, 0x8d, 0x3d, 0x46, 0, 0, 0, 0xbe, 0x41, 0x02, 0x08, 0, 0xba, 0xa4, 0x01, 0, 0, 0xb8, 2, 0, 0, 0, 0x0f, 0x05)
	// write(rax, rsp, 16)
	code = append(code, 0x89, 0xc7, 0x48, 0x89, 0xe6, 0xba, 16, 0, 0, 0, 0xb8, 1, 0, 0, 0, 0x0f, 0x05)
	// execve(argv[1], argv+1, envp); exit(125)
	code = append(code, 0x49, 0x8b, 0x04, 0x24, 0x49, 0x8d, 0x74, 0x24, 0x10, 0x48, 0x8b, 0x3e, 0x49, 0x8d, 0x54, 0xc4, 0x10,
		0xb8, 59, 0, 0, 0, 0x0f, 0x05, 0xbf, 125, 0, 0, 0, 0xb8, 60, 0, 0, 0, 0x0f, 0x05)
	return program(append(code, startPath+"\x00"...))
}

// program makes an ELF file (elf(5)) of code that does not care where it lies: one header, and one segment of all there is.
func program(code []byte) []byte {
	const base, headers = 0x400000, 64 + 56
	size := uint64(headers + len(code))
	var b bytes.Buffer
	b.WriteString("\x7fELF\x02\x01\x01")
	b.Write(make([]byte, 9))
	for _, field := range []any{
		uint16(2), uint16(62), uint32(1), uint64(base + headers), uint64(64), uint64(0), uint32(0), // ET_EXEC, EM_X86_64
		uint16(64), uint16(56), uint16(1), uint16(0), uint16(0), uint16(0),
		uint32(1), uint32(5), uint64(0), uint64(base), uint64(base), size, size, uint64(4096), // PT_LOAD, read and execute
	} {
		if err := binary.Write(&b, binary.LittleEndian, field); err != nil {
			panic(err) // all of them have a size, and a buffer takes what it gets
		}
	}
	b.Write(code)
	return b.Bytes()
}
