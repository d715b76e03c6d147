"""`/_simulator/ledger`: exactly what was counted, for whom, and how often each identifier came."""

from meterledger.simulator.clock import SimulatedClock
from meterledger.simulator.control.billing_ledger import billing_rows
from meterledger.simulator.control.clock import clock_page
from meterledger.simulator.control.requests import RequestCounts
from meterledger.simulator.metering.tally import plain
from meterledger.simulator.protocol.parameters import Parameters, parse_form
from meterledger.simulator.state.account import Account

LEDGER_PATH = "/_simulator/ledger"


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
        **billing_rows(accounts, clock.now()),
        "identifier_totals": _identifier_totals(accounts),
        "requests": requests.rows(),
        "concurrency": concurrency,
        "max_concurrency": max((highest for *_, highest in _lanes(accounts)), default=0),
    }
    if wanted:
        page["identifiers"] = _identifiers(accounts)
    return page


def _usage(accounts: list[Account]) -> list[dict[str, object]]:
    rows = []
    for account in accounts:
        for series in account.usage.series():
            measured = account.usage.measure(series)
            if not measured.events:
                continue
            rows.append(
                {
                    "account": account.account_id,
                    "livemode": account.livemode,
                    "meter": series.meter_id,
                    "event_name": account.meters.get(series.meter_id).spec.event_name,
                    "customer": series.customer,
                    "events": measured.events,
                    "total": plain(measured.total),
                }
            )
    return sorted(rows, key=lambda row: tuple(str(value) for value in row.values()))


def _identifier_totals(accounts: list[Account]) -> dict[str, int]:
    records = [record for account in accounts for _, record in account.identifiers.records()]
    return {
        "identifiers": len(records),
        "arrivals": sum(record.arrivals for record in records),
        "counted": sum(record.counted for record in records),
        "counted_more_than_once": sum(record.counted > 1 for record in records),
    }


def _identifiers(accounts: list[Account]) -> dict[str, dict[str, int]]:
    merged: dict[str, dict[str, int]] = {}
    for account in accounts:
        for identifier, record in account.identifiers.records():
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
