"""What decides whether a usage row is accepted: all that a process that reads a file needs to know."""

from dataclasses import dataclass, field

from meterledger.domain.customers import CustomerBook, Plans
from meterledger.domain.meter import Catalogue
from meterledger.domain.source import Source


@dataclass(frozen=True, slots=True, kw_only=True)
class RowRules:
    """The rules for the rows of one source; ``customers`` is None where no customers file was imported."""

    source: Source
    catalogue: Catalogue
    customers: CustomerBook | None = None
    plans: Plans = field(default_factory=dict)
