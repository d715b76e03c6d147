"""Real processes against the simulator: killed, interrupted, doubled, and behind a lossy line."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from meterledger.config import Source, load_settings
from meterledger.errors import ExitCode
from meterledger.ledger import create_ledger, open_ledger
from meterledger.usecases.import_usage import ImportOptions, import_usage
from support.lossy_proxy import Loss, LossyProxy
from support.simulator_process import SimulatorProcess

PROGRAM = Path(sys.executable).with_name("meterledger")
RUN_SECONDS = 60.0
MAX_LOOKS = 20_000
"""How often a running push is looked at before a test gives up."""

CONFIG = """
[meters.calls]
features = ["calls"]
decimal_places = 2

[meters.seats]
features = ["seats"]
aggregation = "last"
"""
CUSTOMERS = 6


@dataclass
class Shop:
    """A folder with a config, usage and a ledger, and a simulator to push to."""

    folder: Path
    simulator: SimulatorProcess
    events: int
    base: str = ""
    totals: Counter[tuple[str, str]] = field(default_factory=Counter)

    def prepare(self) -> None:
        """Write the usage, and import it."""
        now = int(self.simulator.ledger()["epoch"])
        lines = []
        for number in range(self.events):
            feature = "seats" if number % 5 == 0 else "calls"
            customer = f"cus_{number % CUSTOMERS}"
            self.totals[feature, customer] += 1
            lines.append(
                f'{{"request_id":"r{number}","customer_id":"{customer}","feature":"{feature}",'
                f'"quantity":"{number + 1}{".25" if feature == "calls" else ""}",'
                f'"event_time":{now - 3600 + number}}}\n'
            )
        file = self.folder / "usage.jsonl"
        file.write_text("".join(lines), encoding="utf-8")
        settings = load_settings(self.folder / "meterledger.toml", folder=self.folder)
        options = ImportOptions(files=[str(file)], source=Source(name="default"))
        create_ledger(settings.ledger_path)
        with open_ledger(settings.ledger_path) as ledger:
            report = import_usage(ledger, settings, options, clock=lambda: now * 1_000_000)
        assert report.counts.accepted == self.events

    def command(self, *arguments: str) -> tuple[list[str], dict[str, str]]:
        """Return a command line and its environment."""
        environment = {
            "PATH": os.environ.get("PATH", ""),
            "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
            "STRIPE_API_KEY": "sk_test_x",
            "STRIPE_API_BASE": self.base or self.simulator.url,
            "METERLEDGER_DEBUG": "1",
            "NO_COLOR": "1",
        }
        return [str(PROGRAM), *arguments], environment

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        command, environment = self.command(*arguments)
        return subprocess.run(
            command,
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=RUN_SECONDS,
            check=False,
        )

    @contextmanager
    def pushing(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """Start a push; whatever is left of it at the end is killed."""
        command, environment = self.command("push", *arguments)
        with subprocess.Popen(
            command,
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                yield process
            finally:
                if process.poll() is None:
                    process.kill()

    def wait_until(
        self, process: subprocess.Popen[str], reached: Callable[[dict[str, Any]], bool]
    ) -> dict[str, Any]:
        """Look at the simulator until it shows something, or the push has ended; return its page."""
        for _ in range(MAX_LOOKS):
            page = self.simulator.ledger()
            if reached(page) or process.poll() is not None:
                return page
        raise AssertionError("the push neither ended nor got that far")

    def select(self, sql: str) -> list[tuple[Any, ...]]:
        """Read from the ledger's file."""
        connection = sqlite3.connect(self.folder / "meterledger.db")
        try:
            return connection.execute(sql).fetchall()
        finally:
            connection.close()

    def check_everything_counted_once(self) -> None:
        """Compare Stripe and the ledger to the unit, customer by customer, and with the rows."""
        page = self.simulator.ledger(identifiers=True)
        assert page["identifier_totals"]["counted_more_than_once"] == 0
        assert page["identifier_totals"]["counted"] == self.events
        assert {row["counted"] for row in page["identifiers"].values()} == {1}
        assert page["identifiers"].keys() == {row[0] for row in self.select(_IDENTIFIERS)}
        assert {row["highest"] for row in page["concurrency"]} == {1}
        assert {(row["event_name"], row["customer"]): row["events"] for row in page["usage"]} == self.totals
        sums = {
            (row["event_name"], row["customer"]): Decimal(row["total"])
            for row in page["usage"]
            if row["event_name"] == "calls"
        }
        assert sums == {
            (name, customer): Decimal(units).scaleb(-2)
            for name, customer, units in self.select(_SUMS)
            if name == "calls"
        }
        lasts = {row["customer"]: row["total"] for row in page["usage"] if row["event_name"] == "seats"}
        assert lasts == {customer: str(value) for customer, value in self.select(_LASTS)}
        assert self.select("SELECT DISTINCT state FROM meter_events WHERE dissolved_at IS NULL") == [
            ("accepted",)
        ]


_IDENTIFIERS = "SELECT identifier FROM meter_events WHERE state = 'accepted'"
_SUMS = """
SELECT event_name, stripe_customer_id, SUM(quantity) FROM meter_events WHERE state = 'accepted'
GROUP BY event_name, stripe_customer_id
"""
_LASTS = """
SELECT c.customer_id, u.quantity FROM usage_events AS u
JOIN customers AS c ON c.id = u.customer JOIN features AS f ON f.id = u.feature
WHERE f.name = 'seats' AND u.event_time = (
    SELECT MAX(v.event_time) FROM usage_events AS v WHERE v.customer = u.customer AND v.feature = u.feature
)
"""


@contextmanager
def open_shop(folder: Path, events: int, latency: str) -> Iterator[Shop]:
    """Open a shop with its usage imported."""
    (folder / "meterledger.toml").write_text(CONFIG, encoding="utf-8")
    options = ("--latency", latency, "--seed-from", str(folder / "meterledger.toml"))
    with SimulatorProcess(*options) as simulator:
        shop = Shop(folder, simulator, events)
        shop.prepare()
        yield shop


def requests(page: dict[str, Any]) -> int:
    """Return how many API requests were answered or have at least arrived."""
    reads = sum(row["count"] for row in page["requests"] if row["method"] == "GET" and "/v1/" in row["path"])
    return int(reads) + int(page["identifier_totals"]["arrivals"])


def has_come(goal: int, page: dict[str, Any]) -> bool:
    """Tell whether so many requests have come."""
    return requests(page) >= goal


def kill_often(shop: Shop, kills: int) -> int:
    """Kill pushes at moments spread over the whole job; return how many were killed at work."""
    killed = 0
    for number in range(kills):
        # The first two die at the door, the others when so many more requests have come.
        ahead = 1 + number if number < 2 else 3 + (shop.events * number // kills) % 17
        goal = requests(shop.simulator.ledger()) + ahead
        with shop.pushing("--concurrency", "4") as process:
            shop.wait_until(process, partial(has_come, goal))
            process.kill()
            process.communicate()
            killed += process.returncode == -signal.SIGKILL
    return killed


def test_a_push_that_is_killed_again_and_again_counts_everything_once(tmp_path: Path) -> None:
    """Killed twelve times at work, the last push still ends with every unit counted once."""
    with open_shop(tmp_path, events=160, latency="5ms") as shop:
        assert kill_often(shop, 12) >= 10
        left = shop.select("SELECT COUNT(*) FROM delivery_attempts WHERE outcome IS NULL")
        assert left[0][0] > 0
        done = shop.run("push", "--format", "json")
        assert done.returncode == ExitCode.DONE, done.stderr
        document = json.loads(done.stdout)
        assert (document["pending"], document["in_doubt"], document["blocked"]) == (0, 0, 0)
        shop.check_everything_counted_once()
        interrupted = shop.select("SELECT COUNT(*) FROM delivery_attempts WHERE code = 'interrupted'")
        assert interrupted[0][0] > 0


@pytest.mark.slow
def test_sixty_kills_count_everything_once(tmp_path: Path) -> None:
    """The same sixty times over, on a longer job."""
    with open_shop(tmp_path, events=1500, latency="5ms") as shop:
        assert kill_often(shop, 60) >= 55
        assert shop.run("push").returncode == ExitCode.DONE
        shop.check_everything_counted_once()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_keeps_what_was_done(tmp_path: Path, number: signal.Signals) -> None:
    """Either signal ends a push with 130, every claim settled or given back; the next one finishes."""
    with open_shop(tmp_path, events=120, latency="20ms") as shop:
        with shop.pushing("--concurrency", "2", "--format", "json") as process:
            shop.wait_until(process, lambda page: page["identifier_totals"]["counted"] >= 10)
            process.send_signal(number)
            out, err = process.communicate(timeout=RUN_SECONDS)
        assert process.returncode == ExitCode.INTERRUPTED, err
        document = json.loads(out)
        assert (document["schema"], document["code"]) == ("meterledger.error/1", 130)
        counted = shop.simulator.ledger()["identifier_totals"]["counted"]
        assert 10 <= counted < 120
        assert (document["accepted"], document["pending"]) == (counted, 120 - counted)
        assert shop.select("SELECT COUNT(*) FROM delivery_attempts WHERE outcome IS NULL") == [(0,)]
        assert shop.run("push").returncode == ExitCode.DONE
        shop.check_everything_counted_once()


def test_two_interrupts_end_it_at_once(tmp_path: Path) -> None:
    """Who cannot wait for what is in flight says so twice; that is safe too."""
    with open_shop(tmp_path, events=60, latency="1500ms") as shop:
        with shop.pushing("--concurrency", "4") as process:
            shop.wait_until(process, lambda page: page["identifier_totals"]["counted"] >= 2)
            process.send_signal(signal.SIGINT)
            assert process.stderr is not None
            assert "Stopping" in process.stderr.readline()
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=RUN_SECONDS)
        assert process.returncode == ExitCode.INTERRUPTED
        shop.select("SELECT 1")
    # The rest takes too long with such a latency: that nothing is lost is what the kills above show.


def test_a_second_push_is_turned_away(tmp_path: Path) -> None:
    """While one is at work the second ends with 4, names the first, and does not disturb it."""
    with open_shop(tmp_path, events=60, latency="20ms") as shop:
        with shop.pushing("--concurrency", "1") as first:
            shop.wait_until(first, lambda page: page["identifier_totals"]["counted"] >= 1)
            # Held meanwhile, however slowly the second starts; it is in the middle of its work all the same.
            first.send_signal(signal.SIGSTOP)
            second = shop.run("push", "--format", "json")
            assert first.poll() is None
            first.send_signal(signal.SIGCONT)
            first.communicate(timeout=RUN_SECONDS)
        assert second.returncode == ExitCode.LEDGER
        assert f"process {first.pid} on " in second.stderr
        assert json.loads(second.stdout)["code"] == 4
        assert first.returncode == ExitCode.DONE
        shop.check_everything_counted_once()


def test_a_killed_push_is_taken_over_at_once(tmp_path: Path) -> None:
    """The lease of a killed process holds nobody up, even while its parent has not noticed."""
    with open_shop(tmp_path, events=60, latency="10ms") as shop:
        with shop.pushing("--concurrency", "1") as process:
            shop.wait_until(process, lambda page: page["identifier_totals"]["counted"] >= 5)
            process.kill()
            # Not waited for: it stays a zombie of this process until the next push is through.
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
            done = shop.run("push")
        assert done.returncode == ExitCode.DONE, done.stderr
        shop.check_everything_counted_once()


def test_a_line_that_loses_answers_counts_everything_once(tmp_path: Path) -> None:
    """Answers lost whole or at their end, and requests lost, are all made good within a few runs."""
    losses = (None, None, Loss.ANSWER, None, None, Loss.END_OF_ANSWER, None, None, None, Loss.REQUEST, None)
    with open_shop(tmp_path, events=36, latency="1ms") as shop:
        with LossyProxy(shop.simulator.url, lambda number: losses[number % 11]) as proxy:
            shop.base = proxy.url
            codes = []
            for _ in range(5):
                codes.append(shop.run("push").returncode)
                if codes[-1] == ExitCode.DONE:
                    break
            assert codes[-1] == ExitCode.DONE
            assert set(proxy.lost) == set(Loss)
        shop.check_everything_counted_once()
        assert shop.simulator.ledger()["identifier_totals"]["arrivals"] > 36
