"""Meters as the account declares them, and where a config contradicts them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from meterledger.domain.meter import Aggregation, Meter


class MeterProblem(StrEnum):
    """What is wrong between a meter of the config and the account."""

    MISSING = "missing"
    INACTIVE = "inactive"
    AGGREGATION = "aggregation"
    EVENT_TIME_WINDOW = "event_time_window"
    CUSTOMER_KEY = "customer_key"
    VALUE_KEY = "value_key"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredMeter:
    """A meter of the account, in the words of the config; a part that Stripe did not tell is None."""

    event_name: str
    aggregation: str | None
    event_time_window: str | None
    customer_key: str | None
    value_key: str | None
    active: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterFinding:
    """One problem of one meter of the config: what the config says and what Stripe says."""

    event_name: str
    problem: MeterProblem
    config: str
    stripe: str

    @property
    def contradicts(self) -> bool:
        """Whether both know the meter and understand it differently: usage would be billed wrongly."""
        return self.problem not in (MeterProblem.MISSING, MeterProblem.INACTIVE)

    @property
    def message(self) -> str:
        """Return what is wrong and what to change."""
        match self.problem:
            case MeterProblem.MISSING:
                return "the account has no meter of this event_name: make it in Stripe, or mend the name"
            case MeterProblem.INACTIVE:
                return "the meter is inactive in Stripe: reactivate it there, or take it out of the config"
            case _:
                return (
                    f"the config says {self.problem} = {self.config}, Stripe's meter has {self.stripe}: "
                    "change the config; in Stripe it cannot be changed"
                )


def activity(declared: Iterable[DeclaredMeter]) -> dict[str, bool]:
    """Return event name -> whether it is active; of several meters of a name one can be."""
    found: dict[str, bool] = {}
    for meter in declared:
        found[meter.event_name] = found.get(meter.event_name, False) or meter.active
    return found


def meter_findings(meters: Iterable[Meter], declared: Sequence[DeclaredMeter]) -> list[MeterFinding]:
    """Compare the meters of a config with those of the account; in the order of the config."""
    known = activity(declared)
    active = {meter.event_name: meter for meter in declared if meter.active}
    findings = []
    for meter in meters:
        name = meter.event_name
        if name in active:
            findings += _contradictions(meter, active[name])
        else:
            problem = MeterProblem.INACTIVE if name in known else MeterProblem.MISSING
            findings.append(MeterFinding(event_name=name, problem=problem, config="", stripe=""))
    return findings


def _contradictions(meter: Meter, there: DeclaredMeter) -> list[MeterFinding]:
    pairs = [
        (MeterProblem.AGGREGATION, meter.aggregation.value, there.aggregation),
        (MeterProblem.EVENT_TIME_WINDOW, meter.event_time_window.value, there.event_time_window),
        (MeterProblem.CUSTOMER_KEY, meter.customer_key, there.customer_key),
    ]
    if meter.aggregation is not Aggregation.COUNT:  # Stripe counts events and reads no value
        pairs.append((MeterProblem.VALUE_KEY, meter.value_key, there.value_key))
    return [
        MeterFinding(event_name=meter.event_name, problem=problem, config=ours, stripe=theirs)
        for problem, ours, theirs in pairs
        if theirs is not None and ours != theirs
    ]
