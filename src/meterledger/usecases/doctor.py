"""Doctor: config, key, host, account, clock, meters, ledger, lease and head, one by one."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from meterledger.config import Settings
from meterledger.domain.declared_meter import DeclaredMeter
from meterledger.domain.delivery import CLOCK_WARNING, LEDGER_AHEAD_LIMIT
from meterledger.domain.instant import SECOND, Instant, to_text
from meterledger.errors import MeterledgerError, UsageError
from meterledger.ledger import Ledger
from meterledger.stripe_gateway.access import StripeAccess
from meterledger.usecases.door import PushGateway, refuse_other_binding
from meterledger.usecases.holder import is_dead
from meterledger.usecases.meters import check_meters
from meterledger.usecases.restored import stand_to_head
from meterledger.usecases.verify import Check

_QUICK = ("rows_counted", "pending_is_not_sent", "sent_is_bound")
"""Checks of `verify` that do not read every meter event."""

NOT_ASKED = "not checked: there is no key that could be used, and Stripe was not asked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """What is looked at; None where it could not be had."""

    settings: Settings | None
    ledger: Ledger | None
    access: StripeAccess | None
    clock: Callable[[], Instant]


def look_at_config(settings: Settings) -> Check:
    """Say which config holds."""
    meters = len(settings.catalogue.meters)
    where = str(settings.config_path) if settings.config_path else "there is none: every default holds"
    return Check(name="config", ok=True, detail=f"{where}; meters: {meters}")


def look_at_key(access: StripeAccess) -> Check:
    """Say what kind of key there is, and where it would go; never the key."""
    kind = "restricted" if access.key.startswith("rk_") else "secret"
    return Check(name="key", ok=True, detail=f"a {kind} key in {access.mode} mode, for {access.base}")


def failed(name: str, error: MeterledgerError) -> Check:
    """Return a check that is not ok, with what to do."""
    return Check(
        name=name, ok=False, detail=f"{error.message}; {error.hint}" if error.hint else error.message
    )


def look_at_ledger(ledger: Ledger, now: Instant) -> Iterator[Check]:
    """Look at the ledger itself, quickly: `verify` looks at all of it."""
    broken = [name for name in _QUICK if ledger.reports.violations(name)]
    latest = ledger.outbox.latest_own_instant()
    if broken:
        told = f"{ledger.path} opens, but breaks {', '.join(broken)}: see `meterledger verify`"
    elif latest is not None and latest > now + LEDGER_AHEAD_LIMIT:
        told = f"{ledger.path} holds an instant of {to_text(latest)}, but the clock says {to_text(now)}"
        broken = ["clock"]
    else:
        told = f"{ledger.path} opens, and a quick look finds nothing wrong"
    yield Check(name="ledger", ok=not broken, detail=told)
    holder = ledger.lease.current_holder(now)
    if holder is None:
        told = "free"
    else:
        gone = ", which runs no more: the next push takes it over" if is_dead(holder) else ""
        told = f"held by {holder}{gone}"
    yield Check(name="lease", ok=True, detail=told)
    standing = stand_to_head(ledger)
    yield Check(name="head", ok=not standing.is_behind, detail=standing.warning or "the ledger is its latest")


async def look_at_stripe(
    patient: Patient, access: StripeAccess, gateway: PushGateway, server_date: Callable[[], Instant | None]
) -> list[Check]:
    """Look at host, account, clock and meters; nothing is bound or noted."""
    try:
        account = await gateway.account_id()
    except MeterledgerError as error:
        unknown = "not checked: the host did not answer as Stripe does"
        return [
            failed("host", error),
            *(Check(name=name, ok=True, detail=unknown) for name in ("account", "clock", "meters")),
        ]
    checks = [
        Check(name="host", ok=True, detail=f"{access.base} answers"),
        _account(patient.ledger, access, account.value, account.warning),
        _clock(server_date(), patient.clock()),
    ]
    meters = await gateway.account_meters()
    if patient.settings is None or meters.value is None:
        why = meters.warning or "there is no config to compare with"
        return [*checks, Check(name="meters", ok=True, detail=f"not checked: {why}")]
    return [*checks, _meters(patient.settings, meters.value)]


def _account(ledger: Ledger | None, access: StripeAccess, account: object, warning: str) -> Check:
    binding = ledger.lease.binding() if ledger else None
    try:
        refuse_other_binding(binding, access)
    except UsageError as error:
        return failed("account", error)
    if not isinstance(account, str):
        return Check(name="account", ok=True, detail=f"not checked: {warning}")
    if binding and binding.account_id not in (None, account):
        told = f"the ledger is bound to {binding.account_id}, the key is of {account}: use the other key"
        return Check(name="account", ok=False, detail=told)
    connected = f", for {access.stripe_account}" * bool(access.stripe_account)
    bound = "the ledger is bound to it" if binding else "the ledger is not bound yet"
    return Check(name="account", ok=True, detail=f"{account}{connected}; {bound}")


def _clock(server: Instant | None, now: Instant) -> Check:
    if server is None:
        return Check(name="clock", ok=True, detail="not checked: the answer had no Date")
    apart = abs(server - now)
    told = f"{apart // SECOND} s apart from Stripe's {to_text(server)}"
    if apart > CLOCK_WARNING:
        return Check(name="clock", ok=False, detail=f"{told}: set this machine's clock right")
    return Check(name="clock", ok=True, detail=told)


def _meters(settings: Settings, declared: Sequence[DeclaredMeter]) -> Check:
    findings = check_meters(settings, declared)
    if findings:
        told = "; ".join(f"{one.event_name}: {one.message}" for one in findings)
        return Check(name="meters", ok=False, detail=told)
    return Check(
        name="meters", ok=True, detail="every meter of the config is active in Stripe and declared alike"
    )
