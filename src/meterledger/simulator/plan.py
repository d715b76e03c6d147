"""What the options mean: checked, in seconds and rules, with the seeds read."""

from dataclasses import dataclass
from pathlib import Path

from meterledger.simulator.billing.grace import GraceRules, parse_grace
from meterledger.simulator.faults.plan import NO_FAULTS, FaultPlan, with_random
from meterledger.simulator.faults.reading import is_toml, read_plan
from meterledger.simulator.instants import parse_duration, parse_instant
from meterledger.simulator.options import Options
from meterledger.simulator.protocol.api_keys import KEY_PREFIXES, is_key
from meterledger.simulator.protocol.origin import is_loopback
from meterledger.simulator.routes import PATTERNS
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
        faults: What goes wrong.
        notes: What to say at the start, a line each.
    """

    host: str
    port: int
    start: float | None
    frozen: bool | None
    latency_seconds: float
    rules: Rules
    state: Path | None
    faults: FaultPlan
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
        faults = _faults(options)
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
        faults=faults,
        notes=_notes(options, seeds, faults),
    )


def _check_numbers(options: Options) -> None:
    if not 0 <= options.port <= LAST_PORT:
        raise StartError(f"--port lies between 0 and {LAST_PORT}")
    if options.limit is not None and options.limit < 1:
        raise StartError("--limit is a number of calls per second, at least 1")
    if not 0 <= options.report_samples <= MAX_REPORT_SAMPLES:
        raise StartError(f"--report-samples lies between 0 and {MAX_REPORT_SAMPLES}")


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


def _grace(options: Options) -> GraceRules:
    try:
        return parse_grace(options.grace, options.grace_rule)
    except ValueError as failure:
        raise StartError(str(failure)) from None


def _faults(options: Options) -> FaultPlan:
    plan = NO_FAULTS
    if options.fault_seed is not None and options.faults is None and options.fault_rate is None:
        raise ValueError("--fault-seed draws nothing by itself; say --fault-rate or --faults too")
    if options.faults is not None:
        try:
            text = options.faults.read_bytes()
        except OSError as failure:
            raise ValueError(f"cannot read {options.faults}: {failure.strerror or failure}") from None
        name = options.faults.name
        plan = read_plan(text, source=str(options.faults), toml=is_toml(name), patterns=PATTERNS)
    return with_random(plan, seed=options.fault_seed, rate=options.fault_rate)


def _rules(options: Options, seeds: Seeds) -> Rules:
    return Rules(
        only_key=options.key,
        known_customers_only=options.known_customers_only,
        events_per_second=options.limit,
        limits=options.limits,
        lag_seconds=_seconds(options.lag, "--lag"),
        grace=_grace(options),
        report_samples=options.report_samples,
        readings=options.readings,
        on_loopback=is_loopback(options.host),
        seeds=seeds.meters,
        customer_seeds=seeds.customers,
    )


def _notes(options: Options, seeds: Seeds, faults: FaultPlan) -> tuple[str, ...]:
    notes = [f"{note}, in every account from its first call on" for note in seeds.notes]
    if options.faults is not None:
        notes.append(f"{len(faults.faults)} faults are planned by {options.faults}")
    if faults.random.rate:
        drawn = faults.random
        notes.append(f"faults hit {drawn.rate:.4g} of the requests to {drawn.on}, by seed {drawn.seed}")
    return tuple(notes)
