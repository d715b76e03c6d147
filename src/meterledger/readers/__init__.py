"""Files to rows with line numbers: knows formats, not meanings."""

from meterledger.readers.files import InputFile, open_input
from meterledger.readers.first_record import first_record
from meterledger.readers.formats import InputFormat, delimiter_of
from meterledger.readers.names import ExpandedNames, expand_names
from meterledger.readers.raw_rows import RawRow, RowProblem, Wanted
from meterledger.readers.rows import DELIMITED, Rows, read_rows

__all__ = [
    "DELIMITED",
    "ExpandedNames",
    "InputFile",
    "InputFormat",
    "RawRow",
    "RowProblem",
    "Rows",
    "Wanted",
    "delimiter_of",
    "expand_names",
    "first_record",
    "open_input",
    "read_rows",
]
