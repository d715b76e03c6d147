"""Closures: usage that is never sent, for good, and imports that are taken back."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from meterledger.domain.instant import Instant
from meterledger.errors import LedgerError
from meterledger.ledger.database import Database, Row
from meterledger.ledger.lease import LeaseStore
from meterledger.ledger.outbox import Outbox


class Closed(StrEnum):
    """Why usage is never sent."""

    ALREADY_BILLED = "already_billed"
    """Told to Stripe by an older system."""
    WRITTEN_OFF = "written_off"
    """Blocked or rejected, and closed by a person."""
    VOIDED = "voided"
    """Its import was taken back before it was sent; its usage key is free again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Voided:
    """What taking an import back did; counts of usage events, meter events and refused rows."""

    before: dict[str, int]
    """Usage events by state, as they were."""
    unsealed: int
    already_billed: int
    dissolved: int
    rejects_dismissed: int
    rejects_opened: int


class ClosureStore:
    """Owns closures, and what is read for them."""

    def __init__(self, database: Database, lease: LeaseStore, outbox: Outbox) -> None:
        self._database = database
        self._lease = lease
        self._outbox = outbox

    def usage_by_state(self, number: int) -> dict[str, int]:
        """Return how many usage events of an import are in which state; that of its meter event if sealed."""
        rows = self._database.rows("import_usage_by_state", **{"import": number})
        return {row["state"]: row["count"] for row in rows}

    def pending(self, number: int) -> dict[int, list[int]]:
        """Return meter event -> usage events of an import that are sealed and that Stripe has not taken."""
        found: dict[int, list[int]] = {}
        for row in self._database.rows("pending_of_import", **{"import": number}):
            found.setdefault(row["id"], []).append(row["usage_event"])
        return found

    def voided_imports_of(self, identifier: str) -> list[int]:
        """Return the imports that were taken back and whose usage a meter event still carries."""
        rows = self._database.rows("voided_imports_of_identifier", identifier=identifier)
        return [row["id"] for row in rows]

    def sealed(self, number: int) -> Iterator[Row]:
        """Yield the sealed usage of an import with its meter events."""
        return self._database.stream("sealed_of_import", **{"import": number})

    def void(self, number: int, note: str, token: int, now: Instant) -> Voided:
        """
        Take an import back in one transaction, as far as Stripe certainly has not taken it.

        That is more than a push dissolves: where a person said that Stripe has not got it, a push sends it
        again as it is, but taking it back is no sending.
        """
        whose = {"import": number}
        closing = {**whose, "note": note, "closed_at": now}
        with self._database.transaction():
            self._lease.renew(token, now)
            # What there is none of is not looked for: usage is found by its import by looking at all of it.
            before = self.usage_by_state(number)
            pending = self.pending(number)
            for meter_event in pending:
                self._database.run("take_pending_back", meter_event=meter_event, now=now)
                self._database.run("unlink_meter_event", meter_event=meter_event, now=now)
            self._database.run("mark_import_voided", **whose, voided_at=now, note=note)
            unsealed = already_billed = 0
            if pending or "unsealed" in before:
                unsealed = self._database.run("void_unsealed_of_import", **closing)
            if Closed.ALREADY_BILLED in before:
                already_billed = self._database.run("void_already_billed_of_import", **closing)
            dismissed = self._database.run("dismiss_rejects_of_import", **closing)
            opened = self._open_rejects_anew(number, now)
        return Voided(
            before=before,
            unsealed=unsealed,
            already_billed=already_billed,
            dissolved=len(pending),
            rejects_dismissed=dismissed,
            rejects_opened=opened,
        )

    def _open_rejects_anew(self, number: int, now: Instant) -> int:
        """Open what was refused, and accepted as usage that is voided now; returns how many."""
        rows = self._database.rows("rejects_accepted_as_voided", **{"import": number}, closed_at=now)
        found = {row["id"] for row in rows}
        # An attempt to mend a row is no second usage event.
        first = [row["id"] for row in rows if row["mends"] not in found]
        for reject in first:
            opened = self._database.row("open_reject_anew", reject=reject, recorded_at=now)
            if opened is not None:
                self._database.run("sight_reject_anew", reject=reject, opened=opened["id"])
        return len(first)

    def write_off(
        self,
        usage: Iterable[tuple[int, str]],
        stale: Iterable[int],
        rejected: Iterable[int] = (),
        *,
        note: str,
        token: int,
        now: Instant,
    ) -> int:
        """
        Close usage in one transaction, and return how many.

        Args:
            usage: Number of each, and what blocked it or ``rejected``: with all that is let go of.
            stale: Meter events that never reached Stripe and that are dissolved first.
            rejected: Meter events that Stripe certainly does not count, and that let go of all their usage.
            note: What a person said.
            token: That of the lease.
            now: When.
        """
        with self._database.transaction():
            self._lease.renew(token, now)
            for meter_event in stale:
                self._outbox.dissolve(meter_event, token, now)
            for meter_event in rejected:
                if self._database.run("let_go_of_rejected", meter_event=meter_event, now=now) != 1:
                    raise LedgerError("a meter event changed while its usage was written off")
                self._database.run("unlink_meter_event", meter_event=meter_event, now=now)
            return self._database.run_many(
                "write_usage_off", ((number, reason, note, now) for number, reason in usage)
            )

    def usage_of_request(self, request_id: str) -> list[Row]:
        """Return number, source and state of the usage events of a request_id, of each source the last."""
        return self._database.rows("usage_by_request_id", request_id=request_id)

    def closure_of(self, usage_event: int) -> Row | None:
        """Return how a usage event was closed, if it was."""
        return self._database.row("closure_of", usage_event=usage_event)

    def counts(self, as_of: Instant) -> dict[str, int]:
        """Return how many usage events were closed as what at an instant, every way named."""
        found = {row["state"]: row["count"] for row in self._database.rows("count_closures", as_of=as_of)}
        return {closed.value: found.get(closed.value, 0) for closed in Closed}
