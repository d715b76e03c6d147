"""The simulator's options, in one table: both command lines and their help are made from it."""

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from meterledger.simulator.protocol.rate_limit import Limits
from meterledger.simulator.rules import REPORT_SAMPLES, Readings

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 12111


class Panel(StrEnum):
    """Under which heading the help shows an option."""

    LISTENING = "Listening"
    CLOCK = "Clock"
    RULES = "Rules"
    FAULTS = "Faults"
    STATE = "State"
    OPEN = "Where Stripe leaves it open"


def _told(panel: Panel, metavar: str | None, text: str) -> Mapping[str, object]:
    return {"panel": panel, "metavar": metavar, "help": text}


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What was typed on the command line: each field is an option, and so is each field of the readings."""

    host: str = field(
        default=DEFAULT_HOST, metadata=_told(Panel.LISTENING, "ADDRESS", "Address to listen on.")
    )
    port: int = field(
        default=DEFAULT_PORT, metadata=_told(Panel.LISTENING, "N", "Port to listen on; 0 takes any free one.")
    )
    clock: str | None = field(
        default=None,
        metadata=_told(
            Panel.CLOCK,
            "INSTANT",
            "Start at this instant, e.g. 2026-11-01T00:00:00Z, and run from there; or one of the words "
            "running and frozen.",
        ),
    )
    freeze: bool = field(default=False, metadata=_told(Panel.CLOCK, None, "Let the clock stand still."))
    key: str | None = field(
        default=None, metadata=_told(Panel.RULES, "KEY", "Accept this API key only, to rehearse a wrong one.")
    )
    known_customers_only: bool = field(
        default=False, metadata=_told(Panel.RULES, None, "Refuse usage of customers that were not made here.")
    )
    limits: Limits | None = field(
        default=None, metadata=_told(Panel.RULES, None, "Keep Stripe's rate limits, of live or of test mode.")
    )
    limit: int | None = field(
        default=None,
        metadata=_told(
            Panel.RULES, "N", "Meter-event calls per second and account, as a limit of its own; above, 429."
        ),
    )
    lag: str | None = field(
        default=None,
        metadata=_told(
            Panel.RULES, "SPAN", "How long after its receipt an event shows in summaries, e.g. 30s."
        ),
    )
    grace: str | None = field(
        default=None,
        metadata=_told(
            Panel.RULES, "SPAN", "How long draft invoices wait before they are finalized, e.g. 24h."
        ),
    )
    grace_rule: tuple[str, ...] = field(
        default=(),
        metadata=_told(
            Panel.RULES, "RULE", "A grace period of its own for some invoices; can be given again."
        ),
    )
    report_samples: int = field(
        default=REPORT_SAMPLES,
        metadata=_told(Panel.RULES, "N", "Sample errors that an asynchronous report shows of each kind."),
    )
    latency: str | None = field(
        default=None,
        metadata=_told(Panel.FAULTS, "SPAN", "Hold back the answer to each meter event, e.g. 20ms."),
    )
    faults: Path | None = field(
        default=None, metadata=_told(Panel.FAULTS, "FILE", "Let happen what this plan of faults says.")
    )
    fault_rate: float | None = field(
        default=None,
        metadata=_told(
            Panel.FAULTS,
            "SHARE",
            "Let a fault hit this share of the meter-event requests, 0 to 1, drawn by the seed.",
        ),
    )
    fault_seed: int | None = field(
        default=None,
        metadata=_told(Panel.FAULTS, "N", "What drawn faults are drawn by: the same seed, the same faults."),
    )
    state: Path | None = field(
        default=None, metadata=_told(Panel.STATE, "FILE", "Keep the state in this file, over restarts.")
    )
    seed_from: Path | None = field(
        default=None,
        metadata=_told(
            Panel.STATE,
            "FILE",
            "Make the meters of this meterledger.toml, and the customers of a customers.csv or "
            "customers.jsonl beside it.",
        ),
    )
    seed_customers: Path | None = field(
        default=None, metadata=_told(Panel.STATE, "FILE", "Make the customers of this customers file.")
    )
    readings: Readings = field(default_factory=Readings)


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """
    An option as a command line offers it.

    Attributes:
        name: Of the field.
        kind: Of its value: str, int, float, bool, Path or a Literal.
        default: Its value where it is not given.
        repeatable: Whether it can be given again; the value is then a sequence of the kind.
        panel: Its heading.
        metavar: What stands for the value in the help.
        text: Its help.
    """

    name: str
    kind: Any
    default: object
    repeatable: bool
    panel: Panel
    metavar: str | None
    text: str

    @property
    def spelled(self) -> str:
        """The option as it is typed."""
        return f"--{self.name.replace('_', '-')}"

    @property
    def choices(self) -> tuple[str, ...]:
        """The words it takes; none where it takes any."""
        return get_args(self.kind) if get_origin(self.kind) is Literal else ()


def flags() -> Iterator[Flag]:
    """Yield every option, in the order of the help."""
    for kind in (Options, Readings):
        hints = get_type_hints(kind)
        for found in fields(kind):
            if found.default is not MISSING:
                yield _flag(found, hints[found.name])


def read_options(given: Mapping[str, Any]) -> Options:
    """Return the options of a command line that gave each of the flags a value, by name."""
    readings = {found.name: given[found.name] for found in fields(Readings)}
    own = {name: value for name, value in given.items() if name not in readings}
    own["grace_rule"] = tuple(own["grace_rule"] or ())
    return Options(readings=Readings(**readings), **own)


def _flag(found: Field[Any], hint: Any) -> Flag:
    repeatable = get_origin(hint) is tuple
    kinds = [kind for kind in get_args(hint) if kind not in (NoneType, ...)]
    is_plain = isinstance(hint, type) and not repeatable
    return Flag(
        name=found.name,
        kind=hint if is_plain or get_origin(hint) is Literal else kinds[0],
        default=found.default,
        repeatable=repeatable,
        panel=found.metadata.get("panel", Panel.OPEN),
        metavar=found.metadata.get("metavar"),
        text=found.metadata["help"],
    )
