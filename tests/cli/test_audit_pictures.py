"""The audit's pictures in a terminal, as somebody last read them."""

import os
from pathlib import Path

import pytest

from meterledger.cli.audit_pictures import WIDTH, bar_lengths, print_pictures
from meterledger.cli.audit_table import print_audit
from meterledger.domain.lateness import BIN_EDGES, DelaySummary, Landing
from meterledger.domain.quantity import ZERO
from meterledger.usecases.audit_answer import Amount, Audit, AuditOptions, DelayLine, SourceAmounts

GOLDEN = Path(__file__).parent / "golden" / "audit-pictures.txt"


def line(source: str, bins: dict[int, int], event_name: str | None = "api_requests") -> DelayLine:
    """Return ingestion delays: how many by the bin's edge in seconds, 0 for beyond."""
    counts = [bins.get(edge, 0) for edge in (*BIN_EDGES, 0)]
    return DelayLine(
        source=source,
        event_name=event_name,
        kind="ingestion",
        summary=DelaySummary(count=sum(counts), p50=1, p90=1, p99=1, max=1),
        histogram=counts,
    )


def amounts(source: str, landed: int, waiting: int, at_risk: int, missed: int) -> SourceAmounts:
    """Return where usage of a source stands."""
    counts = zip(Landing, (landed, waiting, at_risk, missed), strict=True)
    return SourceAmounts(
        source=source,
        event_name="api_requests",
        amounts={where: Amount(count, ZERO) for where, count in counts},
    )


def month_end(grace_period: int = 3600) -> Audit:
    """Return an audit of four sources: on time, late, hostile, and with too little to see."""
    return Audit(
        as_of=0,
        grace_period=grace_period,
        delays=[
            line("gateway", {60: 1_200_000, 900: 30_000, 3600: 12}),
            line("batch", {24 * 3600: 900, 48 * 3600: 100, 0: 1}, None),
            line("evil\x1b[2J\n[red]\u202e" + "x" * 90, {7200: 40}),
            line("tiny", {60: 19}),
        ],
        sources=[
            amounts("gateway", 1_230_000, 12, 0, 0),
            amounts("batch", 500, 200, 200, 101),
            amounts("evil\x1b[2J\n[red]\u202e" + "x" * 90, 0, 0, 0, 40),
            amounts("tiny", 19, 0, 0, 0),
        ],
    )


def printed(capsys: pytest.CaptureFixture[str], result: Audit) -> str:
    """Return the pictures as a pipe gets them."""
    print_pictures(result)
    return capsys.readouterr().out


def test_the_pictures_are_as_kept(capsys: pytest.CaptureFixture[str]) -> None:
    """Histograms with the line of the grace period, a bar for each source, names escaped and cut."""
    shown = printed(capsys, month_end())
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.write_text(shown)
    assert shown == GOLDEN.read_text()


@pytest.mark.parametrize("grace_period", [1, 3600, 5400, 72 * 3600, 30 * 86_400])
def test_they_are_plain_and_fit_80_columns(capsys: pytest.CaptureFixture[str], grace_period: int) -> None:
    """No line is longer, and each character is one that every terminal and mail has."""
    shown = printed(capsys, month_end(grace_period))
    assert max(map(len, shown.splitlines())) <= WIDTH
    assert all(character == "\n" or character.isprintable() for character in shown)
    assert shown.isascii()
    assert shown.count("-- grace period") == 3


def test_a_grace_period_between_two_edges_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    """90 minutes lie within the line to 2 h."""
    assert "grace period 1h 30m, within the next line" in printed(capsys, month_end(5400))


def test_little_usage_has_no_picture(capsys: pytest.CaptureFixture[str]) -> None:
    """Under 20 usage events the figures above say it all."""
    result = Audit(
        as_of=0, grace_period=3600, delays=[line("tiny", {60: 19})], sources=[amounts("tiny", 19, 0, 0, 0)]
    )
    assert printed(capsys, result) == ""


def test_quiet_leaves_them_out(capsys: pytest.CaptureFixture[str]) -> None:
    """--quiet is for cron: the figures, no pictures."""
    print_audit(month_end(), AuditOptions(), quiet=False)
    assert "# landed" in capsys.readouterr().out
    print_audit(month_end(), AuditOptions(), quiet=True)
    assert "# landed" not in capsys.readouterr().out


@pytest.mark.parametrize("parts", [(1, 0, 0, 0), (10**9, 1, 1, 1), (5, 5, 5, 5), (0, 0, 3, 1), (1, 2, 3, 94)])
def test_a_bar_is_filled_and_hides_nothing(parts: tuple[int, ...]) -> None:
    """One missed usage event of a billion is seen; what is not there takes no place."""
    lengths = bar_lengths(parts, 30)
    assert sum(lengths) == 30
    assert [length > 0 for length in lengths] == [part > 0 for part in parts]
