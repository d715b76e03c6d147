"""From the fields of a file, as its source names them, to usage rows in canonical order."""

from meterledger.domain.meter import Catalogue
from meterledger.domain.source import Source
from meterledger.domain.usage import CANONICAL_FIELDS, REQUIRED_FIELDS


class RowMapping:
    """What to take from each row of a source, and what it becomes."""

    def __init__(self, source: Source, catalogue: Catalogue) -> None:
        wanted = (*CANONICAL_FIELDS, *catalogue.dimension_names)
        self.names = tuple(source.columns.get(field, field) for field in wanted)
        """The fields to take, by their names in the file, in canonical order with the dimensions behind."""
        self.required = {source.columns.get(field, field): field for field in REQUIRED_FIELDS}
        """Name in the file -> required field: what the header of a file must have."""
