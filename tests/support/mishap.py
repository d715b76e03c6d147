"""What goes wrong on the way to the independent Stripe, and back."""

from enum import StrEnum


class Mishap(StrEnum):
    """What goes wrong with one request."""

    LOST = "lost"
    """It is not counted, and nobody answers."""
    ANSWER_LOST = "answer lost"
    """It is counted, and nobody answers."""
    RESET = "reset"
    """It is not counted, and the connection is reset."""
    RESET_AFTER = "reset after"
    CUT = "cut"
    """It is counted, and the answer ends in its middle."""
    LATE = "late"
    """The connection ends at once, and the request is carried out a little later all the same."""
    FAILED = "failed"
    """A 500 that sticks to its key; not counted."""
    FAILED_AFTER = "failed after"
    """The same, and counted."""
    GATEWAY = "gateway"
    """A page of HTML with a 502 in front of it; not counted."""
    GATEWAY_AFTER = "gateway after"
    LIMITED = "limited"
    LOCKED = "locked"
    CONFLICT = "conflict"
    OLD_LIMIT = "old limit"
    """The older form of a limit: 400 with the code rate_limit."""
    SLOW = "slow"
    STRANGER = "stranger"
    """A 200 of somebody else, with HTML: not counted."""


COUNTED = {Mishap.ANSWER_LOST, Mishap.RESET_AFTER, Mishap.CUT, Mishap.FAILED_AFTER, Mishap.GATEWAY_AFTER}
SILENT = {Mishap.LOST, Mishap.ANSWER_LOST, Mishap.RESET, Mishap.RESET_AFTER, Mishap.LATE}
