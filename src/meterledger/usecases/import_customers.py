"""Customers import: what a customers file says of who is billed, into the ledger, whole or not at all."""

from bisect import bisect_right
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from operator import itemgetter

from meterledger import __version__
from meterledger.config import Settings
from meterledger.domain.customer_row import (
    CUSTOMER_FIELDS,
    REQUIRED_CUSTOMER_FIELDS,
    CustomerReason,
    CustomerRow,
    CustomerRowError,
    read_customer_row,
)
from meterledger.domain.customers import SINCE_EVER, CustomerState
from meterledger.domain.instant import Instant
from meterledger.domain.usage import shown
from meterledger.errors import InputError
from meterledger.ledger import Ledger
from meterledger.ledger.customers import CustomerFile, NewState, RecordedState
from meterledger.readers import InputFile, InputFormat, RawRow, RowProblem, Wanted, open_input, read_rows

_Key = tuple[str, str]
"""customer_id and subscription_id."""

_Known = dict[_Key, list[tuple[Instant, CustomerState]]]
"""What is known of each subscription and since when, in the order in which it holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomersOptions:
    """What the user asked for; ``effective`` is since when changes hold, None for now."""

    files: Sequence[str]
    input_format: InputFormat | None = None
    effective: Instant | None = None
    dry_run: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Why a row is refused, and with it the whole command."""

    file: str
    line: int
    reason: str
    message: str


@dataclass(slots=True, kw_only=True)
class CustomersReport:
    """What became of the rows; without problems rows_read = added + changed + unchanged."""

    committed: bool = False
    rows_read: int = 0
    added: int = 0
    changed: int = 0
    unchanged: int = 0
    absent: int = 0
    """Known subscriptions that no row names: what was known of them keeps holding."""
    effective: Instant | None = None
    """Since when changes hold, unless a row says it itself."""
    until_later: int = 0
    """Changes that hold only until a later state which the ledger has already."""
    problems: list[Problem] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Read:
    """One row and where it stands."""

    file: str
    line: int
    row: CustomerRow

    @property
    def key(self) -> _Key:
        return self.row.state.customer_id, self.row.state.subscription_id


def import_customers(
    ledger: Ledger, settings: Settings, options: CustomersOptions, *, clock: Callable[[], Instant]
) -> CustomersReport:
    """
    Read customers files into the ledger; nothing is taken if any row of any of them is bad.

    Raises:
        InputError: A file is missing, unreadable, of another format, or lacks a column or any row.
    """
    report = CustomersReport()
    files: list[tuple[CustomerFile, list[_Read]]] = []
    seen: dict[_Key, _Read] = {}
    for name in options.files:
        with open_input(name, options.input_format) as file:
            before = report.rows_read
            rows = list(_new_of(_checked(file, settings.plans, report), seen, report))
            files.append((_kept(file, report.rows_read - before), rows))
    if report.problems:
        return report
    database = ledger.database
    with database.snapshot() if options.dry_run else database.transaction():
        now = clock()
        report.effective = now if options.effective is None else options.effective
        known = _known(ledger)
        report.absent = len(known.keys() - seen.keys())
        for kept, rows in files:
            new = list(_compared(rows, known, report.effective, report))
            if new and not options.dry_run:
                ledger.customers.record(kept, new, now)
    report.committed = not options.dry_run
    return report


def _checked(file: InputFile, plans: Collection[str], report: CustomersReport) -> Iterator[_Read]:
    """Yield the good rows of a file, and add the others to the problems."""
    rows = _rows(file)
    for line, values, _ in rows:
        report.rows_read += 1
        if isinstance(values, RowProblem):
            report.problems.append(
                Problem(file=file.name, line=line, reason=values.reason.value, message=values.message)
            )
            continue
        try:
            yield _Read(file.name, line, read_customer_row(values, plans))
        except CustomerRowError as error:
            report.problems.append(
                Problem(file=file.name, line=line, reason=error.reason.value, message=error.message)
            )


def _rows(file: InputFile) -> Iterator[RawRow]:
    rows = read_rows(file, Wanted(CUSTOMER_FIELDS, {name: name for name in REQUIRED_CUSTOMER_FIELDS}))
    try:
        first = next(rows, None)
    except InputError as error:
        raise InputError(
            error.message, hint=f"the columns of a customers file are {', '.join(CUSTOMER_FIELDS)}"
        ) from error
    if first is None:
        # It would make every customer unknown.
        raise InputError(f"{file.name} holds no customers", hint="name a file that has a row for each")
    yield first
    yield from rows


def _new_of(rows: Iterator[_Read], seen: dict[_Key, _Read], report: CustomersReport) -> Iterator[_Read]:
    """Yield the rows of customers not seen before; what comes again must say the same."""
    for read in rows:
        before = seen.setdefault(read.key, read)
        if before is read:
            yield read
        elif before.row == read.row:
            report.unchanged += 1
        else:
            report.problems.append(
                Problem(
                    file=read.file,
                    line=read.line,
                    reason=CustomerReason.CONTRADICTION.value,
                    message=f"{_named(read.key)} stands on {before.file}:{before.line} with another "
                    f"{_difference(before.row, read.row)}; leave one of the two",
                )
            )


def _named(key: _Key) -> str:
    customer_id, subscription_id = key
    of = f" with subscription {shown(subscription_id)}" if subscription_id else " without subscription"
    return f"customer_id {shown(customer_id)}{of}"


def _difference(before: CustomerRow, now: CustomerRow) -> str:
    """Name the fields in which two rows differ."""
    names = [name for name in CUSTOMER_FIELDS[:-1] if getattr(before.state, name) != getattr(now.state, name)]
    return " and ".join(names + ["effective_at"] * (before.effective_at != now.effective_at))


def _kept(file: InputFile, rows_read: int) -> CustomerFile:
    return CustomerFile(
        file=file.name,
        sha256=file.sha256,
        size_bytes=file.size_bytes,
        input_format=file.input_format.value,
        program_version=__version__,
        rows_read=rows_read,
    )


def _known(ledger: Ledger) -> _Known:
    known: _Known = {}
    for recorded in ledger.customers.states():
        key = recorded.state.customer_id, recorded.state.subscription_id
        known.setdefault(key, []).append((since(recorded), recorded.state))
    for states in known.values():
        states.sort(key=itemgetter(0))
    return known


def since(recorded: RecordedState) -> Instant:
    """Return since when a state holds, as a number that can be compared."""
    return SINCE_EVER if recorded.effective_at is None else recorded.effective_at


def _compared(
    rows: list[_Read], known: _Known, effective: Instant, report: CustomersReport
) -> Iterator[NewState]:
    """Yield what is new: the first state of a subscription, and what differs from what holds then."""
    for read in rows:
        states = known.get(read.key)
        at = read.row.effective_at
        if states is None:
            report.added += 1
            yield NewState(state=read.row.state, effective_at=at, line=read.line)
            continue
        at = effective if at is None else at
        position = bisect_right(states, at, key=itemgetter(0))
        holding: CustomerState | None = states[position - 1][1] if position else None
        if holding == read.row.state:
            report.unchanged += 1
            continue
        report.changed += 1
        report.until_later += position < len(states)
        yield NewState(state=read.row.state, effective_at=at, line=read.line)
