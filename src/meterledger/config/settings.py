"""What the config says, checked: values that the rest of the program can rely on."""

import difflib
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Self

from meterledger.domain.billing_period import DEFAULT_GRACE_PERIOD
from meterledger.domain.customers import Plans
from meterledger.domain.grace import Grace, GraceRule
from meterledger.domain.instant import MINUTE
from meterledger.domain.meter import Catalogue
from meterledger.domain.preset import Preset
from meterledger.domain.source import Source, refuse_source_name, source_of_preset
from meterledger.domain.usage import shown
from meterledger.domain.way import Way
from meterledger.errors import UsageError

DEFAULT_SOURCE = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class StripeSettings:
    """How Stripe is reached."""

    api: Way = Way.V1
    """How meter events go in, unless push says otherwise."""
    account: str = ""
    """A connected account, sent as Stripe-Account."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Invoicing:
    """What decides whether usage makes its invoice; durations in microseconds."""

    grace_period: int = DEFAULT_GRACE_PERIOD
    grace_period_configured: bool = False
    grace_rules: tuple[GraceRule, ...] = ()
    calendar_periods: bool = False
    """``anchors = "calendar"``: every period is a calendar month in UTC, for certain."""
    safety_margin: int = 5 * MINUTE
    retry_time: int = 15 * MINUTE

    @property
    def grace(self) -> Grace:
        """The grace period and the rules that come before it."""
        return Grace(
            default=self.grace_period, is_configured=self.grace_period_configured, rules=self.grace_rules
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanFeature:
    """What a plan includes of a feature, and the shares of it at which it warns."""

    included: Decimal | None = None
    soft_warning: Decimal | None = None
    hard_warning: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A plan and its features."""

    name: str
    features: Mapping[str, PlanFeature]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything the config decides; ``config_path`` is None where no file was found."""

    config_path: Path | None
    ledger_path: Path
    catalogue: Catalogue
    sources: Mapping[str, Source] = field(default_factory=dict)
    plans: Mapping[str, Plan] = field(default_factory=dict)
    stripe: StripeSettings = field(default_factory=StripeSettings)
    invoicing: Invoicing = field(default_factory=Invoicing)

    @property
    def plan_features(self) -> Plans:
        """Plan -> the features it has: which usage of a customer is billed at all."""
        return {name: frozenset(plan.features) for name, plan in self.plans.items()}

    def by_way(self, way: Way | None) -> Self:
        """Return the settings with another way in, if one is named."""
        return self if way is None else replace(self, stripe=replace(self.stripe, api=way))

    def source_named(self, name: str | None, preset: Preset | None = None) -> Source:
        """
        Return a source by its name; one that the config does not have is what its preset says.

        Without a name the source is called as its preset, or ``default``. Raises UsageError if no source
        can be called so, if the name looks like a misspelt one, or if the config has it otherwise.
        """
        name = (preset.value if preset else DEFAULT_SOURCE) if name is None else name
        if name in self.sources:
            source = self.sources[name]
            if preset and source.preset is not preset:
                raise UsageError(
                    f"the config has source {name} with {source.preset or 'no preset'}, not with {preset}",
                    hint="name another --source, or leave --preset out",
                )
            return source
        try:
            refuse_source_name(name)
        except ValueError as error:
            raise UsageError(f"--source {shown(name)}: {error}") from error
        # A misspelt source would give the same usage another key, and bill it twice.
        if close := difflib.get_close_matches(name, self.sources, n=1, cutoff=0.8):
            raise UsageError(
                f"the config has no source {name}; did you mean {close[0]}?",
                hint=f"if {name} is another source, add [sources.{name}] to the config",
            )
        return source_of_preset(preset, name) if preset else Source(name=name)

    def import_digest(self, source: Source) -> str:
        """Return a digest of all that decides what a row of a source becomes."""
        facts = {
            "source": source.as_mapping(),
            "meters": sorted(
                [m.event_name, sorted(m.features), m.aggregation, m.decimal_places, sorted(m.dimensions)]
                for m in self.catalogue.meters
            ),
            "features": self.catalogue.features,
            "plans": sorted([name, sorted(features)] for name, features in self.plan_features.items()),
            "payload": sorted(
                [m.event_name, m.features[0], m.customer_key, m.value_key] for m in self.catalogue.meters
            )
            if source.has_meter_events
            else [],
        }
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
