#include "textflag.h"

// func cloneVM(p *plan, stack uintptr) (pid, errno uintptr)
//
// clone(CLONE_VM | SIGCHLD, stack). The child comes back on the stack that is its own, and so does not return.
TEXT ·cloneVM(SB), NOSPLIT|NOFRAME, $0-32
	MOVQ	p+0(FP), R12	// system calls keep it
	MOVQ	stack+8(FP), SI
	MOVQ	$0x111, DI
	XORQ	DX, DX
	XORQ	R10, R10
	XORQ	R8, R8
	MOVQ	$56, AX
	SYSCALL
	CMPQ	AX, $0
	JEQ	child
	CMPQ	AX, $0xfffffffffffff001
	JCC	failed
	MOVQ	AX, pid+16(FP)
	MOVQ	$0, errno+24(FP)
	RET
failed:
	NEGQ	AX
	MOVQ	$0, pid+16(FP)
	MOVQ	AX, errno+24(FP)
	RET
child:
	SUBQ	$16, SP
	MOVQ	R12, 0(SP)
	CALL	·runChild(SB)
	INT	$3
