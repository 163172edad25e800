"""Errors a person caused or can mend, each with the exit code it ends the program with.

HarnessError            anything below; carries `exit_code`
├── UsageError          4  the command line, a target file or a baseline is wrong
├── CannotJudgeError    3  the harness, the engine, an install or a start-up failed: nobody's verdict
│   ├── PreparationError 3  a command or request that a target's manifest asks for around its start did not succeed
│   └── EvidenceError   3  an evidence or report file is truncated, foreign or of another version
├── NotExercisedError   3  a scenario's situation cannot be brought about with this target, and nobody is at fault
└── NothingRanError     5  the selection is empty
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What the program's exit status means; the first that applies is used (DESIGN: Verdicts)."""

    OK = 0
    UNEXPECTED = 1
    CANNOT_JUDGE = 3
    USAGE = 4
    NOTHING_RAN = 5
    INTERRUPTED = 2


class HarnessError(Exception):
    """An error with one clear sentence that says what is wrong and how to mend it."""

    exit_code: ExitCode = ExitCode.CANNOT_JUDGE


class UsageError(HarnessError):
    """The command line, a target file or a baseline asks for something that cannot be."""

    exit_code = ExitCode.USAGE


class CannotJudgeError(HarnessError):
    """Infrastructure trouble: no engine, no registry, a port taken, a gateway that never got ready."""

    exit_code = ExitCode.CANNOT_JUDGE


class PreparationError(CannotJudgeError):
    """What a manifest has done around the gateway's start (`start.before`, `start.requests`) did not succeed."""


class NotExercisedError(HarnessError):
    """The situation that a scenario is about cannot be brought about with this target; nobody is at fault."""


class EvidenceError(CannotJudgeError):
    """A stored file is truncated, foreign or written by an incompatible version."""


class NothingRanError(HarnessError):
    """The selection left nothing to drive."""

    exit_code = ExitCode.NOTHING_RAN
