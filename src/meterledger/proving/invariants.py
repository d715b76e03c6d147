"""What has to hold in every history, in plain words."""

from enum import StrEnum


class Invariant(StrEnum):
    """One thing that has to hold; its value is the name in reports."""

    COUNTED_ONCE = "counted_once"
    NEVER_TOO_MUCH = "never_too_much"
    ROWS_ACCOUNTED_FOR = "rows_accounted_for"
    REFUSED_ROWS_KEPT = "refused_rows_kept"
    USAGE_KEPT = "usage_kept"
    ACCEPTED_IS_COUNTED = "accepted_is_counted"
    UNSENT_IS_NOT_COUNTED = "unsent_is_not_counted"
    BLOCKED_WITH_REASON = "blocked_with_reason"
    DOUBT_HAS_CAUSE = "doubt_has_cause"
    OPEN_IS_TOLD = "open_is_told"
    TOTALS_WITHIN_BOUNDS = "totals_within_bounds"
    TOTALS_EQUAL = "totals_equal"
    DAYS_EQUAL = "days_equal"
    LAST_VALUE_STANDS = "last_value_stands"
    VERIFY_PASSES = "verify_passes"
    PUSH_AGAIN_CHANGES_NOTHING = "push_again_changes_nothing"
    ONE_PUSHER = "one_pusher"
    OLD_COPY_STOPS = "old_copy_stops"
    CLOCK_SET_BACK_STOPS = "clock_set_back_stops"
    ENDS_IN_ORDER = "ends_in_order"

    @property
    def says(self) -> str:
        """What it promises, in one line."""
        return _SAYS[self]


_SAYS = {
    Invariant.COUNTED_ONCE: "no identifier is counted twice at Stripe",
    Invariant.NEVER_TOO_MUCH: "no customer and meter has more at Stripe than was handed over",
    Invariant.ROWS_ACCOUNTED_FOR: "each row is accepted, duplicate, conflict or rejected, as in the model",
    Invariant.REFUSED_ROWS_KEPT: "rejections and conflicts in the ledger are those of the model",
    Invariant.USAGE_KEPT: "each accepted row is one usage event, with its content, in one state",
    Invariant.ACCEPTED_IS_COUNTED: "what the ledger calls accepted, Stripe has counted",
    Invariant.UNSENT_IS_NOT_COUNTED: "what the ledger calls unsent or rejected, Stripe has not counted",
    Invariant.BLOCKED_WITH_REASON: "what is held back has a reason that is true",
    Invariant.DOUBT_HAS_CAUSE: "nothing is in doubt without a fault or a crash, and 23 hours since",
    Invariant.OPEN_IS_TOLD: "push tells how much is open, and what is in doubt is listed",
    Invariant.TOTALS_WITHIN_BOUNDS: "totals at Stripe are those of the model, but for what is open",
    Invariant.TOTALS_EQUAL: "totals at Stripe are equal to the unit where nothing is open",
    Invariant.DAYS_EQUAL: "so are the totals of each UTC day, rolled up or not",
    Invariant.LAST_VALUE_STANDS: "of a `last` meter the latest value stands at Stripe",
    Invariant.VERIFY_PASSES: "`verify` finds nothing",
    Invariant.PUSH_AGAIN_CHANGES_NOTHING: "another push changes nothing",
    Invariant.ONE_PUSHER: "of two pushers one is refused, or ends before it sends more",
    Invariant.OLD_COPY_STOPS: "an old copy of the ledger that stops at the door has sent nothing",
    Invariant.CLOCK_SET_BACK_STOPS: "with the clock set back push sends nothing",
    Invariant.ENDS_IN_ORDER: "every command ends in order",
}


class Broken(Exception):  # noqa: N818 # it is a finding
    """An invariant does not hold."""

    def __init__(self, invariant: Invariant, detail: str) -> None:
        super().__init__(f"{invariant}: {detail}")
        self.invariant = invariant
        self.detail = detail
