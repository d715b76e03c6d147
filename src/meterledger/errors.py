"""
What can go wrong, as one tree, and the exit code of each branch.

Errors of data are values (see ``domain.usage.Rejection``); these exceptions end a command::

    MeterledgerError
    ├── UsageError           2   wrong option, config, key, mode or account
    │   └── OutputError             standard output cannot be written
    ├── InputError           3   an input file is missing, unreadable, empty or of another format
    │   └── IncompleteInputError    it could only be read up to some line
    ├── LedgerError          4   the ledger is missing, unusable or in use
    │   └── InUseError              another process has it; waiting helps
    ├── StripeError          5   Stripe refused the key or could not be reached
    │   └── KeyRefusedError         it refused the key; waiting does not help
    └── Interrupted        130   SIGINT or SIGTERM
"""

from enum import IntEnum


class ExitCode(IntEnum):
    """How a command ended; where several apply, the highest."""

    DONE = 0
    NEEDS_A_PERSON = 1
    USAGE = 2
    INPUT = 3
    LEDGER = 4
    STRIPE = 5
    BUG = 70
    INTERRUPTED = 130

    @property
    def meaning(self) -> str:
        """One line for ``--help``."""
        return _MEANINGS[self]


_MEANINGS = {
    ExitCode.DONE: "done",
    ExitCode.NEEDS_A_PERSON: "done, and something needs a person",
    ExitCode.USAGE: "wrong usage or config, no key, key of the wrong mode or account, --live missing",
    ExitCode.INPUT: "an input file is missing, unreadable, empty, of another format, or lacks a column",
    ExitCode.LEDGER: "the ledger is missing, unusable or in use",
    ExitCode.STRIPE: "Stripe refused the key or could not be reached (progress kept)",
    ExitCode.BUG: "a bug in meterledger",
    ExitCode.INTERRUPTED: "interrupted (progress kept)",
}


class MeterledgerError(Exception):
    """An error that ends a command: what went wrong, and what to do next."""

    exit_code = ExitCode.BUG

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(MeterledgerError):
    """The command, the config or the key is not right; nothing was done."""

    exit_code = ExitCode.USAGE


class OutputError(UsageError):
    """Standard output is closed, full or failing; what was committed before is kept."""


class InputError(MeterledgerError):
    """An input file cannot be read as what it is said to be."""

    exit_code = ExitCode.INPUT


class IncompleteInputError(InputError):
    """An input file could be read up to some line and no further; the rows before were brought."""


class LedgerError(MeterledgerError):
    """The ledger is missing, unusable, foreign, newer than this program, or in use."""

    exit_code = ExitCode.LEDGER


class InUseError(LedgerError):
    """Another process has the ledger for now."""


class StripeError(MeterledgerError):
    """Stripe refused the key or could not be reached."""

    exit_code = ExitCode.STRIPE


class KeyRefusedError(StripeError):
    """Stripe refused the key: a person has to look at it."""


class Interrupted(MeterledgerError):  # noqa: N818 # it is no error, but it ends a command like one
    """SIGINT or SIGTERM came; what was committed is kept."""

    exit_code = ExitCode.INTERRUPTED

    def __init__(
        self,
        message: str = "interrupted; progress is kept",
        *,
        hint: str = "run the same command again to go on",
    ) -> None:
        super().__init__(message, hint=hint)
