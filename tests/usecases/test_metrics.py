"""The metrics file: Prometheus' text format to the letter, replaced whole, and readable by a collector."""

import os
import re
from pathlib import Path

import pytest

from meterledger.domain.blocking import BlockReason
from meterledger.domain.delivery import State
from meterledger.errors import UsageError
from meterledger.usecases.metrics import Figures, MetricsFile, exposition
from support.pushing import HOUR, START

_LINE = re.compile(
    r'([a-z_][a-z0-9_]*)\{((?:[a-z_]+="(?:[^"\\\n]|\\["\\n])*",?)*)\} (-?\d+(?:\.\d+)?(?:e-?\d+)?)'
)
_LABEL = re.compile(r'([a-z_]+)="((?:[^"\\\n]|\\["\\n])*)"')

FIGURES = Figures(
    up=True,
    at=START,
    last_success_at=START - HOUR,
    last_round_seconds=0.25,
    meter_events={State.ACCEPTED: 7, State.IN_DOUBT: 2},
    unsealed=3,
    pending=5,
    blocked={BlockReason.TOO_OLD: 4},
    oldest_pending_event_time=START - 90_500_000,
    accepted=7,
    requests=11,
)


def parsed(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Read the text format strictly: HELP, TYPE, then the samples of that family, nothing twice."""
    found: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
    families: list[str] = []
    assert text.endswith("\n")
    lines = iter(text.removesuffix("\n").split("\n"))
    helped = ""
    for line in lines:
        if line.startswith("# HELP "):
            helped = line.split(" ", 3)[2]
            kind = next(lines).split(" ")
            assert kind[:3] == ["#", "TYPE", helped]
            assert kind[3] == ("counter" if helped.endswith("_total") else "gauge")
            assert helped not in families
            families.append(helped)
            continue
        match = _LINE.fullmatch(line)
        assert match, line
        assert match[1] == helped
        key = (match[1], frozenset(_LABEL.findall(match[2])))
        assert key not in found
        found[key] = float(match[3])
    return found


def values(figures: Figures, **labels: str) -> dict[str, float]:
    """Return what a file tells under these labels, by name."""
    text = exposition(figures, "/l")
    wanted = frozenset({"ledger": "/l", **labels}.items())
    return {name: value for (name, has), value in parsed(text).items() if has == wanted}


def test_the_figures_stand_under_their_names() -> None:
    """Each figure can be read back; states and reasons that nothing is in are 0, not missing."""
    assert values(FIGURES) == {
        "meterledger_up": 1,
        "meterledger_heartbeat_timestamp_seconds": START / 1e6,
        "meterledger_last_success_timestamp_seconds": (START - HOUR) / 1e6,
        "meterledger_last_round_duration_seconds": 0.25,
        "meterledger_unsealed_usage_events": 3,
        "meterledger_pending": 5,
        "meterledger_oldest_pending_event_age_seconds": 90.5,
        "meterledger_sealed_total": 0,
        "meterledger_accepted_total": 7,
        "meterledger_rejected_total": 0,
        "meterledger_rejected_later_total": 0,
        "meterledger_error_reports_total": 0,
        "meterledger_requests_total": 11,
        "meterledger_rounds_total": 0,
        "meterledger_failed_rounds_total": 0,
    }
    told = {state.value: values(FIGURES, state=state.value) for state in State}
    assert told["accepted"] == {"meterledger_meter_events": 7}
    assert told["rejected"] == {"meterledger_meter_events": 0}
    reasons = {reason.value: values(FIGURES, reason=reason.value) for reason in BlockReason}
    assert reasons["too_old"] == {"meterledger_blocked_usage_events": 4}
    assert all(reasons.values())


def test_a_hostile_path_is_escaped() -> None:
    """A ledger's name cannot break out of its label."""
    path = 'a"b\\c\nmeterledger_up{} 1'
    ledgers = {dict(labels)["ledger"] for _, labels in parsed(exposition(FIGURES, path))}
    assert ledgers == {r"a\"b\\c\nmeterledger_up{} 1"}


def test_the_file_is_replaced_whole_and_can_be_read_by_others(tmp_path: Path) -> None:
    """A collector never sees half a file, nor one it may not read; nothing is left beside it."""
    file = MetricsFile(tmp_path / "m.prom", tmp_path / "l.db")
    assert file.last_success() is None
    file.write(FIGURES)
    before = (tmp_path / "m.prom").stat().st_ino
    file.write(FIGURES)
    assert (tmp_path / "m.prom").stat().st_ino != before
    assert (tmp_path / "m.prom").stat().st_mode & 0o777 == 0o644
    assert [path.name for path in tmp_path.iterdir()] == ["m.prom"]
    assert file.last_success() == START - HOUR


@pytest.mark.parametrize("name", ["missing/m.prom", "folder"])
def test_a_file_that_cannot_be_written_is_refused(tmp_path: Path, name: str) -> None:
    """Who names a folder, or a file in one that is not there, hears it before anything is sent."""
    (tmp_path / "folder").mkdir()
    file = MetricsFile(tmp_path / name, tmp_path / "l.db")
    with pytest.raises(UsageError):
        file.refuse_unwritable()
    with pytest.raises(UsageError):
        file.write(FIGURES)
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_standard_output_is_no_metrics_file(tmp_path: Path) -> None:
    """A dash names no file, and what is replaced with each round cannot be printed."""
    with pytest.raises(UsageError, match="standard output"):
        MetricsFile(Path("-"), tmp_path / "l.db").refuse_unwritable()


@pytest.mark.parametrize(
    "name", ["l.db", "l.db-wal", "l.db-shm", "l.db.head", "l.db-watch", "sub/../l.db-wal", "notes", "pipe"]
)
def test_nothing_but_a_metrics_file_is_ever_replaced(tmp_path: Path, name: str) -> None:
    """Whoever names the ledger, a file beside it, or anything else hears it, and it stays as it was."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "l.db").write_bytes(b"SQLite format 3")
    (tmp_path / "notes").write_text("mine", encoding="utf-8")
    os.mkfifo(tmp_path / "pipe")
    before = sorted(path.name for path in tmp_path.iterdir())
    with pytest.raises(UsageError, match="is no metrics file"):
        MetricsFile(tmp_path / name, tmp_path / "l.db").refuse_unwritable()
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    assert (tmp_path / "l.db").read_bytes() == b"SQLite format 3"


def test_an_empty_file_and_one_of_ours_are_replaced(tmp_path: Path) -> None:
    """A file that somebody touched before, and the one of the last run, are no obstacle."""
    file = MetricsFile(tmp_path / "m.prom", tmp_path / "l.db")
    file.path.touch()
    file.refuse_unwritable()
    file.write(FIGURES)
    file.refuse_unwritable()
