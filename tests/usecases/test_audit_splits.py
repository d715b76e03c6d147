"""The audit does not depend on how usage was cut into files, or its delivery into pushes."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

from hypothesis import given, settings
from hypothesis import strategies as st

from meterledger.config import Source
from meterledger.domain.delivery import Outcome, Result, verdict
from meterledger.domain.instant import DAY, HOUR, MINUTE, SECOND, Instant, parse_instant, to_text
from meterledger.domain.meter_event import UsageToSeal, seal
from meterledger.ledger.lease import Holder
from meterledger.ledger.outbox import Finished
from meterledger.usecases.audit import AuditOptions, audit
from meterledger.usecases.import_usage import ImportOptions, import_usage
from support.delivered_ledger import LedgerBuilder, ledger_builder
from support.properties import steady

END = parse_instant("2026-11-01T00:00:00Z")
NOWS = (END - 2 * HOUR, END + 50 * MINUTE, END + 2 * HOUR, END + 10 * DAY)
HEADER = "request_id,customer_id,feature,quantity,event_time,received_at"
few = settings(steady, max_examples=12)


@dataclass(frozen=True, slots=True)
class Batch:
    """Usage that comes in at one instant, and the instant of the push that takes it, if any does."""

    rows: tuple[str, ...]
    imported_at: Instant
    pushed_at: Instant | None


def is_written(
    number: int, at: Instant, received: int | None, units: int, customer: str, feature: str
) -> str:
    """Return a row of a file."""
    quantity = f"{units // 100}.{units % 100:02d}" if feature == "api_calls" else str(units)
    came = "" if received is None else to_text(at + received)
    return f"r{number},{customer},{feature},{quantity},{to_text(at)},{came}"


@st.composite
def batches(draw: st.DrawFn) -> list[Batch]:
    """Return batches of usage around a month's end, the first of them of the source's first import."""
    found: list[Batch] = []
    number = 0
    for start in (END - 6 * DAY, END - DAY, END - 3 * HOUR, END + 30 * MINUTE):
        rows = []
        for back, received, units, customer, feature in draw(st.lists(_USAGE, min_size=2, max_size=9)):
            number += 1
            rows.append(is_written(number, start - back * MINUTE, received, units, customer, feature))
        late = draw(st.sampled_from([0, 10 * MINUTE, 25 * MINUTE, 3 * HOUR, None]))
        found.append(Batch(tuple(rows), start, None if late is None else start + late))
    return found


_USAGE = st.tuples(
    st.integers(0, 40 * 60),
    st.none() | st.integers(0, HOUR),
    st.integers(1, 100_000),
    st.sampled_from(["cus_a", "cus_b", "cus_c", "acme"]),
    st.sampled_from(["api_calls", "api_calls", "seats"]),
)
_CUTS = st.lists(st.integers(1, 8), max_size=3, unique=True)


_T = TypeVar("_T")


def cut(whole: Sequence[_T], at: Sequence[int]) -> list[Sequence[_T]]:
    """Return the parts of a sequence, none of them empty."""
    edges = sorted({0, len(whole), *(one for one in at if one < len(whole))})
    return [whole[start:end] for start, end in pairwise(edges)]


def audits_after(
    found: Sequence[Batch], *, files: Sequence[int], pushes: Sequence[int], together: bool
) -> list[str]:
    """Return all that audits say after batches came in in files, and went out in pushes, cut like this."""
    with tempfile.TemporaryDirectory() as name, ledger_builder(Path(name)) as built:
        token = built.ledger.lease.take(Holder(host="test", pid=1, process_started=""), None, END - 7 * DAY)
        with built.ledger.database.transaction():
            for batch in found:
                parts = [written(Path(name), rows) for rows in cut(batch.rows, files)]
                # Only what one command reads is all of a source's first import.
                is_first = batch is found[0]
                for part in [parts] if together or is_first else [[one] for one in parts]:
                    imported(built, part, batch.imported_at)
                if batch.pushed_at is not None:
                    waiting = [one for one in built.ledger.unsealed.all() if one.customer_id != "acme"]
                    for usage in cut(waiting, pushes) if waiting else [[]]:
                        pushed(built, usage, token, batch.pushed_at)
        return [
            repr(audit(built.ledger, built.settings, options, now=now))
            for now in NOWS
            for options in (
                AuditOptions(as_of=True),
                AuditOptions(as_of=True, by_source=True, by_customer=True),
            )
        ]


def written(folder: Path, rows: Sequence[str]) -> str:
    """Write a file, and return its path."""
    path = folder / f"{rows[0].split(',')[0]}.csv"
    path.write_text("".join(f"{row}\n" for row in (HEADER, *rows)))
    return str(path)


def imported(built: LedgerBuilder, files: Sequence[str], now: Instant) -> None:
    """Import files by one command, at one instant."""
    options = ImportOptions(files=files, source=Source(name="gateway"))
    report = import_usage(built.ledger, built.settings, options, clock=lambda: now)
    assert (report.counts.rejected, report.counts.conflicts, len(report.failed)) == (0, 0, 0)


def pushed(built: LedgerBuilder, waiting: Sequence[UsageToSeal], token: int, now: Instant) -> None:
    """Deliver usage by one push, accepted two seconds after it began."""
    outbox, catalogue = built.ledger.outbox, built.settings.catalogue
    push = outbox.begin_push("v1", "test", token, now)
    sealed = [
        (one, seal(one, meter, one.customer_id))
        for one in waiting
        if (meter := catalogue.meter_of(one.feature))
    ]
    outcome = Outcome(result=Result.ACCEPTED, at=now + 2 * SECOND, answered=True, created=now + SECOND)
    claims = outbox.claim_new(sealed, push=push, token=token, now=now)
    judged = verdict([], now, outcome)
    outbox.finish([Finished(claimed=one, outcome=outcome, verdict=judged) for one in claims], outcome.at)
    outbox.finish_push(push, outcome.at)


@few
@given(found=batches(), files=_CUTS, together=st.booleans())
def test_how_usage_is_cut_into_files_changes_nothing(
    found: list[Batch], files: list[int], *, together: bool
) -> None:
    """The same rows of a source at the same instants, in one file or several, by one command or several."""
    whole = audits_after(found, files=[], pushes=[], together=True)
    assert audits_after(found, files=files, pushes=[], together=together) == whole


@few
@given(found=batches(), pushes=_CUTS)
def test_how_a_delivery_is_cut_into_pushes_changes_nothing(found: list[Batch], pushes: list[int]) -> None:
    """The same meter events at the same instants, sent by one push or by several."""
    whole = audits_after(found, files=[], pushes=[], together=True)
    assert audits_after(found, files=[], pushes=pushes, together=True) == whole
