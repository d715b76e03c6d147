"""Which requests faults hit."""

from collections import deque
from dataclasses import dataclass

from meterledger.simulator.faults.fault import Encounter, Fault
from meterledger.simulator.instants import format_instant
from meterledger.simulator.protocol.api_keys import fit_for_logs
from meterledger.simulator.protocol.arrival import Arrival

KEPT_STRIKES = 10_000
RANDOM_FAULT = 0  # the number that strikes of no planned fault have

_SHOWN = 255  # characters of whatever a client sent


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedStrike:
    """
    A fault and the request it hit.

    Attributes:
        at: When, in epoch seconds.
        fault: The fault's number in the plan, from 1; 0 for a random one.
        kind: What went wrong.
        request: `req_...`.
        method: HTTP method.
        path: The request's path.
        account: The account's id.
        identifier: Of the event that the fault picked; empty where there is none.
        customer: As identifier.
        event_name: As identifier.
        events: How many events the request carried.
        idempotency_key: Empty where there is none.
    """

    at: float
    fault: int
    kind: str
    request: str
    method: str
    path: str
    account: str
    identifier: str
    customer: str
    event_name: str
    events: int
    idempotency_key: str

    def page(self) -> dict[str, object]:
        """Return the strike as the page shows it."""
        return {
            "at": format_instant(self.at),
            "fault": self.fault or "random",
            "kind": self.kind,
            "request": self.request,
            "method": self.method,
            "path": self.path,
            "account": self.account,
            "identifier": self.identifier or None,
            "customer": self.customer or None,
            "event_name": self.event_name or None,
            "events": self.events,
            "idempotency_key": self.idempotency_key or None,
        }


class FaultLog:
    """The latest strikes."""

    def __init__(self) -> None:
        self._strikes: deque[LoggedStrike] = deque(maxlen=KEPT_STRIKES)

    def note(self, number: int, fault: Fault, encounter: Encounter, subject: Arrival) -> None:
        """Note that the fault of a number hit a request, for the sake of one of its subjects."""
        self._strikes.append(
            LoggedStrike(
                at=encounter.at,
                fault=number,
                kind=fault.kind.value,
                request=encounter.request_id,
                method=encounter.method,
                path=_shown(encounter.path),
                account=encounter.account,
                identifier=_shown(subject.identifier),
                customer=_shown(subject.customer),
                event_name=_shown(subject.event_name),
                events=len(encounter.subjects),
                idempotency_key=_shown(encounter.key),
            )
        )

    def newest_first(self) -> list[LoggedStrike]:
        """Return the strikes, the newest first."""
        return list(reversed(self._strikes))


def _shown(text: str) -> str:
    return fit_for_logs(text[:_SHOWN])
