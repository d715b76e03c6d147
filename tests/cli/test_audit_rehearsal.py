"""`meterledger audit --rehearse` as people run it: usage files and a config, no ledger and no key."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from meterledger.domain.instant import DAY, HOUR, MINUTE, SECOND, Instant, parse_instant, to_text
from support.commands import OF_OUR_OWN, Ended

BEGIN = parse_instant("2026-10-05T00:00:00Z")
CONFIG = """
[sources.workers.columns]
received_at = "seen"
[meters.api_requests]
features = ["api_calls"]
decimal_places = 1
"""


@dataclass
class Files:
    """A folder with a config and usage files; the program runs beside this process, without a key."""

    folder: Path

    def rehearse(self, *arguments: str) -> Ended:
        """Run the command."""
        environment = {name: text for name, text in os.environ.items() if not name.startswith(OF_OUR_OWN)}
        ended = subprocess.run(
            [sys.executable, "-m", "meterledger", "audit", *arguments],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert "Traceback" not in ended.stderr, ended.stderr
        assert not (self.folder / "meterledger.db").exists()
        return Ended(code=ended.returncode, out=ended.stdout, err=ended.stderr)

    def csv(self, name: str, rows: Iterable[tuple[str, Instant, Instant | None]], column: str) -> None:
        """Write a CSV file of request_id, event_time and arrival; 1.5 of each."""
        lines = [f"request_id,customer_id,feature,quantity,event_time,{column}"]
        lines += [
            f"{key},cus_a,api_calls,1.5,{to_text(at)},{'' if arrival is None else to_text(arrival)}"
            for key, at, arrival in rows
        ]
        (self.folder / name).write_text("\n".join(lines) + "\n")

    def jsonl_of_each_day(self, days: int, comes_at: int, *, modified: bool = True) -> None:
        """Write a file of 24 usage events for each day, changed last when the day had been over so long."""
        for day in range(days):
            file = self.folder / f"day{day:02}.jsonl"
            start = BEGIN + day * DAY
            rows = [
                {"request_id": f"{day}-{hour}", "customer_id": "cus_a", "feature": "api_calls",
                 "quantity": 2, "event_time": to_text(start + hour * HOUR)}
                for hour in range(24)
            ]  # fmt: skip
            file.write_text("".join(json.dumps(row) + "\n" for row in rows))
            at = (start + DAY + comes_at) // SECOND if modified else BEGIN // SECOND
            os.utime(file, (at, at))


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """Return a folder with a config."""
    (tmp_path / "meterledger.toml").write_text(CONFIG)
    return Files(tmp_path)


def hourly(days: int, delay: int) -> list[tuple[str, Instant, Instant | None]]:
    """Return usage at half past each hour that arrives after a delay."""
    times = range(BEGIN + 30 * MINUTE, BEGIN + days * DAY, HOUR)
    return [(f"r{number}", at, at + delay) for number, at in enumerate(times)]


def missed(document: Any) -> dict[int, int]:
    """Return how many usage events each grace period, in hours, would have missed."""
    return {one["grace_period_seconds"] // 3600: one["missed"]["events"] for one in document["what_if"]}


def test_csv_with_received_at_is_judged_without_ledger_and_key(files: Files) -> None:
    """Ten days, each event two hours late: 22:30 and 23:30 miss an hour of grace, and three hours do."""
    files.csv("usage.csv", hourly(10, 2 * HOUR), "seen")
    ended = files.rehearse("--rehearse", "usage.csv", "--source", "workers", "--format", "json")
    document = ended.document

    assert ended.code == 1
    assert document["schema"] == "meterledger.audit/1"
    assert document["verdict"] == "missed"
    # The last event of the last day comes at 01:30: 22:30 of each of ten days at 00:30 is in time.
    assert missed(document) == {1: 10, 3: 0, 6: 0, 12: 0, 24: 0, 48: 0, 72: 0}
    assert document["recommended_grace_period_seconds"] == 3 * 3600
    assert document["recommendation"] == {
        "largest_lateness_seconds": 90 * 60 + 1,
        "sources": ["workers"],
    }
    assert document["rehearsal"] == {
        "files": 1,
        "rows": 240,
        "duplicates": 0,
        "rejected": 0,
        "rejected_by_reason": {},
        "without_received_at": 0,
        "arrival": "received_at",
        "push_every_seconds": 900,
    }
    assert [one["kind"] for one in document["delays"]] == ["import"]
    (forecast,) = document["forecast"]
    assert forecast["end"] == "2026-11-01T00:00:00Z"
    assert forecast["expected"] == forecast["most"] == {"events": 1, "quantity": "1.5"}
    assert document["periods"] == []


def test_the_exit_code_says_whether_the_grace_period_is_enough(files: Files) -> None:
    """With three hours of grace the same usage is fine; 105 minutes leave nothing for retries."""
    files.csv("usage.csv", hourly(10, 2 * HOUR), "received_at")
    enough = files.rehearse("--rehearse", "usage.csv", "--grace", "3h")
    scarce = files.rehearse("--rehearse", "usage.csv", "--grace", "105m", "--format", "json")

    assert enough.code == 0
    assert enough.out.splitlines()[1].startswith("ok: ")
    assert scarce.code == 1
    assert scarce.document["verdict"] == "at_risk"


def test_the_table_says_what_would_do_instead(files: Files) -> None:
    """Below the forecast each change stands with its number."""
    files.csv("usage.csv", hourly(10, 2 * HOUR), "received_at")
    out = files.rehearse("--rehearse", "usage.csv").out

    assert "missed: with a grace period of 1h usage would have missed its invoice" in out
    assert "Forecast, with a push every 15m (assumed)" in out
    assert (
        "So that nothing of api_requests is late at 2026-11-01T01:00:00Z: a grace period of 3h in place of "
        "1h would do; or source default would have to deliver 45m earlier."
    ) in out
    assert "late_usage_expected 1 usage event of api_requests (1 to 1)" in out


def test_files_that_came_one_by_one_are_judged_by_their_times(files: Files) -> None:
    """Daily JSONL files at 02:00 need three hours of grace, and miss all of the day with one."""
    files.jsonl_of_each_day(8, 2 * HOUR)
    ended = files.rehearse("--rehearse", "day*.jsonl", "--arrival", "mtime", "--format", "json")
    document = ended.document

    assert ended.code == 1
    assert document["rehearsal"]["arrival"] == "mtime"
    assert document["rehearsal"]["files"] == 8
    assert missed(document)[1] == 8 * 24
    assert missed(document)[3] == 0
    assert document["recommended_grace_period_seconds"] == 3 * 3600
    assert not [one for one in document["findings"] if one["code"] == "one_mtime"]


def test_a_push_schedule_can_be_tried(files: Files) -> None:
    """What comes at 02:00 and is pushed every six hours is at Stripe at 06:00: twelve hours of grace."""
    files.jsonl_of_each_day(8, 2 * HOUR + MINUTE)
    ended = files.rehearse(
        "--rehearse", "day*.jsonl", "--arrival", "mtime", "--push-every", "6h", "--format", "json"
    )

    assert ended.document["rehearsal"]["push_every_seconds"] == 6 * 3600
    assert ended.document["recommended_grace_period_seconds"] == 12 * 3600


def test_rows_that_do_not_say_when_they_arrived_are_an_error(files: Files) -> None:
    """Without received_at in any row the way out is named; where some have it the others are left out."""
    files.csv("usage.csv", [("r1", BEGIN, None)], "received_at")
    none = files.rehearse("--rehearse", "usage.csv")
    files.csv("usage.csv", [("r1", BEGIN, None), *hourly(4, MINUTE)[1:]], "received_at")
    some = files.rehearse("--rehearse", "usage.csv", "--format", "json")

    assert none.code == 3
    assert "--arrival mtime" in none.err
    assert some.code == 0
    assert some.document["rehearsal"]["without_received_at"] == 1
    assert "no_received_at" in [one["code"] for one in some.document["findings"]]


def test_a_copied_folder_is_noticed(files: Files) -> None:
    """Files that were all changed in the same second do not tell when they arrived."""
    files.jsonl_of_each_day(3, 0, modified=False)
    ended = files.rehearse("--rehearse", ".", "--arrival", "mtime", "--format", "json")

    assert "one_mtime" in [one["code"] for one in ended.document["findings"]]


def test_bad_rows_and_duplicates_are_counted_and_shown(files: Files) -> None:
    """A refused row is counted by its reason; a usage key that comes twice counts once."""
    rows = hourly(4, MINUTE)
    files.csv("one.csv", rows, "received_at")
    files.csv("two.csv", rows[:5], "received_at")
    with (files.folder / "two.csv").open("a") as file:
        file.write("x,cus_a,api_calls,lots,2026-10-05T00:00:00Z,\n")
    arguments = ("--rehearse", "one.csv", "--rehearse", "two.csv")
    table = files.rehearse(*arguments)
    document = files.rehearse(*arguments, "--format", "json").document

    assert table.code == 0
    assert "invalid_quantity" in table.out
    assert document["rehearsal"]["rows"] == len(rows) + 6
    assert document["rehearsal"]["duplicates"] == 5
    assert document["rehearsal"]["rejected_by_reason"] == {"invalid_quantity": 1}
    assert document["delays"][0]["count"] == len(rows)


def test_too_little_usage_is_no_verdict(files: Files) -> None:
    """With three usage events nothing is recommended, nothing forecast, and the exit code is 1."""
    files.csv("usage.csv", hourly(1, MINUTE)[:3], "received_at")
    ended = files.rehearse("--rehearse", "usage.csv", "--format", "json")

    assert ended.code == 1
    assert ended.document["recommended_grace_period_seconds"] is None
    assert ended.document["forecast"][0]["expected"] is None
    assert [one["code"] for one in ended.document["findings"]] == ["too_little_history"]


def test_a_missing_file_is_an_error_beside_the_answer(files: Files) -> None:
    """The files that can be read are judged; the exit code is that of the missing one."""
    files.csv("usage.csv", hourly(4, MINUTE), "received_at")
    ended = files.rehearse("--rehearse", "usage.csv", "--rehearse", "gone.csv", "--format", "json")

    assert ended.code == 3
    assert "gone.csv" in ended.err
    assert ended.document["rehearsal"]["files"] == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("--rehearse", "usage.csv", "--as-of", "2026-10-31T00:00:00Z"),
        ("--rehearse", "usage.csv", "--customer", "cus_a", "--explain"),
        ("--rehearse", "usage.csv", "--until", "2026-10-31T00:00:00Z"),
        ("--source", "workers"),
        ("--arrival", "mtime"),
        ("--push-every", "0s"),
        ("--push-every", "2d"),
    ],
)
def test_options_that_do_not_go_together_are_refused(files: Files, arguments: tuple[str, ...]) -> None:
    """A rehearsal knows no ledger, and what is about it does not go without it."""
    files.csv("usage.csv", hourly(4, MINUTE), "received_at")

    assert files.rehearse(*arguments).code == 2


def test_fail_on_holds_for_a_rehearsal_too(files: Files) -> None:
    """With --fail-on missed a scarce grace period is no failure, and one that is too short is."""
    files.csv("usage.csv", hourly(10, 2 * HOUR), "received_at")

    assert files.rehearse("--rehearse", "usage.csv", "--grace", "105m", "--fail-on", "missed").code == 0
    assert files.rehearse("--rehearse", "usage.csv", "--fail-on", "missed").code == 1


def test_a_pattern_that_the_shell_has_resolved_is_fine(files: Files) -> None:
    """Files behind the first one are rehearsed too; without --rehearse they are refused with what to do."""
    rows = list(hourly(4, MINUTE))
    files.csv("a.csv", rows[:40], "received_at")
    files.csv("b.csv", rows[40:], "received_at")
    both = files.rehearse("--rehearse", "a.csv", "b.csv", "--format", "json")
    none = files.rehearse("a.csv")

    assert both.document["rehearsal"]["files"] == 2
    assert both.document["rehearsal"]["rows"] == len(rows)
    assert none.code == 2
    assert "--rehearse FILE" in none.err


def test_without_a_config_it_says_so(files: Files) -> None:
    """A newcomer who has no config yet is told that, and how to make one."""
    files.csv("usage.csv", hourly(1, MINUTE), "received_at")
    (files.folder / "meterledger.toml").unlink()
    ended = files.rehearse("--rehearse", "usage.csv")

    assert ended.code == 3
    assert "24 rows were refused (unknown_feature)" in ended.err
    assert "`meterledger init` makes one" in ended.err


def test_a_few_usage_events_that_missed_are_called_missed(files: Files) -> None:
    """What came too late is known, however few there are; the grace period is written as Stripe does."""
    files.csv("usage.csv", list(hourly(2, 50 * HOUR))[20:30], "received_at")
    out = files.rehearse("--rehearse", "usage.csv", "--grace", "48h").out

    assert "missed: with a grace period of 48h usage would have missed its invoice" in out


@pytest.mark.parametrize("arrival", ["received_at", "mtime"])
def test_usage_older_than_the_history_that_came_within_it_is_late(files: Files, arrival: str) -> None:
    """A file of three months ago that comes today has missed every month's end since then."""
    rows = hourly(10, 90 * DAY)
    files.csv("usage.csv", rows, "received_at")
    at = rows[-1][2]
    assert at is not None
    os.utime(files.folder / "usage.csv", (at // SECOND, at // SECOND))
    ended = files.rehearse("--rehearse", "usage.csv", "--arrival", arrival, "--format", "json")

    assert ended.code == 1
    assert ended.document["verdict"] == "missed"
    assert ended.document["recommended_grace_period_seconds"] is None
    assert missed(ended.document) == dict.fromkeys((1, 3, 6, 12, 24, 48, 72), len(rows))


def test_a_file_older_than_its_usage_does_not_say_when_it_came(files: Files) -> None:
    """An archive that sets times of modification to 1970 is no proof that nothing is ever late."""
    files.jsonl_of_each_day(3, 0)
    for file in files.folder.glob("*.jsonl"):
        os.utime(file, (0, 0))
    none = files.rehearse("--rehearse", ".", "--arrival", "mtime")
    files.csv("usage.csv", [*hourly(4, MINUTE), ("x", BEGIN + DAY, BEGIN)], "received_at")
    some = files.rehearse("--rehearse", "usage.csv", "--format", "json")

    assert none.code == 3
    assert "arrived" in none.err
    assert some.document["rehearsal"]["without_received_at"] == 1
