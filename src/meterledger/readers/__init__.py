"""Files to rows with line numbers: knows formats, not meanings."""

from meterledger.readers.files import InputFile, InputFormat, open_input
from meterledger.readers.first_record import first_record
from meterledger.readers.rows import RawRow, RowProblem, Wanted, read_rows

__all__ = [
    "InputFile",
    "InputFormat",
    "RawRow",
    "RowProblem",
    "Wanted",
    "first_record",
    "open_input",
    "read_rows",
]
