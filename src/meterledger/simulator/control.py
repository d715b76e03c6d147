"""The pages under `/_simulator`: what was counted, and the clock. They need no key."""

from collections import Counter

import msgspec

from meterledger.simulator.accounts import Account
from meterledger.simulator.api_errors import ApiError
from meterledger.simulator.clock import SimulatedClock
from meterledger.simulator.instants import checked_instant, format_instant, parse_duration, parse_instant
from meterledger.simulator.parameters import Parameters, parse_form
from meterledger.simulator.usage import plain

LEDGER_PATHS = ("/", "/_simulator/ledger")
CLOCK_PATH = "/_simulator/clock"

_MODES = ("running", "frozen")


class RequestCounts:
    """How many requests were answered, by method, path pattern and status."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str, int]] = Counter()

    def count(self, method: str, pattern: str, status: int) -> None:
        """Count one answered request."""
        self._counts[method, pattern, status] += 1

    def rows(self) -> list[dict[str, object]]:
        """Return the counts, sorted."""
        return [
            {"method": method, "path": pattern, "status": status, "count": count}
            for (method, pattern, status), count in sorted(self._counts.items())
        ]


class ClockTurn(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """What may be asked of the clock: set it, then jump, then run or stand."""

    now: str | float | None = None
    advance: str | None = None
    mode: str | None = None


def ledger_page(
    clock: SimulatedClock, accounts: list[Account], requests: RequestCounts, query: str
) -> dict[str, object]:
    """
    Show what was counted.

    Args:
        clock: The simulator's clock.
        accounts: Every account that was called.
        requests: The answered requests.
        query: `identifiers=1` adds the map of every identifier.
    """
    parameters = Parameters(parse_form(query))
    parameters.allow(("identifiers",))
    wanted = parameters.optional_choice("identifiers", ("0", "1")) == "1"
    concurrency = _concurrency(accounts)
    page: dict[str, object] = {
        "simulator": "meterledger simulator (not Stripe)",
        **clock_page(clock),
        "usage": _usage(accounts),
        "identifier_totals": _identifier_totals(accounts),
        "requests": requests.rows(),
        "concurrency": concurrency,
        "max_concurrency": max((highest for *_, highest in _lanes(accounts)), default=0),
    }
    if wanted:
        page["identifiers"] = _identifiers(accounts)
    return page


def clock_page(clock: SimulatedClock) -> dict[str, object]:
    """Show the clock: now as text, the same in epoch seconds, and whether it stands."""
    now = clock.now()
    return {"now": format_instant(now), "epoch": now, "mode": "frozen" if clock.frozen else "running"}


def turn_clock(clock: SimulatedClock, body: bytes) -> dict[str, object]:
    """
    Do to the clock what a JSON body says, and show it.

    Raises:
        ApiError: The body is not understood; the clock stays as it was.
    """
    try:
        turn = msgspec.json.decode(body, type=ClockTurn)
        _turn(clock, turn)
    except (msgspec.MsgspecError, ValueError) as failure:
        raise ApiError(f"The clock was not changed: {failure}") from None
    return clock_page(clock)


def _turn(clock: SimulatedClock, turn: ClockTurn) -> None:
    # Everything is read before anything is done, so that a refused turn changes nothing.
    if turn.mode is not None and turn.mode not in _MODES:
        raise ValueError(f"mode is one of {', '.join(_MODES)}")
    if turn == ClockTurn():
        raise ValueError("send now, advance or mode")
    target = clock.now() if turn.now is None else _instant(turn.now)
    seconds = 0.0 if turn.advance is None else parse_duration(turn.advance)
    checked_instant(target + seconds)
    if turn.now is not None:
        clock.set(target)
    if turn.advance is not None:
        clock.advance(seconds)
    if turn.mode == "running":
        clock.run()
    elif turn.mode == "frozen":
        clock.freeze()


def _instant(given: str | float) -> float:
    return parse_instant(given) if isinstance(given, str) else checked_instant(given)


def _usage(accounts: list[Account]) -> list[dict[str, object]]:
    rows = []
    for account in accounts:
        for customer, tally in account.usage.counted():
            spec = tally.meter.spec
            rows.append(
                {
                    "account": account.account_id,
                    "livemode": account.livemode,
                    "meter": tally.meter.meter_id,
                    "event_name": spec.event_name,
                    "customer": customer,
                    "events": tally.events,
                    "total": plain(tally.total()),
                }
            )
    return sorted(rows, key=lambda row: tuple(str(value) for value in row.values()))


def _identifier_totals(accounts: list[Account]) -> dict[str, int]:
    records = [record for account in accounts for record in account.identifiers.records.values()]
    return {
        "identifiers": len(records),
        "arrivals": sum(record.arrivals for record in records),
        "counted": sum(record.counted for record in records),
        "counted_more_than_once": sum(record.counted > 1 for record in records),
    }


def _identifiers(accounts: list[Account]) -> dict[str, dict[str, int]]:
    merged: dict[str, dict[str, int]] = {}
    for account in accounts:
        for identifier, record in account.identifiers.records.items():
            row = merged.setdefault(identifier, {"arrivals": 0, "counted": 0})
            row["arrivals"] += record.arrivals
            row["counted"] += record.counted
    return dict(sorted(merged.items()))


def _lanes(accounts: list[Account]) -> list[tuple[Account, str, str, int]]:
    return [
        (account, lane.event_name, lane.customer, highest)
        for account in accounts
        for lane, highest in sorted(account.concurrency.highest.items())
    ]


def _concurrency(accounts: list[Account]) -> list[dict[str, object]]:
    return [
        {
            "account": account.account_id,
            "livemode": account.livemode,
            "event_name": event_name,
            "customer": customer,
            "highest": highest,
        }
        for account, event_name, customer, highest in _lanes(accounts)
    ]
