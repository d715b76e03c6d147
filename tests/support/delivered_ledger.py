"""Builds a ledger whose usage arrived and was delivered at given instants: what the audit is asked about."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

from meterledger.config import Settings, load_settings
from meterledger.domain.delivery import Outcome, Result, verdict
from meterledger.domain.instant import Instant, parse_instant
from meterledger.domain.meter_event import seal
from meterledger.domain.usage import Reason, Rejection, UsageEvent
from meterledger.ledger import Ledger, open_ledger
from meterledger.ledger.imports import OpenImport, Provenance
from meterledger.ledger.lease import Holder
from meterledger.ledger.outbox import Claimed, Finished
from support.importing import ledger_file, write_chunk

CONFIG = """
[meters.api_requests]
features = ["api_calls"]
decimal_places = 2
[meters.seats]
features = ["seats"]
aggregation = "last"
[invoicing]
grace_period = "1h"
safety_margin = "5m"
retry_time = "15m"
anchors = "{anchors}"
"""


@dataclass(slots=True)
class LedgerBuilder:
    """Writes usage and its delivery straight through the ledger's stores, at any instant."""

    ledger: Ledger
    settings: Settings
    sealed_for: str = ""
    """The event_name that a meter had when it was sealed for; none where it is today's."""
    _token: int = 0
    _push: int = 0
    _usage: dict[str, int] = field(default_factory=dict)
    _imports: dict[str, int] = field(default_factory=dict)

    def usage(  # noqa: PLR0913 # every fact of a usage event
        self,
        request_id: str,
        event_time: str,
        *,
        recorded: str,
        received: str | None = None,
        quantity: int = 100,
        customer: str = "cus_a",
        feature: str = "api_calls",
        source: str = "default",
        backfill: bool = False,
        first: bool = False,
        subscription: str | None = None,
        scale: int | None = None,
        already_billed: bool = False,
    ) -> Self:
        """Import one usage event; ``quantity`` in hundredths, or of another scale."""
        now = parse_instant(recorded)
        target = self._import(source, now, backfill=backfill, first=first, already_billed=already_billed)
        event = UsageEvent(
            request_id,
            customer,
            subscription,
            feature,
            quantity,
            (2 if feature == "api_calls" else 0) if scale is None else scale,
            parse_instant(event_time),
            parse_instant(received) if received else None,
            2,
            None,
        )
        write_chunk(self.ledger, target, [event], [], now)
        self.ledger.imports.finish(target, now)
        self._usage[request_id] = self.ledger.explanations.usage_events_of(request_id, 10)[-1]
        self._imports[request_id] = target.id
        return self

    def rejection(self, event_time: str | None, *, recorded: str) -> Self:
        """Refuse one row, with or without a readable event_time."""
        now = parse_instant(recorded)
        target = self._import("default", now, backfill=False, first=False)
        refused = Rejection(
            line=2,
            reason=Reason.INVALID_QUANTITY,
            message="",
            raw=f"{event_time}",
            event_time=parse_instant(event_time) if event_time else None,
        )
        write_chunk(self.ledger, target, [], [refused], now)
        self.ledger.imports.finish(target, now)
        return self

    def accepted(self, request_id: str, at: str) -> Self:
        """Deliver a usage event, accepted at an instant."""
        instant = parse_instant(at)
        outcome = Outcome(result=Result.ACCEPTED, at=instant, answered=True, created=instant)
        self._finish(self.claimed(request_id, at), outcome)
        return self

    def rejected(self, request_id: str, at: str) -> Self:
        """Deliver a usage event that Stripe refuses."""
        self._finish(
            self.claimed(request_id, at),
            Outcome(result=Result.REJECTED, at=parse_instant(at), code="no_meter"),
        )
        return self

    def unknown(self, request_id: str, at: str, ended: str = "") -> Self:
        """Send a usage event whose answer is lost, at once or when the attempt ended."""
        outcome = Outcome(result=Result.UNKNOWN, at=parse_instant(ended or at))
        self._finish(self.claimed(request_id, at), outcome)
        return self

    def not_sent(self, request_id: str, at: str) -> Self:
        """Seal a usage event that Stripe certainly did not take."""
        self._finish(self.claimed(request_id, at), Outcome(result=Result.NOT_SENT, at=parse_instant(at)))
        return self

    def found_duplicate(self, request_id: str, sent: str, again: str, ended: str = "") -> Self:
        """Lose an answer, send again, and hear that the identifier exists: accepted between the two."""
        self.unknown(request_id, sent, ended)
        stored = next(event for event in self.ledger.outbox.unsent() if self._carries(event.id, request_id))
        claims = self.ledger.outbox.claim_again(
            [stored], push=self._push, token=self._token, now=parse_instant(again)
        )
        self._finish(claims[0], Outcome(result=Result.DUPLICATE, at=parse_instant(again), answered=True))
        return self

    def in_doubt(self, request_id: str, at: str) -> Self:
        """Send a usage event whose identifier somebody else has used."""
        outcome = Outcome(result=Result.DUPLICATE, at=parse_instant(at), answered=True)
        self._finish(self.claimed(request_id, at), outcome)
        return self

    def resolved(self, request_id: str, at: str, *, sent: bool) -> Self:
        """Say of a usage event in doubt whether it was sent."""
        number = self.ledger.explanations.meter_events(self._usage[request_id])[-1]["identifier"]
        self.ledger.outbox.resolve(number, sent=sent, note="looked", now=parse_instant(at))
        return self

    def dissolved(self, request_id: str, at: str, let_go: str) -> Self:
        """Seal a usage event, and let go of it later: it was certainly not sent."""
        claimed = self.claimed(request_id, at)
        self._finish(claimed, Outcome(result=Result.NOT_SENT, at=parse_instant(at)))
        self.ledger.outbox.dissolve(claimed.id, self._token, parse_instant(let_go))
        return self

    def written_off(self, request_id: str, at: str) -> Self:
        """Close a usage event that is not sealed."""
        now = parse_instant(at)
        closed = [(self._usage[request_id], "too_old")]
        self.ledger.closures.write_off(closed, [], note="no", token=self._holding(now), now=now)
        return self

    def voided(self, request_id: str, at: str) -> Self:
        """Take the import of a usage event back."""
        now = parse_instant(at)
        self.ledger.closures.void(self._imports[request_id], "wrong file", self._holding(now), now)
        return self

    def claimed(self, request_id: str, at: str) -> Claimed:
        """Seal and claim a usage event."""
        now = parse_instant(at)
        self._holding(now)
        self._push = self._push or self.ledger.outbox.begin_push("v1", "test", self._token, now)
        usage = self.ledger.unsealed.one(self._usage[request_id])
        assert usage is not None
        meter = self.settings.catalogue.meter_of(usage.feature)
        assert meter is not None
        former = replace(meter, event_name=self.sealed_for or meter.event_name)
        sealed = seal(usage, former, usage.customer_id)
        return self.ledger.outbox.claim_new([(usage, sealed)], push=self._push, token=self._token, now=now)[0]

    def _carries(self, meter_event: int, request_id: str) -> bool:
        return any(usage.request_id == request_id for usage in self.ledger.outbox.usage_of(meter_event))

    def _holding(self, now: Instant) -> int:
        """Return the token of the lease, which is taken once."""
        holder = Holder(host="test", pid=1, process_started="")
        self._token = self._token or self.ledger.lease.take(holder, None, now)
        return self._token

    def _finish(self, claimed: Claimed, outcome: Outcome) -> None:
        judged = verdict(claimed.earlier, claimed.started_at, outcome)
        self.ledger.outbox.finish([Finished(claimed=claimed, outcome=outcome, verdict=judged)], outcome.at)

    def _import(
        self, source: str, now: Instant, *, backfill: bool, first: bool, already_billed: bool = False
    ) -> OpenImport:
        return self.ledger.imports.begin(
            Provenance(
                source=source,
                file="usage.csv",
                sha256=f"{now:064x}",
                size_bytes=1,
                input_format="csv",
                config_digest="",
                program_version="test",
                backfill=backfill,
                first_of_source=first,
                already_billed=already_billed,
            ),
            now,
        )


@contextmanager
def ledger_builder(folder: Path, *, anchors: str = "assumed") -> Iterator[LedgerBuilder]:
    """Open a new ledger in a folder, with two meters and a grace period of an hour."""
    config = folder / "meterledger.toml"
    config.write_text(CONFIG.format(anchors=anchors))
    settings = load_settings(config, folder=folder)
    with open_ledger(ledger_file(folder)) as ledger:
        yield LedgerBuilder(ledger, settings)
