"""The simulator's options as they were typed, and what they mean."""

import ipaddress
from dataclasses import dataclass, replace
from pathlib import Path

from meterledger.simulator.instants import parse_duration, parse_instant
from meterledger.simulator.protocol.api_keys import KEY_PREFIXES, is_key
from meterledger.simulator.rules import Rules
from meterledger.simulator.seeds import read_seeds

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 12111
LAST_PORT = 65_535


class StartError(Exception):
    """The simulator cannot start; the message is one line for a person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What was typed on the command line."""

    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
    clock: str | None = None
    freeze: bool = False
    seed_from: Path | None = None
    known_customers_only: bool = False
    key: str | None = None
    limit: int | None = None
    latency: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The same, checked; start in epoch seconds (None: the real time), latency in seconds."""

    host: str
    port: int
    start: float | None
    freeze: bool
    latency_seconds: float
    rules: Rules


def check(options: Options) -> Plan:
    """
    Check the options and read the seed file.

    Raises:
        StartError: One of them is not understood.
    """
    if not 0 <= options.port <= LAST_PORT:
        raise StartError(f"--port lies between 0 and {LAST_PORT}")
    if options.limit is not None and options.limit < 1:
        raise StartError("--limit is a number of calls per second, at least 1")
    if options.key is not None and not is_key(options.key):
        raise StartError(f"--key starts with one of {', '.join(KEY_PREFIXES)}")
    try:
        start = None if options.clock is None else parse_instant(options.clock)
        latency_seconds = 0.0 if options.latency is None else parse_duration(options.latency)
    except ValueError as failure:
        raise StartError(str(failure)) from None
    return Plan(
        host=options.host,
        port=options.port,
        start=start,
        freeze=options.freeze,
        latency_seconds=latency_seconds,
        rules=_rules(options),
    )


def is_loopback(host: str) -> bool:
    """Tell whether a host name or address can only be reached from this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _rules(options: Options) -> Rules:
    rules = Rules(
        only_key=options.key,
        known_customers_only=options.known_customers_only,
        events_per_second=options.limit,
    )
    if options.seed_from is None:
        return rules
    try:
        return replace(rules, seeds=read_seeds(options.seed_from.read_text(encoding="utf-8")))
    except OSError as failure:
        raise StartError(f"cannot read {options.seed_from}: {failure.strerror or failure}") from None
    except ValueError as failure:
        raise StartError(f"cannot use {options.seed_from}: {failure}") from None
