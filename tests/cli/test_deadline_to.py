"""`deadline extend --to`: an instant that four drafts get once, however often it is asked for."""

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from meterledger.domain.instant import DAY
from meterledger.errors import ExitCode
from support.meddling_proxy import Meddling, MeddlingProxy
from support.played_month import END, PlayedMonth, Used, played_month

INSTANT = "2026-11-01T07:00:00Z"
WAIT_SECONDS = 20.0
EXTEND = ("deadline", "extend", "--all-at-risk", "--format", "json", "--yes")


@pytest.fixture
def month(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[PlayedMonth]:
    """Return October billed for four customers, usage of each unsent, half an hour before the deadline."""
    with played_month(tmp_path, monkeypatch, capsys) as played:
        for _ in range(4):
            customer = played.subscribe().customer
            assert isinstance(customer, str)
            played.usage.append(Used("punctual", customer, END - DAY, END - DAY, 5))
        played.import_arrived("2026-11-01T00:30:00Z")
        yield played


def deadlines(month: PlayedMonth) -> set[int]:
    """Return the deadlines of the drafts, as Stripe has them, in hours after the month's end."""
    invoices = month.invoices().values()
    return {((one.automatically_finalizes_at or 0) - END // 1_000_000) // 3600 for one in invoices}


def test_all_drafts_get_the_instant_and_their_usage(month: PlayedMonth) -> None:
    """A dry run says so, the command does it, and what is pushed before it is on the invoices."""
    planned = month.done(*EXTEND, "--to", INSTANT, "--dry-run").document
    assert (planned["to"], planned["by_seconds"], planned["extended"]) == (INSTANT, None, 0)
    assert {(one["to"], one["result"]) for one in planned["drafts"]} == {(INSTANT, "planned")}
    assert deadlines(month) == {1}
    assert month.done(*EXTEND, "--to", INSTANT).document["extended"] == 4
    month.push("2026-11-01T06:30:00Z")
    month.set_clock("2026-11-01T07:00:01Z")
    assert list(month.billed().values()) == [5, 5, 5, 5]
    month.done("customers", "pull")
    month.done("verify")


def test_stopped_midway_and_run_again_each_gets_it_once(month: PlayedMonth) -> None:
    """Two were refused with an answer, which settles them; the others are left alone by the next run."""
    fault = {"kind": "server_error", "on": "invoices", "method": "POST", "skip": 2, "times": 0}
    month.desk.simulator.set_faults(fault)
    first = month.run(*EXTEND, "--to", INSTANT)
    assert first.code == ExitCode.NEEDS_A_PERSON
    assert [one["result"] for one in first.document["drafts"]] == ["extended"] * 2 + ["refused"] * 2
    assert deadlines(month) == {1, 7}
    month.desk.simulator.set_faults()
    # Under the keys that Stripe knows it repeats its 500; the next attempt takes others.
    month.run(*EXTEND, "--to", INSTANT)
    month.set_clock("2026-11-01T00:45:00Z")
    again = month.done(*EXTEND, "--to", INSTANT).document["drafts"]
    assert sorted(one["result"] for one in again) == ["extended"] * 2 + ["unneeded"] * 2
    assert {one["message"] for one in again} == {"", "its deadline is there already, or later"}
    assert deadlines(month) == {7}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "--to INSTANT"),
        (("--to", INSTANT, "--by", "6h"), "--to INSTANT"),
        (("--to", "2026-11-01T00:30:00Z"), "is over"),
        (("--to", "tomorrow"), "no instant"),
    ],
)
def test_what_is_not_said_well_moves_nothing(
    month: PlayedMonth, arguments: tuple[str, ...], says: str
) -> None:
    """One of both, and an instant that is ahead; else exit code 2."""
    ran = month.run(*EXTEND, *arguments)
    assert ran.code == ExitCode.USAGE
    assert says in ran.document["message"]
    assert deadlines(month) == {1}


def test_as_a_table_it_says_who_has_it_already(month: PlayedMonth) -> None:
    """And as CSV, with the reason."""
    month.done(*EXTEND, "--to", INSTANT)
    table = month.done("deadline", "extend", "--all-at-risk", "--yes", "--to", INSTANT)
    assert table.out.count("unneeded") == 4
    csv = month.done("deadline", "extend", "--all-at-risk", "--yes", "--format", "csv", "--to", INSTANT)
    assert csv.out.count("there already, or later") == 4


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("how_long", [("--by", "6h"), ("--to", INSTANT)], ids=["by", "to"])
def test_a_signal_midway_is_told_and_gone_on_with(
    month: PlayedMonth, number: signal.Signals, how_long: tuple[str, str]
) -> None:
    """Exit code 130, with what was moved, what is not known, and the command that gives nobody more."""
    fault = {"kind": "slow", "on": "invoices", "method": "POST", "skip": 1, "delay": "5s"}
    month.desk.simulator.set_faults(fault)
    command = [sys.executable, "-m", "meterledger", *EXTEND, *how_long]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        until = time.monotonic() + WAIT_SECONDS
        while not month.desk.simulator.faults()["log"] and time.monotonic() < until:
            time.sleep(0.05)
        process.send_signal(number)
        out, err = process.communicate(timeout=WAIT_SECONDS)
    assert process.returncode == ExitCode.INTERRUPTED, err
    told = json.loads(out)
    assert (told["schema"], told["code"]) == ("meterledger.error/1", ExitCode.INTERRUPTED)
    assert [one["result"] for one in told["drafts"]] == ["extended", "unknown", "planned", "planned"]
    first, second = (one["invoice_id"] for one in told["drafts"][:2])
    assert f"1 draft moved: {first}; not known of 1 draft: {second}; 2 drafts not moved: in_" in err
    assert err.count("interrupted") == 1
    assert "run the same command again" in told["hint"]
    assert how_long[0] == "--to" or f"--to {INSTANT} in place of --by" in told["hint"]
    again = month.done(*EXTEND, "--to", INSTANT).document["drafts"]
    assert sorted(one["result"] for one in again) == ["extended"] * 2 + ["unneeded"] * 2
    assert deadlines(month) == {7}
    month.done("verify")


def test_a_draft_of_another_form_is_named_and_the_others_are_moved(
    month: PlayedMonth, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 1: which one and what is wrong with it, and no word on the key's rights."""
    name = sorted(month.drafts().values())[1]

    def odd(body: bytes) -> bytes:
        at = max(body.find(name.encode()), 0)
        return body[:at] + re.sub(rb'("status": ?")draft', rb"\1DRAFT", body[at:], count=1)

    with MeddlingProxy(month.desk.simulator.url) as proxy:
        monkeypatch.setenv("STRIPE_API_BASE", proxy.url)
        proxy.meddle = lambda request: (
            Meddling(change=odd) if request.target.startswith("/v1/invoices?") else None
        )
        ran = month.run(*EXTEND, "--to", INSTANT)
    assert ran.code == ExitCode.NEEDS_A_PERSON
    (warning,) = ran.document["warnings"]
    assert warning.endswith(f"are left out: {name} could not be read: status not as Stripe writes it")
    assert "allowed" not in ran.err
    assert [one["result"] for one in ran.document["drafts"]] == ["extended"] * 3
    assert deadlines(month) == {1, 7}
