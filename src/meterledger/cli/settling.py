"""Usage that waits for its roll-up window to settle, as reports show it."""

from typing import TYPE_CHECKING

from meterledger.cli.output import count_text

if TYPE_CHECKING:
    from meterledger.usecases.standing import Settling


def settling_document(settling: "Settling") -> dict[str, object]:
    """Return it as JSON shows it: how many usage events, and when the first and the last of them go."""
    from meterledger.domain.instant import to_text_or_none

    return {
        "usage_events": settling.usage_events,
        "next_at": to_text_or_none(settling.next_at),
        "last_at": to_text_or_none(settling.last_at),
    }


def settling_lines(settling: "Settling") -> list[list[str]]:
    """Return its line of a table; none where nothing waits."""
    from meterledger.domain.instant import to_text

    if settling.next_at is None or settling.last_at is None:
        return []
    when = to_text(settling.next_at)
    if settling.last_at != settling.next_at:
        when = f"{when} to {to_text(settling.last_at)}"
    about = f"of the pending, in roll-up windows that settle; push sends them from {when}"
    return [["settling", count_text(settling.usage_events), about]]
