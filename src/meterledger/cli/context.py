"""What every command knows: the global options, and what follows from them when it is asked for."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, cast

import typer

from meterledger.cli.output import say
from meterledger.errors import UsageError

if TYPE_CHECKING:
    from meterledger.config import Settings
    from meterledger.ledger import Ledger

Clock = Callable[[], int]
_CLOCK_VARIABLE = "METERLEDGER_CLOCK"


@dataclass(slots=True)
class Context:
    """The global options; settings, ledger and clock are made when a command needs them."""

    config: Path | None = None
    ledger_option: Path | None = None
    quiet: bool = False
    verbose: bool = False
    interruption_reported: bool = False
    """Whether the command itself has said that it was interrupted, with what it had done."""
    _settings: "Settings | None" = field(default=None, repr=False)

    @property
    def config_path(self) -> Path | None:
        """The config file named or found; None where there is none."""
        from meterledger.config import find_config

        return self.config or find_config(Path.cwd())

    @property
    def settings(self) -> "Settings":
        """The config, read once."""
        if self._settings is None:
            from meterledger.config import load_settings

            self._settings = load_settings(self.config_path, folder=Path.cwd(), ledger=self.ledger_option)
        return self._settings

    @contextmanager
    def ledger(self) -> "Iterator[Ledger]":
        """Open the ledger for the time of a command."""
        from meterledger.ledger import open_ledger

        if self.verbose:
            say(f"config {self.config_path or '(none)'}, ledger {self.settings.ledger_path}")
        with open_ledger(self.settings.ledger_path) as ledger:
            yield ledger

    def clock(self, as_of: str | None = None) -> Clock:
        """Return the clock: a moment asked for, the server's by METERLEDGER_CLOCK, or the machine's."""
        if as_of is not None:
            instant = self.instant(as_of)
            return lambda: instant
        match os.environ.get(_CLOCK_VARIABLE, ""):
            case "" | "local":
                return machine_clock
            case "server":
                from meterledger.stripe_gateway.access import base_address
                from meterledger.stripe_gateway.server_clock import read_server_clock

                return read_server_clock(base_address(os.environ), time.monotonic)
            case other:
                raise UsageError(f"{_CLOCK_VARIABLE}={other} is no clock", hint="write server, or unset it")

    def instant(self, text: str) -> int:
        """Read an instant from an option."""
        from meterledger.domain.instant import TimeError, parse_instant

        try:
            return parse_instant(text)
        except TimeError as error:
            raise UsageError(
                f"'{text}' is no instant: {error}", hint="write it like 2026-11-01T00:00:00Z"
            ) from error

    def duration(self, text: str | None, option: str) -> int | None:
        """Read a duration from an option, in microseconds."""
        from meterledger.config.duration import parse_duration

        try:
            return None if text is None else parse_duration(text)
        except ValueError as error:
            raise UsageError(f"{option}: {error}") from error


def machine_clock() -> int:
    """Return the time of this machine, in microseconds since the epoch."""
    return time.time_ns() // 1000  # noqa: TID251 # the one place where the program's time comes from


def context_of(ctx: typer.Context) -> Context:
    """Return the context of a command."""
    return cast("Context", ctx.obj)
