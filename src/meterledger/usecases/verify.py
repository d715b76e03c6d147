"""Verify: the invariants, checked again over a whole ledger."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

import msgspec

from meterledger.domain.instant import seconds_floor
from meterledger.domain.meter_event import RolledUpWindow, identifier_of
from meterledger.domain.quantity import decimal_text, exact_sum, same_value
from meterledger.domain.rollup import derive_rollup_identifier
from meterledger.ledger import Ledger

_SHOWN = 3

_CHECKS = {
    "rows_counted": "every row of every import is accepted, a duplicate, a conflict or rejected",
    "keys_unique": "one usage key has one usage event",
    "one_live_link": "one live meter event carries each usage event",
    "unsealed_is_what_no_link_carries": "each usage event waits, is carried by a meter event, or is closed",
    "links_of_meter_events": "each meter event carries the usage events it says",
    "rolled_up_says_so": "a meter event that carries several usage events says of which window they are",
    "identifiers_unique": "no identifier is used twice",
    "attempts_counted": "every attempt is on record",
    "accepted_has_proof": "accepted means a 200, a duplicate answer after an unknown one, or a person's word",
    "pending_is_not_sent": "pending means that Stripe certainly has not taken it",
    "retried_is_rejected": "only what Stripe certainly rejected was sealed again under another revision",
    "within_horizon": "nothing was sent again 23 h after an attempt with an unknown outcome",
    "sent_is_bound": "a ledger that has sent anything is bound to an account, a mode and a host",
    "extended_has_proof": "a deadline counts as extended only where the invoice itself told the new one",
    "final_stays_final": "no invoice was said to be a draft again after it was final",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check: its name, whether it holds, and what it says or what breaks it."""

    name: str
    ok: bool
    detail: str


def verify(ledger: Ledger, on_check: Callable[[Check], None] = lambda _check: None) -> list[Check]:
    """Run every check over one snapshot of the ledger; nothing is changed."""
    checks = []
    with ledger.database.snapshot():
        for check in _checks(ledger):
            checks.append(check)
            on_check(check)
    return checks


def _checks(ledger: Ledger) -> Iterator[Check]:
    yield _judged("file_intact", "the database finds its file intact", ledger.database.check_integrity())
    for name, detail in _CHECKS.items():
        broken = [_row_text(row) for row in ledger.reports.violations(name)]
        yield _judged(name, detail, broken)
    yield _judged(
        "bodies_follow_from_usage",
        "identifier, timestamp and value of each meter event follow from its usage event",
        list(_wrong_bodies(ledger)),
    )
    yield _judged(
        "rollups_follow_from_usage",
        "a rolled-up meter event has the exact sum of its usage, the latest timestamp, and all of one window",
        list(_wrong_rollups(ledger)),
    )


def _wrong_rollups(ledger: Ledger) -> Iterator[str]:
    for _, rows in groupby(ledger.reports.rolled_up_bodies(), key=itemgetter("id")):
        units: dict[int, int] = {}
        times = []
        for row in rows:
            units[row["usage_scale"]] = units.get(row["usage_scale"], 0) + row["usage_quantity"]
            times.append(row["usage_event_time"])
        window = RolledUpWindow(
            start=row["window_start"], end=row["window_end"], dimensions=row["dimensions"], part=row["part"]
        )
        identifier = derive_rollup_identifier(
            row["event_name"], row["stripe_customer_id"], window, row["revision"]
        )
        right = (
            row["identifier"] == identifier
            and row["event_time"] == max(times)
            and row["timestamp"] == seconds_floor(max(times))
            and window.start <= min(times) <= max(times) < window.end
            and (row["quantity"], row["scale"]) == exact_sum(units)
            and decimal_text(row["quantity"], row["scale"])
            in msgspec.json.decode(row["payload"], type=dict[str, str]).values()
        )
        if not right:
            yield row["identifier"]


def _judged(name: str, detail: str, broken: list[str]) -> Check:
    if not broken:
        return Check(name=name, ok=True, detail=detail)
    shown = "; ".join(broken[:_SHOWN]) + ("; …" if len(broken) > _SHOWN else "")
    return Check(name=name, ok=False, detail=f"not so: {detail}: {shown}")


def _row_text(row: object) -> str:
    keys = row.keys()  # type: ignore[attr-defined] # a row of the ledger
    return ", ".join(f"{key} {row[key]}" for key in keys)  # type: ignore[index] # as above


def _wrong_bodies(ledger: Ledger) -> Iterator[str]:
    for row in ledger.reports.sealed_bodies():
        value = decimal_text(row["usage_quantity"], row["usage_scale"])
        identifier = identifier_of(
            row["source"],
            row["request_id"],
            row["revision"],
            keeps_identifier=bool(row["keeps_identifier"]),
        )
        right = (
            row["identifier"] == identifier
            and row["timestamp"] == seconds_floor(row["usage_event_time"])
            and same_value(row["quantity"], row["scale"], row["usage_quantity"], row["usage_scale"])
            and value in msgspec.json.decode(row["payload"], type=dict[str, str]).values()
        )
        if not right:
            yield f"{row['identifier']} of {row['request_id']}"
