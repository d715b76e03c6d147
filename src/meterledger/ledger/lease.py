"""The lease: one pusher for each ledger; and the binding: one account, one mode, one host."""

from dataclasses import dataclass

from meterledger.domain.instant import MINUTE, Instant, to_text
from meterledger.errors import InUseError
from meterledger.ledger.database import Database, Row

LEASE_DURATION = 2 * MINUTE
"""How long a lease holds without renewal: longer than a request and its retries can stay silent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A process, told apart from a later one with the same number by when it started."""

    host: str
    pid: int
    process_started: str

    def __str__(self) -> str:
        """Name the process for people."""
        return f"process {self.pid} on {self.host}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """What a ledger is bound to; ``account_id`` is None where the key may not read its account."""

    account_id: str | None
    stripe_account: str
    mode: str
    host: str
    meter_events_host: str | None = None
    """The host of the stream; None as long as no push took that way."""


class LeaseStore:
    """Owns the lease and the binding."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def current_holder(self, now: Instant) -> Holder | None:
        """Return who holds the lease, unless it was given back or has expired."""
        row = self._database.row("read_lease")
        if row is None or row["released"] or row["expires_at"] <= now:
            return None
        return _holder(row)

    def take(self, holder: Holder, over: Holder | None, now: Instant) -> int:
        """
        Take the lease, over a holder that is known to be dead if there is one; return its token.

        Raises:
            InUseError: Somebody else holds it.
        """
        with self._database.transaction():
            row = self._database.row("read_lease")
            if row and not row["released"] and row["expires_at"] > now and _holder(row) != over:
                raise InUseError(
                    f"another push is at work on this ledger: {row['holder']}, since "
                    f"{to_text(row['acquired_at'])}; its lease holds until {to_text(row['expires_at'])}",
                    hint="wait for it to end",
                )
            taken = self._database.row(
                "take_lease",
                holder=str(holder),
                host=holder.host,
                pid=holder.pid,
                process_started=holder.process_started,
                now=now,
                expires_at=now + LEASE_DURATION,
            )
        if taken is None:
            raise AssertionError("unreachable: the statement returns the row it wrote")
        token: int = taken["token"]
        return token

    def renew(self, token: int, now: Instant) -> Instant:
        """Prolong the lease inside the caller's transaction, and return until when; InUseError if lost."""
        expires_at = now + LEASE_DURATION
        if self._database.run("renew_lease_if_held", token=token, expires_at=expires_at) != 1:
            raise _lost()
        return expires_at

    def refuse_if_lost(self, token: int) -> None:
        """Raise InUseError if another push has taken the lease, whatever the clock says."""
        if self._database.row("lease_is_held", token=token) is None:
            raise _lost()

    def prolong(self, token: int, now: Instant) -> None:
        """Prolong the lease by itself, where nothing else is written for long; InUseError if lost."""
        with self._database.transaction():
            self.renew(token, now)

    def release(self, token: int) -> None:
        """Give the lease back, if it is still held."""
        with self._database.transaction():
            self._database.run("release_lease_if_held", token=token)

    def binding(self, as_of: Instant | None = None) -> Binding | None:
        """Return what the ledger is bound to, or was at an instant, if it was."""
        row = self._database.row("read_binding")
        if row is None or (as_of is not None and row["bound_at"] > as_of):
            return None
        return Binding(
            account_id=row["account_id"],
            stripe_account=row["stripe_account"],
            mode=row["mode"],
            host=row["host"],
            meter_events_host=row["meter_events_host"],
        )

    def bind(self, binding: Binding, now: Instant) -> None:
        """Bind the ledger, once and for all."""
        with self._database.transaction():
            self._database.run(
                "bind",
                account_id=binding.account_id,
                stripe_account=binding.stripe_account,
                mode=binding.mode,
                host=binding.host,
                bound_at=now,
            )

    def bind_meter_events_host(self, host: str) -> None:
        """Bind the host of the stream, once and for all."""
        with self._database.transaction():
            self._database.run("bind_meter_events_host", host=host)

    def learn_account(self, account_id: str) -> None:
        """Complete a binding that was made with a key that could not read its account."""
        with self._database.transaction():
            self._database.run("learn_account", account_id=account_id)


def _lost() -> InUseError:
    return InUseError("another push has taken over this ledger", hint="look at `meterledger status`")


def _holder(row: Row) -> Holder:
    return Holder(host=row["host"], pid=row["pid"], process_started=row["process_started"])
