"""`audit --watch`, `--fail-on` and `--lost` as their users run them, by the simulator's clock."""

import json
import os
import selectors
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from support.simulator_process import SimulatorProcess

SECONDS = 60
EVENING = "2026-10-31T23:30:00Z"
AFTER = "2026-11-01T01:00:01Z"
CONFIG = """\
[meters.api_requests]
features = ["api_calls"]
decimal_places = 2
[invoicing]
grace_period = "1h"
anchors = "calendar"
"""
HEADER = "request_id,customer_id,feature,quantity,event_time,received_at\n"
OCTOBER = HEADER + "".join(
    f"r{day},cus_a,api_calls,0.25,2026-10-{day:02}T23:59:00Z,2026-10-{day + 1:02}T00:20:00Z\n"
    for day in range(1, 31)
)
LAST_DAY = HEADER + (
    "r31,cus_a,api_calls,1.25,2026-10-31T23:59:00Z,2026-11-01T00:20:00Z\n"
    "r32,cus_b,api_calls,7,2026-10-31T10:00:00Z,2026-11-01T00:20:00Z\n"
    "r33,acme,api_calls,3,2026-10-31T10:00:00Z,2026-11-01T00:20:00Z\n"
)


@dataclass
class Watching:
    """A countdown in a process of its own."""

    process: subprocess.Popen[bytes]
    read: bytes = b""
    """What was read of it and is no whole line yet."""

    def line(self) -> str:
        """Return the next line, within a minute."""
        stream = self.process.stdout
        assert stream is not None
        with selectors.DefaultSelector() as selector:
            selector.register(stream, selectors.EVENT_READ)
            while b"\n" not in self.read:
                assert selector.select(SECONDS), self.read
                block = os.read(stream.fileno(), 65536)
                assert block, self.read
                self.read += block
        line, _, self.read = self.read.partition(b"\n")
        return line.decode()

    def look(self) -> Any:
        """Return the next look."""
        return json.loads(self.line())

    def ends(self) -> tuple[int, str]:
        """Wait for its end; return its exit code and the rest of its output."""
        rest, _ = self.process.communicate(timeout=SECONDS)
        return self.process.returncode, (self.read + rest).decode()


@dataclass(frozen=True)
class Shell:
    """A folder with a config, in which commands run by the clock of a simulator."""

    folder: Path
    simulator: SimulatorProcess

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run one command."""
        return subprocess.run(
            self._command(*arguments),
            cwd=self.folder,
            env=self._environment(),
            capture_output=True,
            text=True,
            check=False,
        )

    @contextmanager
    def watching(self, *arguments: str) -> Iterator[Watching]:
        """Start a countdown, and end it whatever happens."""
        process = subprocess.Popen(
            self._command("audit", "--watch", "--interval", "20ms", *arguments),
            cwd=self.folder,
            env=self._environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield Watching(process)
        finally:
            if process.poll() is None:
                process.kill()
            process.communicate()

    def _command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "meterledger", *arguments]

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "STRIPE_API_KEY": "sk_test_watch",
            "STRIPE_API_BASE": self.simulator.url,
            "METERLEDGER_CLOCK": "server",
            "PYTHONWARNINGS": "error",
            "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
        }


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    """Yield a shell whose ledger has October but for its last day, pushed, on the evening of the 31st."""
    (tmp_path / "meterledger.toml").write_text(CONFIG)
    (tmp_path / "october.csv").write_text(OCTOBER)
    (tmp_path / "last-day.csv").write_text(LAST_DAY)
    with SimulatorProcess(
        "--clock", EVENING, "--freeze", "--seed-from", str(tmp_path / "meterledger.toml")
    ) as simulator:
        made = Shell(tmp_path, simulator)
        for arguments in (["init"], ["import", "october.csv"], ["push"]):
            assert made.run(*arguments).returncode == 0
        yield made


def test_a_watch_names_the_late_source_and_ends_with_the_verdict(shell: Shell) -> None:
    """One JSON object for each change: expected, late, and what is unsent is missed in the end."""
    with shell.watching("--format", "json") as watching:
        first = watching.look()
        shell.simulator.set_clock("2026-11-01T00:22:00Z")
        late = watching.look()
        while late["deadlines"][0]["sources"][0]["state"] != "late":
            late = watching.look()
        assert shell.run("import", "last-day.csv").returncode == 0
        arrived = watching.look()
        while not arrived["deadlines"][0]["unsent"]:
            arrived = watching.look()
        shell.simulator.set_clock(AFTER)
        code, rest = watching.ends()
    last = json.loads(rest.splitlines()[-1])

    assert first["schema"] == "meterledger.audit.watch/1"
    assert first["ended"] is None
    assert first["deadlines"][0]["seconds_left"] == 90 * 60
    source = first["deadlines"][0]["sources"][0]
    assert (source["source"], source["state"]) == ("default", "expected")
    assert source["complete_by"] == "2026-11-01T00:20:00Z"
    assert late["verdict"] is None
    assert (arrived["deadlines"][0]["unsent"], arrived["deadlines"][0]["blocked"]) == (2, 1)
    assert (last["ended"], last["verdict"], last["after_deadline"]) == ("deadline", "missed", 3)
    assert code == 1


def test_a_watch_in_a_pipe_prints_a_block_for_each_change(shell: Shell) -> None:
    """As text, a block says when, which deadline, what waits and which sources."""
    with shell.watching() as watching:
        block: list[str] = []
        while (line := watching.line()) or not block:
            block.append(line)
        shell.simulator.set_clock(AFTER)
        code, rest = watching.ends()

    assert block == [
        "2026-10-31 23:30 UTC",
        "2026-10, deadline 2026-11-01T01:00:00Z (configured)",
        "  1h 30m left, 1 customer, nothing waits",
        "  source default: up to 10-30 23:59, came 10-31 00:20, expected 11-01 00:20",
    ]
    assert "Usage is to be expected still of source default\nThe deadline is over: at_risk\n" in rest
    assert code == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_watch_that_is_stopped_says_so(shell: Shell, number: signal.Signals) -> None:
    """Ctrl-C ends the countdown with exit code 130, and one line of JSON that says it was interrupted."""
    with shell.watching("--format", "json") as watching:
        watching.look()
        watching.process.send_signal(number)
        code, rest = watching.ends()

    assert code == 130
    assert json.loads(rest)["schema"] == "meterledger.error/1"


@pytest.mark.parametrize("form", ["json", "table"])
def test_a_watch_that_nobody_reads_any_more_is_no_ok(shell: Shell, form: str) -> None:
    """Exit code 0 is for the verdict ok alone: a log that died has heard none."""
    with shell.watching("--format", form) as watching:
        watching.line()
        assert watching.process.stdout is not None
        watching.process.stdout.close()
        watching.process.stdout = None
        shell.run("import", "last-day.csv")
        assert watching.process.wait(SECONDS) == 130


def test_a_watch_ends_when_its_ledger_is_replaced(shell: Shell) -> None:
    """What was moved away or restored over would be counted down to the end, with figures of another day."""
    with shell.watching("--format", "json") as watching:
        watching.look()
        (shell.folder / "meterledger.db").rename(shell.folder / "old.db")
        assert shell.run("init").returncode == 0
        code, rest = watching.ends()

    assert code == 4
    assert "replaced or removed" in json.loads(rest)["message"]


@pytest.mark.parametrize(
    ("now", "fail_on", "verdict", "code"),
    [
        ("2026-11-01T00:30:00Z", "at_risk", "at_risk", 1),
        ("2026-11-01T00:30:00Z", "missed", "at_risk", 0),
        ("2026-11-01T01:00:01Z", "at_risk", "missed", 1),
        ("2026-11-01T01:00:01Z", "missed", "missed", 1),
        ("2026-10-31T23:30:00Z", "missed", "ok", 0),
        ("2026-10-31T23:30:00Z", "at_risk", "ok", 0),
    ],
)
def test_fail_on_decides_which_verdict_ends_with_1(
    shell: Shell, now: str, fail_on: str, verdict: str, code: int
) -> None:
    """With --fail-on missed usage at risk is no failure yet; what is missed always is."""
    if verdict != "ok":
        shell.simulator.set_clock(now)
        shell.run("import", "last-day.csv")
    result = shell.run("audit", "--fail-on", fail_on, "--format", "json")

    assert (json.loads(result.stdout)["verdict"], result.returncode) == (verdict, code)


def test_what_was_lost_is_written_by_customer_and_by_event(shell: Shell) -> None:
    """Both files are whole, private to their owner and sum to the audit's missed figures."""
    shell.simulator.set_clock(AFTER)
    shell.run("import", "last-day.csv")
    result = shell.run("audit", "--lost", "lost.csv", "--lost-events", "events.jsonl", "--format", "json")
    events = [json.loads(line) for line in (shell.folder / "events.jsonl").read_text().splitlines()]

    assert result.returncode == 1
    missed = [one["missed"] for one in json.loads(result.stdout)["periods"]]
    assert missed == [{"events": 3, "quantity": "11.25"}]
    assert (shell.folder / "lost.csv").read_text() == (
        "customer,subscription,description,period[start],period[end],quantity_decimal,customer_id,event_name,"
        "aggregation,feature,deadline,deadline_source,usage_events,accepted_late_events,"
        "accepted_late_quantity,never_accepted_events,never_accepted_quantity,reasons,may_be_on_it_events,"
        "may_be_on_it_quantity,may_be_on_it_reasons,first_event_time,last_event_time\n"
        ",,api_requests: usage from 2026-10-01T00:00:00Z to 2026-11-01T00:00:00Z that was not on its invoice,"
        "1790812800,1793491200,3,acme,api_requests,sum,api_calls,2026-11-01T01:00:00Z,configured,1,0,0,1,3,"
        "blocked: unknown_customer=1,0,0,,2026-10-31T10:00:00Z,2026-10-31T10:00:00Z\n"
        "cus_a,,api_requests: usage from 2026-10-01T00:00:00Z to 2026-11-01T00:00:00Z that was not on its "
        "invoice,1790812800,1793491200,1.25,cus_a,api_requests,sum,api_calls,2026-11-01T01:00:00Z,configured,"
        "1,0,0,1,1.25,unsent=1,0,0,,2026-10-31T23:59:00Z,2026-10-31T23:59:00Z\n"
        "cus_b,,api_requests: usage from 2026-10-01T00:00:00Z to 2026-11-01T00:00:00Z that was not on its "
        "invoice,1790812800,1793491200,7,cus_b,api_requests,sum,api_calls,2026-11-01T01:00:00Z,configured,"
        "1,0,0,1,7,unsent=1,0,0,,2026-10-31T10:00:00Z,2026-10-31T10:00:00Z\n"
    )
    assert [(one["request_id"], one["file"], one["line"]) for one in events] == [
        ("r33", "last-day.csv", 4),
        ("r31", "last-day.csv", 2),
        ("r32", "last-day.csv", 3),
    ]
    assert events[0]["period"] == {"start": 1790812800, "end": 1793491200}
    for name in ("lost.csv", "events.jsonl"):
        assert stat.S_IMODE((shell.folder / name).stat().st_mode) == 0o600


def test_lost_usage_goes_to_stdout_alone(shell: Shell) -> None:
    """With - the rows are all that stands on stdout: CSV, or JSON lines with --format json."""
    shell.simulator.set_clock(AFTER)
    shell.run("import", "last-day.csv")
    rows = shell.run("audit", "--lost", "-", "--customer", "cus_b").stdout.splitlines()
    lines = shell.run("audit", "--lost-events", "-", "--format", "json").stdout.splitlines()

    assert len(rows) == 2
    assert rows[1].startswith("cus_b,,api_requests")
    assert [json.loads(line)["reason"] for line in lines] == [
        "blocked: unknown_customer",
        "unsent",
        "unsent",
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--lost", "lost.txt"], ".csv or .jsonl"),
        (["--lost", "october.csv"], "exists"),
        (["--lost", "lost.csv", "--lost-events", "lost.csv"], "the same file"),
        (["--watch", "--as-of", "2026-11-01T00:00:00Z"], "--watch goes by the clock"),
        (["--watch", "--lost", "lost.csv"], "--watch goes by the clock"),
        (["--watch", "--format", "csv"], "--format json"),
        (["--watch", "--interval", "0s"], "--interval"),
        (["--until", "2026-11-01T00:00:00Z"], "--until goes with --watch"),
    ],
)
def test_what_does_not_go_together_is_refused(shell: Shell, arguments: list[str], said: str) -> None:
    """Options that contradict each other, and files that are there already, end with exit code 2."""
    result = shell.run("audit", *arguments)

    assert result.returncode == 2
    assert said in result.stderr
