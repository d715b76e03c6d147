"""v2 and the stream against the simulator as a process, with its faults, and switches between the ways."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from support.simulator_process import SimulatorProcess

NOW = "2026-11-01T00:00:00Z"
CONFIG = """
[meters.calls]
features = ["calls"]
[meters.seats]
features = ["seats"]
aggregation = "last"
[stripe]
account = "{account}"
"""
CUSTOMERS = 20
MAX_RUNS = 8


@dataclass(slots=True)
class Desk:
    """A folder with a config and a ledger, and the simulator that is its Stripe."""

    folder: Path
    simulator: SimulatorProcess

    def command(self, *arguments: str) -> "subprocess.Popen[str]":
        """Start a command."""
        environment = {
            "PATH": os.environ.get("PATH", ""),
            "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
            "STRIPE_API_KEY": "sk_test_x",
            "STRIPE_API_BASE": self.simulator.url,
            "METERLEDGER_CLOCK": "server",
            "NO_COLOR": "1",
        }
        return subprocess.Popen(
            [sys.executable, "-m", "meterledger", *arguments],
            cwd=self.folder,
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """Run a command to its end."""
        process = self.command(*arguments)
        out, err = process.communicate(timeout=120)
        assert "Traceback" not in err
        assert "tok_sess_" not in out + err
        return process.returncode, out, err

    def push_to_the_end(self, way: str) -> None:
        """Push until nothing is pending."""
        for _ in range(MAX_RUNS):
            code, out, err = self.run("push", "--api", way, "--format", "json")
            document: dict[str, Any] = json.loads(out)
            if not code and document["pending"] == 0:
                return
        raise AssertionError(err)

    def check_counted_once(self, events: int) -> None:
        """Compare the simulator with what was imported."""
        page = self.simulator.ledger(identifiers=True)
        assert page["identifier_totals"]["counted_more_than_once"] == 0
        assert page["identifier_totals"]["counted"] == events


def desk_with_usage(folder: Path, simulator: SimulatorProcess, events: int, *, account: str = "") -> Desk:
    """Make a desk, with usage of many customers in its ledger."""
    folder.mkdir(exist_ok=True)
    (folder / "meterledger.toml").write_text(CONFIG.format(account=account), encoding="utf-8")
    lines = [
        json.dumps(
            {
                "request_id": f"r{number}",
                "customer_id": f"cus_{number % CUSTOMERS}",
                "feature": "seats" if number % 40 == 0 else "calls",
                "quantity": str(number + 1),
                "event_time": 1_793_480_000 + number,
            }
        )
        for number in range(events)
    ]
    (folder / "usage.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    desk = Desk(folder, simulator)
    assert desk.run("init")[0] == 0
    code, _, err = desk.run("import", "usage.jsonl")
    assert code == 0, err
    return desk


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """Make a desk, and a simulator that keeps identifiers apart by their way: the harder reading."""
    (tmp_path / "meterledger.toml").write_text(CONFIG.format(account=""), encoding="utf-8")
    options = ("--clock", NOW, "--identifier-scope", "way", "--seed-from", str(tmp_path / "meterledger.toml"))
    with SimulatorProcess(*options) as simulator:
        yield desk_with_usage(tmp_path, simulator, 300)


FAULTS: list[dict[str, object]] = [
    {"kind": "answer_lost", "every": 5},
    {"kind": "request_lost", "every": 7},
    {"kind": "server_error", "every": 11, "counted": True},
    {"kind": "server_error", "every": 13},
    {"kind": "rate_limited", "every": 17},
    {"kind": "reset", "every": 19},
    {"kind": "slow", "delay": "200ms", "every": 23},
]
STREAM_FAULTS: list[dict[str, object]] = [
    {"kind": "answer_lost", "times": 1},
    {"kind": "session_expired", "on": "stream", "skip": 1, "times": 2},
    {"kind": "request_lost", "times": 1},
    {"kind": "server_error", "counted": True, "times": 1},
    {"kind": "rate_limited", "times": 1},
    {"kind": "reset", "times": 1},
    {"kind": "slow", "delay": "200ms", "times": 1},
    {"kind": "server_error", "on": "sessions", "times": 1},
]


@pytest.mark.parametrize(("way", "faults"), [("v2", FAULTS), ("stream", STREAM_FAULTS)])
def test_every_fault_leads_to_the_same_end(desk: Desk, way: str, faults: list[dict[str, object]]) -> None:
    """Lost answers, expired sessions, resets, 500s and limits: each event counts once."""
    desk.simulator.set_faults(*faults)
    desk.push_to_the_end(way)
    desk.check_counted_once(300)


@pytest.mark.parametrize(("before", "after"), [("stream", "v1"), ("v1", "stream"), ("v2", "stream")])
def test_a_switch_after_lost_answers_counts_nothing_twice(desk: Desk, before: str, after: str) -> None:
    """What may be in goes again by the way it went, though identifiers are no guard between the ways."""
    desk.simulator.set_faults({"kind": "answer_lost", "every": 2})
    desk.run("push", "--api", before, "--limit", "120", "--max-duration", "2s")
    desk.simulator.set_faults()
    desk.push_to_the_end(after)
    desk.check_counted_once(300)


def test_a_killed_streamed_push_is_completed_by_the_next(desk: Desk) -> None:
    """SIGKILL while batches are on their way: recovered, resent, counted once."""
    desk.simulator.set_faults({"kind": "slow", "delay": "300ms", "times": 0})
    process = desk.command("push", "--api", "stream")
    while process.poll() is None and not desk.simulator.ledger()["identifier_totals"]["arrivals"]:
        time.sleep(0.02)  # a real process takes real time
    process.send_signal(signal.SIGKILL)
    process.communicate()
    desk.simulator.set_faults()
    desk.push_to_the_end("stream")
    desk.check_counted_once(300)


@pytest.mark.parametrize("way", ["v1", "v2", "stream"])
def test_a_connected_account_works_by_all_three(tmp_path: Path, way: str) -> None:
    """All of it counts in the connected account, and nothing in the platform's."""
    (tmp_path / "meterledger.toml").write_text(CONFIG.format(account="acct_other"), encoding="utf-8")
    with SimulatorProcess("--clock", NOW, "--seed-from", str(tmp_path / "meterledger.toml")) as simulator:
        desk = desk_with_usage(tmp_path, simulator, 30, account="acct_other")
        desk.push_to_the_end(way)
        desk.check_counted_once(30)
        assert {row["account"] for row in simulator.ledger()["usage"]} == {"acct_other"}
