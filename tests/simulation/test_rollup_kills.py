"""Roll-ups of real processes against the simulator, killed in the middle: its totals are the ledger's."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest

from meterledger.errors import ExitCode
from support.simulator_process import SimulatorProcess

PROGRAM = Path(sys.executable).with_name("meterledger")
CONFIG = """
[meters.calls]
features = ["calls"]
decimal_places = 2
rollup = "{rollup}"

[invoicing]
anchors = "calendar"
"""
NOON = 1_794_744_000
"""2026-11-15T12:00:00Z, which the simulator's clock shows, in seconds."""
CUSTOMERS = 20
MAX_LOOKS = 20_000


def write_usage(folder: Path, first: int, count: int, totals: Counter[str]) -> Path:
    """Write usage of two days and twenty customers; return the file."""
    lines = []
    for number in range(first, first + count):
        customer = f"cus_{number % CUSTOMERS}"
        quantity = f"{number}.{number % 100:02}"
        totals[customer] += int(Decimal(quantity) * 100)
        lines.append(
            f'{{"request_id":"r{number}","customer_id":"{customer}","feature":"calls",'
            f'"quantity":"{quantity}","event_time":{NOON - 3 * 86_400 + number * 97 % (2 * 86_400)}}}\n'
        )
    file = folder / f"usage-{first}.jsonl"
    file.write_text("".join(lines), encoding="utf-8")
    return file


@pytest.mark.parametrize("rollup", ["hour", "day"])
def test_the_simulators_totals_are_those_of_the_usage(tmp_path: Path, rollup: str) -> None:
    """Killed at work three times, and with late usage in between: nothing twice, nothing lost."""
    (tmp_path / "meterledger.toml").write_text(CONFIG.format(rollup=rollup), encoding="utf-8")
    options = ("--clock", "2026-11-15T12:00:00Z", "--freeze", "--latency", "5ms")
    totals: Counter[str] = Counter()
    with SimulatorProcess(*options, "--seed-from", str(tmp_path / "meterledger.toml")) as simulator:
        environment = {
            "PATH": os.environ.get("PATH", ""),
            "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
            "STRIPE_API_KEY": "sk_test_x",
            "STRIPE_API_BASE": simulator.url,
            "METERLEDGER_CLOCK": "server",
            "NO_COLOR": "1",
        }

        def run(*arguments: str) -> str:
            done = subprocess.run(
                [str(PROGRAM), *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True,
                timeout=60, check=False,
            )  # fmt: skip
            assert done.returncode == ExitCode.DONE, done.stderr
            return done.stdout

        def kill_at_work(after: int) -> None:
            goal = int(simulator.ledger()["identifier_totals"]["arrivals"]) + after
            with subprocess.Popen(
                [str(PROGRAM), "push"], cwd=tmp_path, env=environment,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            ) as process:  # fmt: skip
                for _ in range(MAX_LOOKS):
                    arrived = int(simulator.ledger()["identifier_totals"]["arrivals"])
                    if arrived >= goal or process.poll() is not None:
                        break
                process.kill()
            assert process.returncode in (-signal.SIGKILL, ExitCode.DONE)

        run("init")
        run("import", str(write_usage(tmp_path, 0, 4000, totals)))
        kill_at_work(3)
        kill_at_work(5)
        run("import", str(write_usage(tmp_path, 4000, 500, totals)))
        kill_at_work(2)
        document = json.loads(run("push", "--format", "json"))
        assert (document["pending"], document["in_doubt"], document["blocked"]) == (0, 0, 0)
        page = simulator.ledger()
        assert page["identifier_totals"]["counted_more_than_once"] == 0
        counted = {row["customer"]: Decimal(row["total"]) for row in page["usage"]}
        assert counted == {customer: Decimal(units).scaleb(-2) for customer, units in totals.items()}
        assert "not so" not in run("verify")
