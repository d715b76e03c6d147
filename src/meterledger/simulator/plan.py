"""What the options mean: checked, in seconds and rules, with the seeds read."""

import ipaddress
from dataclasses import dataclass
from pathlib import Path

from meterledger.simulator.instants import parse_duration, parse_instant
from meterledger.simulator.options import Options
from meterledger.simulator.protocol.api_keys import KEY_PREFIXES, is_key
from meterledger.simulator.rules import Rules
from meterledger.simulator.seeds.files import Seeds, read_seeds

LAST_PORT = 65_535
MAX_REPORT_SAMPLES = 100
_RUNNING = "running"
_FROZEN = "frozen"


class StartError(Exception):
    """The simulator cannot start; the message is one line for a person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """
    What to run.

    Attributes:
        host: Where to listen.
        port: There; 0 for any free one.
        start: The clock's first instant in epoch seconds; None where nobody said one.
        frozen: Whether the clock stands; None where nobody said it.
        latency_seconds: How long a meter event's answer is held back.
        rules: What the simulator is like.
        state: The file of the state; None for memory alone.
        grace: The grace period of draft invoices, as typed.
        grace_rules: Those of some invoices, as typed.
        report_samples: Sample errors of each kind in a report.
        faults: The file of the plan of faults.
        fault_rate: The share of requests that drawn faults hit; None for none.
        fault_seed: What they are drawn by.
        notes: What to say at the start, a line each.
    """

    host: str
    port: int
    start: float | None
    frozen: bool | None
    latency_seconds: float
    rules: Rules
    state: Path | None
    grace: str | None
    grace_rules: tuple[str, ...]
    report_samples: int
    faults: Path | None
    fault_rate: float | None
    fault_seed: int | None
    notes: tuple[str, ...]


def check(options: Options) -> Plan:
    """
    Check the options and read the seed files.

    Raises:
        StartError: One of them is not understood.
    """
    _check_numbers(options)
    if options.key is not None and not is_key(options.key):
        raise StartError(f"--key starts with one of {', '.join(KEY_PREFIXES)}")
    start, frozen = _clock(options)
    try:
        seeds = read_seeds(options.seed_from, options.seed_customers)
    except ValueError as failure:
        raise StartError(str(failure)) from None
    return Plan(
        host=options.host,
        port=options.port,
        start=start,
        frozen=frozen,
        latency_seconds=_seconds(options.latency, "--latency"),
        rules=_rules(options, seeds),
        state=options.state,
        grace=options.grace,
        grace_rules=options.grace_rule,
        report_samples=options.report_samples,
        faults=options.faults,
        fault_rate=options.fault_rate,
        fault_seed=options.fault_seed,
        notes=_notes(options, seeds),
    )


def is_loopback(host: str) -> bool:
    """Tell whether a host name or address can only be reached from this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _check_numbers(options: Options) -> None:
    if not 0 <= options.port <= LAST_PORT:
        raise StartError(f"--port lies between 0 and {LAST_PORT}")
    if options.limit is not None and options.limit < 1:
        raise StartError("--limit is a number of calls per second, at least 1")
    if not 0 <= options.report_samples <= MAX_REPORT_SAMPLES:
        raise StartError(f"--report-samples lies between 0 and {MAX_REPORT_SAMPLES}")
    if options.fault_rate is not None and not 0 <= options.fault_rate <= 1:  # NaN is outside too
        raise StartError("--fault-rate is a share of the requests, between 0 and 1")


def _clock(options: Options) -> tuple[float | None, bool | None]:
    """Return the first instant and whether the clock stands, as far as somebody said them."""
    if options.freeze and options.clock == _RUNNING:
        raise StartError("--clock running and --freeze contradict each other")
    match options.clock:
        case None:
            return None, options.freeze or None
        case str(word) if word in (_RUNNING, _FROZEN):
            return None, options.freeze or word == _FROZEN
        case text:
            try:
                return parse_instant(text), options.freeze
            except ValueError as failure:
                raise StartError(f"--clock: {failure}; or {_RUNNING}, or {_FROZEN}") from None


def _seconds(text: str | None, option: str) -> float:
    try:
        return 0.0 if text is None else parse_duration(text)
    except ValueError as failure:
        raise StartError(f"{option}: {failure}") from None


def _rules(options: Options, seeds: Seeds) -> Rules:
    return Rules(
        only_key=options.key,
        known_customers_only=options.known_customers_only,
        events_per_second=options.limit,
        limits=options.limits,
        lag_seconds=_seconds(options.lag, "--lag"),
        readings=options.readings,
        seeds=seeds.meters,
        customer_seeds=seeds.customers,
    )


def _notes(options: Options, seeds: Seeds) -> tuple[str, ...]:
    notes = [f"{note}, in every account from its first call on" for note in seeds.notes]
    if options.faults is not None:
        notes.append(f"faults are planned by {options.faults}")
    if options.fault_rate:
        notes.append(f"faults hit {options.fault_rate:.4g} of the requests, by seed {options.fault_seed}")
    return tuple(notes)
