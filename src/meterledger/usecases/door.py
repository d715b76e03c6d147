"""
The door: what has to be right before anything is sent.

The key's mode, the account and host the ledger is bound to, the clock, and the lease.
"""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from meterledger.config import Settings
from meterledger.domain.declared_meter import DeclaredMeter, activity, meter_findings
from meterledger.domain.delivery import CLOCK_LIMIT, CLOCK_WARNING
from meterledger.domain.instant import Instant, to_text
from meterledger.errors import InUseError, StripeError, UsageError
from meterledger.ledger import Ledger
from meterledger.ledger.lease import Binding
from meterledger.stripe_gateway.access import StripeAccess
from meterledger.usecases.error_reports import ReportGateway
from meterledger.usecases.holder import is_dead, this_process
from meterledger.usecases.sending import Gateway, Surroundings
from meterledger.usecases.window_totals import SummaryGateway

if TYPE_CHECKING:
    from meterledger.stripe_gateway.gateway import Read


LEASE_ASKED_SECONDS = 0.5
"""How long whoever waits for the lease sleeps between two looks."""


class PushGateway(Gateway, SummaryGateway, Protocol):
    """What push needs of Stripe: the account, its meters and what they count, besides sending."""

    async def account_id(self) -> "Read":
        """Return the account's id, or a warning."""

    async def account_meters(self) -> "Read":
        """Return every meter as a DeclaredMeter, or a warning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counterpart:
    """Stripe as seen from a push: how it is reached, who speaks to it, what time it told last."""

    access: StripeAccess
    gateway: PushGateway
    server_date: Callable[[], Instant | None]
    reports: ReportGateway | None = None
    """Who reads error reports; nobody asks for them where it is None."""


@contextmanager
def lease_held(ledger: Ledger, clock: Callable[[], Instant]) -> Iterator[int]:
    """Hold the lease and yield its token; a holder that is verifiably dead is taken over at once."""
    now = clock()
    holder = ledger.lease.current_holder(now)
    dead = holder if holder and is_dead(holder) else None
    token = ledger.lease.take(this_process(), dead, now)
    try:
        yield token
    finally:
        ledger.lease.release(token)


@asynccontextmanager
async def lease_awaited(
    ledger: Ledger, around: Surroundings, *, until: float | None, on_wait: Callable[[str], None]
) -> AsyncIterator[int]:
    """
    Hold the lease like ``lease_held``, but wait while somebody else does.

    Args:
        ledger: The ledger.
        around: Clock, stopwatch and sleep.
        until: In monotonic seconds; InUseError from then on. None to wait for ever.
        on_wait: Told once why it waits.
    """
    with ExitStack() as stack:
        told = False
        while True:
            try:
                token = stack.enter_context(lease_held(ledger, around.clock))
                break
            except InUseError as error:
                if until is not None and around.monotonic() >= until:
                    raise
                if not told:
                    on_wait(error.message)
                told = True
            await around.sleep(LEASE_ASKED_SECONDS)
        yield token


async def knock(
    ledger: Ledger, settings: Settings, stripe: Counterpart, clock: Callable[[], Instant]
) -> list[str]:
    """
    Make the reads that come before anything is sent: whose account, which time, which meters.

    Returns warnings; binds the ledger if it is not bound yet.

    Raises:
        UsageError: The account is another one, or the config contradicts one of its meters.
        StripeError: Stripe's clock is too far from ours.
    """
    account = await stripe.gateway.account_id()
    clock_warnings = _clock_warnings(stripe.server_date(), clock())
    _refuse_other_account(ledger, account.value)
    meters = await stripe.gateway.account_meters()
    if meters.value is not None:
        refuse_contradicted_config(settings, meters.value)
    _bind(ledger, stripe.access, account.value, clock())
    if meters.value is not None:
        ledger.stripe_meters.note(activity(meters.value), clock())
    return [warning for warning in (account.warning, *clock_warnings, meters.warning) if warning]


class AccountGateway(Protocol):
    """Tells whose account it is."""

    async def account_id(self) -> "Read":
        """Return the account's id, or a warning."""


async def recognized(
    ledger: Ledger,
    gateway: AccountGateway,
    access: StripeAccess,
    server_date: Callable[[], Instant | None],
    clock: Callable[[], Instant],
) -> tuple[str | None, list[str]]:
    """
    Make the reads that come before others are kept; return the account's id, if it can be told, and warnings.

    Raises:
        UsageError: The ledger is bound to another account, mode or host.
        StripeError: Stripe's clock is too far from ours, or the key is refused.
    """
    refuse_other_binding(ledger.lease.binding(), access)
    account = await gateway.account_id()
    clock_warnings = _clock_warnings(server_date(), clock())
    _refuse_other_account(ledger, account.value)
    return account.value, [warning for warning in (account.warning, *clock_warnings) if warning]


def refuse_contradicted_config(settings: Settings, declared: Sequence[DeclaredMeter]) -> None:
    """Raise UsageError if the config says otherwise of a meter than Stripe does: it would bill wrongly."""
    found = [one for one in meter_findings(settings.catalogue.meters, declared) if one.contradicts]
    if found:
        told = "; ".join(f"meters.{one.event_name}: {one.message}" for one in found)
        raise UsageError(
            f"the config contradicts the account's meters, and nothing was sent: {told}",
            hint="`meterledger meters check` lists it all",
        )


def _clock_warnings(server: Instant | None, now: Instant) -> list[str]:
    if server is None:
        return ["the answer had no Date: the clock could not be checked"]
    apart = abs(server - now)
    told = f"this machine's clock says {to_text(now)}, Stripe's {to_text(server)}"
    if apart > CLOCK_LIMIT:
        raise StripeError(
            f"{told}; nothing was sent",
            hint="set this machine's clock right; for a simulator, METERLEDGER_CLOCK=server takes its time",
        )
    return [told] if apart > CLOCK_WARNING else []


def refuse_without_live(access: StripeAccess, *, live: bool) -> None:
    """Raise UsageError for a live key without ``--live``, and for ``--live`` with a test key."""
    if access.mode == "live" and not live:
        raise UsageError("the key is a live key", hint="say --live if real invoices are meant")
    if access.mode == "test" and live:
        raise UsageError(
            "--live was said, but the key is a test key", hint="leave --live out, or set the live key"
        )


def refuse_other_binding(binding: Binding | None, access: StripeAccess) -> None:
    """Raise UsageError if the ledger is bound to another mode, host or connected account."""
    if binding is None:
        return
    for what, bound, given in (
        ("mode", binding.mode, access.mode),
        ("host", binding.host, access.base),
        ("stream's host", binding.meter_events_host or access.meter_events_base, access.meter_events_base),
        ("connected account", binding.stripe_account, access.stripe_account),
    ):
        if bound != given:
            raise UsageError(
                f"this ledger is bound to the {what} {bound or 'none'}, not to {given or 'none'}",
                hint="use the key and host of its first push, or another ledger",
            )


def _refuse_other_account(ledger: Ledger, account_id: object) -> None:
    binding = ledger.lease.binding()
    if binding and binding.account_id and account_id and account_id != binding.account_id:
        raise UsageError(
            f"this ledger is bound to the account {binding.account_id}; the key is of {account_id}",
            hint="use the key of that account, or another ledger",
        )


def _bind(ledger: Ledger, access: StripeAccess, account_id: object, now: Instant) -> None:
    account = account_id if isinstance(account_id, str) else None
    binding = ledger.lease.binding()
    if binding is None:
        ledger.lease.bind(
            Binding(
                account_id=account, stripe_account=access.stripe_account, mode=access.mode, host=access.base
            ),
            now,
        )
    elif account and binding.account_id is None:
        ledger.lease.learn_account(account)
