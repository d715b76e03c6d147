"""A month's end on the simulator's clock: what the audit forecasts before is what it finds missed after."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from meterledger.domain.instant import DAY, HOUR, MINUTE, Instant, parse_instant, to_text
from support.commands import OF_OUR_OWN
from support.simulator_process import SimulatorProcess

END = parse_instant("2026-11-01T00:00:00Z")
BEFORE = "2026-10-31T20:00:02Z"
AT_PUSHES = ("2026-11-01T00:00:02Z", "2026-11-01T01:00:02Z", "2026-11-02T01:00:02Z")
"""Pushes run every hour; those that change nothing are left out."""
DELAYS = {"hour_late": HOUR, "day_late": DAY}
CONFIG = """
[sources.hour_late]
[sources.day_late]
[meters.api_requests]
features = ["api_calls"]
"""


@dataclass
class Month:
    """A folder in which usage arrives as the simulator's clock goes on."""

    folder: Path
    simulator: SimulatorProcess
    arrived_until: Instant = 0

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run one command by the simulator's clock."""
        environment = {name: text for name, text in os.environ.items() if not name.startswith(OF_OUR_OWN)}
        environment |= {
            "STRIPE_API_KEY": "sk_test_month",
            "STRIPE_API_BASE": self.simulator.url,
            "METERLEDGER_CLOCK": "server",
        }
        return subprocess.run(
            [sys.executable, "-m", "meterledger", "--quiet", *arguments],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def go_on(self, until: str) -> None:
        """Set the clock, import what has arrived until then, and push it."""
        self.simulator.set_clock(until)
        now = parse_instant(until)
        for source, delay in DELAYS.items():
            lines = ["request_id,customer_id,feature,quantity,event_time,received_at"]
            lines += [
                f"{source}{at},cus_a,api_calls,3,{to_text(at)},{to_text(at + delay)}"
                for at in range(END - 7 * DAY + 30 * MINUTE, END + HOUR, HOUR)
                if self.arrived_until < at + delay <= now
            ]
            file = f"{source}-{now}.csv"
            (self.folder / file).write_text("\n".join(lines) + "\n")
            assert self.run("import", "--source", source, file).returncode == 0
        self.arrived_until = now
        pushed = self.run("push")
        assert pushed.returncode == 0, pushed.stderr

    def audit(self, *arguments: str) -> Any:
        """Return the audit as JSON."""
        return json.loads(self.run("audit", "--format", "json", *arguments).stdout)


@pytest.fixture
def month(tmp_path: Path) -> Iterator[Month]:
    """Yield a month with an empty ledger, and a simulator whose clock stands still."""
    (tmp_path / "meterledger.toml").write_text(CONFIG)
    with SimulatorProcess(
        "--clock", BEFORE, "--freeze", "--seed-from", str(tmp_path / "meterledger.toml")
    ) as simulator:
        month = Month(tmp_path, simulator)
        assert month.run("init").returncode == 0
        yield month


def october(document: Any, what: str) -> Any:
    """Return the one entry of October."""
    (found,) = (one for one in document[what] if one["end"] == "2026-11-01T00:00:00Z")
    return found


def test_a_months_end_is_called_in_advance_to_the_event(month: Month) -> None:
    """With one source an hour late and one a day late: as many are missed as were forecast, and no other."""
    month.go_on(BEFORE)
    before = october(month.audit("--push-every", "1h"), "forecast")
    for at in AT_PUSHES:
        month.go_on(at)
    missed = october(month.audit(), "periods")["missed"]

    # 23:30 of the source that is an hour late, and all day of the other.
    assert before["expected"] == before["least"] == before["most"] == missed
    assert missed == {"events": 1 + 24, "quantity": "75"}
    assert {one["source"]: one["expected"]["events"] for one in before["sources"]} == {
        "hour_late": 1,
        "day_late": 24,
    }
    (grace,) = (one["seconds"] for one in before["changes"] if one["change"] == "grace_period")
    longer = october(month.audit("--grace", f"{grace // 3600}h"), "periods")
    assert longer["missed"]["events"] == longer["at_risk"]["events"] == 0
