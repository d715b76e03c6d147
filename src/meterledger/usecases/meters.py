"""The catalogue beside the account's meters: list, pull, check."""

import contextlib
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from meterledger.config import Settings, load_settings
from meterledger.domain.declared_meter import DeclaredMeter, MeterFinding, meter_findings
from meterledger.domain.instant import Instant
from meterledger.errors import StripeError, UsageError
from meterledger.ledger import Ledger
from meterledger.usecases.meter_tables import meter_tables

if TYPE_CHECKING:
    from meterledger.stripe_gateway.gateway import Read


class MeterGateway(Protocol):
    """Reads the account's meters."""

    async def account_meters(self) -> "Read":
        """Return every meter as a DeclaredMeter, or a warning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulled:
    """What the config lacked: the meters, and their tables as text."""

    meters: Sequence[DeclaredMeter]
    text: str
    written_to: Path | None = None


def list_meters(ledger: Ledger, settings: Settings, now: Instant) -> list[dict[str, Any]]:
    """Return each meter of the config, and each that Stripe was last seen to have, by name."""
    noted = ledger.stripe_meters.noted(now)
    configured = {meter.event_name: meter for meter in settings.catalogue.meters}
    found = []
    for name in sorted(configured.keys() | (noted or {}).keys()):
        meter = configured.get(name)
        found.append(
            {
                "event_name": name,
                "in_config": meter is not None,
                "features": list(meter.features) if meter else [],
                "aggregation": meter.aggregation.value if meter else None,
                "event_time_window": meter.event_time_window.value if meter else None,
                "decimal_places": meter.decimal_places if meter else None,
                "customer_key": meter.customer_key if meter else None,
                "value_key": meter.value_key if meter else None,
                "dimensions": list(meter.dimensions) if meter else [],
                "stripe": _noted_state(noted, name),
            }
        )
    return found


def _noted_state(noted: dict[str, bool] | None, name: str) -> str | None:
    """Return what Stripe was last seen to have; None if it was never asked."""
    if noted is None:
        return None
    return {True: "active", False: "inactive", None: "missing"}[noted.get(name)]


async def declared_meters(gateway: MeterGateway) -> Sequence[DeclaredMeter]:
    """Return the account's meters; StripeError if the key may not read them."""
    read = await gateway.account_meters()
    if read.value is None:
        raise StripeError(read.warning, hint="the key needs to be allowed to read billing meters")
    declared: Sequence[DeclaredMeter] = read.value
    return declared


def check_meters(settings: Settings, declared: Sequence[DeclaredMeter]) -> list[MeterFinding]:
    """Compare every meter of the config with the account's."""
    return meter_findings(settings.catalogue.meters, declared)


def pull_meters(settings: Settings, declared: Sequence[DeclaredMeter], *, write: bool) -> Pulled:
    """
    Return the tables of the active meters that the config lacks, and append them to it if told to.

    Raises:
        UsageError: There is no config to write to, it cannot be written, or it would not be one any more.
    """
    configured = {meter.event_name for meter in settings.catalogue.meters}
    lacking = {meter.event_name: meter for meter in declared if meter.active}
    meters = [meter for name, meter in sorted(lacking.items()) if name not in configured]
    text = meter_tables(meters, taken=set(settings.catalogue.features))
    if not write or not meters:
        return Pulled(meters=meters, text=text)
    if settings.config_path is None:
        raise UsageError("there is no config to write to", hint="make one with `meterledger init`")
    _append(settings.config_path, text)
    return Pulled(meters=meters, text=text, written_to=settings.config_path)


def _append(config: Path, text: str) -> None:
    """Append to the config, whole or not at all: what stands there stays as it is, byte for byte."""
    real = Path(os.path.realpath(config))
    unfinished: Path | None = None
    try:
        before = real.read_bytes()
        gap = b"\n" if before.endswith(b"\n") or not before else b"\n\n"
        handle, name = tempfile.mkstemp(prefix=".new-config-", suffix=".toml", dir=real.parent)
        unfinished = Path(name)
        with os.fdopen(handle, "wb") as file:
            file.write(before + gap + text.encode())
            file.flush()
            os.fsync(file.fileno())
        load_settings(unfinished, folder=real.parent)
        unfinished.chmod(real.stat().st_mode & 0o7777)
        unfinished.replace(real)
    except OSError as error:
        raise UsageError(f"the config {config} cannot be written: {error.strerror}") from error
    finally:
        if unfinished is not None:
            with contextlib.suppress(OSError):
                unfinished.unlink(missing_ok=True)
