"""What push says and asks at the door: before a live account is touched, and where Stripe is ahead."""

from typing import TYPE_CHECKING, Any

from meterledger.cli.output import confirmed, count_text, quantity_text, say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meterledger.domain.foreign_usage import ForeignUsage
    from meterledger.usecases.push import AboutToPush

_SHOWN = 10


def confirm_live(about: "AboutToPush") -> bool:
    """Ask on a terminal before anything goes to a live account; nothing is asked where nothing would go."""
    if not about.meter_events and not about.goes_on:
        return True
    events, customers = count_text(about.meter_events), count_text(about.customers)
    account = about.account or "an account that the key may not name"
    return confirmed(
        lambda: (
            f"Send {events} meter events of {customers} customers to {account}, {about.mode} mode, at "
            f"{about.host}{', and all that comes in later' * about.goes_on}: real invoices?"
        )
    )


def foreign_rows(foreign: "Sequence[ForeignUsage]") -> list[dict[str, Any]]:
    """Return foreign usage as a report has it."""
    from meterledger.domain.foreign_usage import plain
    from meterledger.domain.instant import to_text

    return [
        {
            "event_name": one.event_name,
            "stripe_customer_id": one.stripe_customer_id,
            "start": to_text(one.start),
            "end": to_text(one.end),
            "ledger": plain(one.ledger),
            "stripe": plain(one.stripe),
        }
        for one in foreign
    ]


def print_foreign_usage(foreign: "Sequence[ForeignUsage]") -> None:
    """Say, on stderr, where Stripe has more than the ledger knows of, and what to do."""
    for row in foreign_rows(foreign[:_SHOWN]):
        say(
            f"Stopped: Stripe has {quantity_text(row['stripe'])} of {row['event_name']} for "
            f"{row['stripe_customer_id']} from {row['start']} to {row['end']}; this ledger knows of "
            f"{quantity_text(row['ledger'])}.",
            style="bold red",
        )
    if len(foreign) > _SHOWN:
        say(f"And {count_text(len(foreign) - _SHOWN)} more windows; --format json has all.")
    say(
        "Nothing was sent: usage that Stripe has already would be billed twice. Restore the ledger that sent "
        "it; or take that usage back with `meterledger imports void`, and bring it with `meterledger import "
        "--already-billed`. If it is of another system, and this usage comes on top of it, `meterledger push "
        "--allow-foreign-usage` takes it as the baseline."
    )
