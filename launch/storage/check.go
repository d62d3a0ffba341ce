package storage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// CheckOutcome is what a check of a filesystem came to.
type CheckOutcome string

const (
	Clean       CheckOutcome = "clean"
	Corrected   CheckOutcome = "corrected"
	Uncorrected CheckOutcome = "uncorrected" // it must not be mounted
	NotChecked  CheckOutcome = "not checked" // the check itself failed, which says nothing about the filesystem
)

// CheckResult is the outcome with the program's own words.
type CheckResult struct {
	Outcome CheckOutcome `json:"outcome"`
	Status  int          `json:"status"`
	Output  string       `json:"output,omitempty"`
}

// JudgeCheck says what the exit status of fsck(8) or e2fsck(8) means, which is a sum of: 1 errors corrected, 2 the system should
// be rebooted (which is about a root that is mounted: this one is not), 4 errors left uncorrected, 8 operational error, 16
// usage error, 32 cancelled, 128 shared library error. Above that is 128 and the number of a signal.
func JudgeCheck(status int) CheckOutcome {
	switch {
	case status == 0:
		return Clean
	case status < 0 || status >= 128 || status&(8|16|32|64) != 0:
		return NotChecked
	case status&4 != 0:
		return Uncorrected
	}
	return Corrected
}

// withoutDisk is the advice where no option helps.
const withoutDisk = "start with dockerlaunch.data=none, in memory, and look at it with e2fsck by hand"

// check checks an ext2, 3 or 4 before it is mounted. The others have nothing to run at boot: xfs and f2fs replay their logs when
// they are mounted, and fsck.xfs(8) and fsck.btrfs(8) do nothing on purpose.
func (p Preparer) check(ctx context.Context, d Disk, plan Plan, done *Prepared) error {
	if !strings.HasPrefix(d.Content.FSType, "ext") {
		return nil
	}
	program, err := p.find("e2fsck")
	if err != nil {
		done.notice("%s is mounted without a check, as e2fsck is missing: only its journal is replayed", d.Path)
		return nil
	}
	how := "-p"
	if p.Repair {
		how = "-y"
	}
	status, output, err := p.Runner.Run(ctx, program, how, d.Path)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			done.notice("%s is mounted without a check: %v", d.Path, err)
			return nil
		}
		return &Error{Op: "check", Path: d.Path, Kind: ErrProgram, Err: err, Advice: "it is not mounted; " + withoutDisk}
	}
	result := CheckResult{JudgeCheck(status), status, lastLines(output)}
	done.Check = &result
	switch result.Outcome {
	case Corrected:
		done.notice("errors of %s were corrected: %s", d.Path, result.Output)
	case Uncorrected:
		e := &Error{
			Op: "check", Path: d.Path, Kind: ErrNeedsRepair, Detail: fmt.Sprintf("%s %s ended with status %d: %s", program, how, status, result.Output),
			Advice: "it is not mounted; " + withoutDisk,
		}
		if !p.Repair {
			e.Advice = "it is not mounted; copy the disk if it matters, and start once with dockerlaunch.fsck=repair on the kernel command line, " +
				"which has e2fsck correct everything (what it finds of broken files is in lost+found then); or " + withoutDisk
		}
		return e
	case NotChecked:
		if err := ctx.Err(); err != nil {
			return err
		}
		done.notice("the check of %s failed with status %d, it is mounted without: %s", d.Path, status, result.Output)
	}
	return nil
}
