"""Workers as processes against the simulator: usage arrives, and everything around them fails."""

import json
import signal
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from meterledger.config import Source, load_settings
from meterledger.errors import ExitCode
from meterledger.ledger import create_ledger, open_ledger
from meterledger.usecases.import_usage import ImportOptions, import_usage
from support.simulator_process import SimulatorProcess
from support.worker_process import working

CONFIG = '[meters.calls]\nfeatures = ["calls"]\n'
MAX_LOOKS = 20_000


class Shop:
    """A folder with a config and a ledger, and a simulator that keeps its state over restarts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "meterledger.toml").write_text(CONFIG, encoding="utf-8")
        self.settings = load_settings(folder / "meterledger.toml", folder=folder)
        create_ledger(self.settings.ledger_path)
        self.simulator = self._started("0")
        self.base = self.simulator.url
        self.rows = 0

    def _started(self, port: str, *extra: str) -> SimulatorProcess:
        state, config = str(self.folder / "stripe.db"), str(self.folder / "meterledger.toml")
        return SimulatorProcess("--port", port, "--state", state, "--seed-from", config, *extra)

    def restart(self, *extra: str) -> None:
        """Start the simulator again where it was, after a stop."""
        self.simulator = self._started(self.base.rpartition(":")[2], *extra)

    def bring(self, rows: int) -> None:
        """Import new usage, as another process does."""
        now = time.time_ns() // 1000  # noqa: TID251 # the worker is a process, and has this clock too
        file = self.folder / f"usage-{self.rows}.jsonl"
        file.write_text(
            "".join(
                f'{{"request_id":"r{number}","customer_id":"cus_{number % 5}","feature":"calls",'
                f'"quantity":"1","event_time":{now // 1_000_000 - 60}}}\n'
                for number in range(self.rows, self.rows + rows)
            ),
            encoding="utf-8",
        )
        self.rows += rows
        with open_ledger(self.settings.ledger_path) as ledger:
            options = ImportOptions(files=[str(file)], source=Source(name="default"))
            import_usage(ledger, self.settings, options, clock=lambda: now)

    def wait_for_arrivals(self, count: int) -> None:
        """Look at the simulator until so many meter events have come."""
        for _ in range(MAX_LOOKS):
            if self.simulator.ledger()["identifier_totals"]["arrivals"] >= count:
                return
        raise AssertionError("they never came")

    def wait_for_answers(self) -> None:
        """Look at the simulator until it has answered every meter event that came."""
        for _ in range(MAX_LOOKS):
            page = self.simulator.ledger()
            answered = sum(
                one["count"] for one in page["requests"] if one["path"] == "/v1/billing/meter_events"
            )
            if answered >= page["identifier_totals"]["arrivals"]:
                return
        raise AssertionError("some are never answered")

    def select(self, sql: str) -> list[tuple[Any, ...]]:
        """Read from the ledger's file."""
        connection = sqlite3.connect(self.settings.ledger_path)
        try:
            return connection.execute(sql).fetchall()
        finally:
            connection.close()

    def check_everything_counted_once(self) -> None:
        """Compare Stripe and the ledger with the rows."""
        totals = self.simulator.ledger()["identifier_totals"]
        assert (totals["counted"], totals["counted_more_than_once"]) == (self.rows, 0)
        assert self.select(
            "SELECT state, COUNT(*) FROM meter_events WHERE dissolved_at IS NULL GROUP BY 1"
        ) == [("accepted", self.rows)]
        assert self.select("SELECT COUNT(*) FROM unsealed") == [(0,)]


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """Open a shop."""
    opened = Shop(tmp_path)
    yield opened
    opened.simulator.stop()


def test_usage_is_pushed_as_it_arrives_and_sigterm_is_a_clean_end(shop: Shop) -> None:
    """Three imports while it runs are three lines and all at Stripe; a supervisor's stop is exit code 0."""
    shop.bring(3)
    with working(shop.folder, shop.base) as worker:
        for rows in (3, 4, 5):
            line = worker.wait_for_event("round")
            assert (line["sealed"], line["accepted"], line["pending"]) == (rows, rows, 0)
            assert line["schema"] == "meterledger.push.log/1"
            if rows < 5:
                shop.bring(rows + 1)
        assert worker.end() == (ExitCode.DONE, "")
    shop.check_everything_counted_once()
    assert shop.select("SELECT released FROM lease") == [(1,)]
    assert shop.select("SELECT COUNT(*) FROM pushes WHERE finished_at IS NULL") == [(0,)]
    assert not (shop.folder / "meterledger.db-watch").exists()


def test_ctrl_c_is_130(shop: Shop) -> None:
    """A person at a terminal who interrupts it gets the exit code of an interruption."""
    with working(shop.folder, shop.base) as worker:
        worker.wait_for_event("started")
        assert worker.end(signal.SIGINT)[0] == ExitCode.INTERRUPTED


def test_a_stop_while_an_answer_is_slow_records_it(shop: Shop) -> None:
    """SIGTERM with a request in flight waits for its answer; it is accepted, and nothing is unknown."""
    shop.simulator.set_faults({"kind": "slow", "delay": "2s"})
    shop.bring(1)
    with working(shop.folder, shop.base) as worker:
        shop.wait_for_arrivals(1)
        assert worker.end()[0] == ExitCode.DONE
    shop.check_everything_counted_once()
    assert shop.select("SELECT outcome FROM delivery_attempts") == [("accepted",)]


def test_a_killed_worker_is_started_again(shop: Shop) -> None:
    """SIGKILL with requests in flight; the next worker takes over at once and settles them."""
    # Each customer's requests take 20 s together: however slow this machine is, some are in flight.
    shop.simulator.set_faults({"kind": "slow", "delay": "1s", "times": 0})
    shop.bring(100)
    with working(shop.folder, shop.base) as worker:
        shop.wait_for_arrivals(5)
        assert worker.end(signal.SIGKILL)[0] == -signal.SIGKILL
    assert shop.select("SELECT COUNT(*) FROM delivery_attempts WHERE outcome IS NULL")[0][0] > 0
    shop.simulator.set_faults()
    # Until it is answered, a request locks its customer and meter, and the next worker's fifth try may fail.
    shop.wait_for_answers()
    with working(shop.folder, shop.base) as worker:
        assert worker.wait_for(lambda line: line["event"] == "round")["recovered"] > 0
        worker.end()
    shop.check_everything_counted_once()


def test_a_second_worker_is_refused_and_with_wait_goes_on(shop: Shop) -> None:
    """The second one says who is there; a waiting one pushes when the first has ended."""
    with working(shop.folder, shop.base) as first:
        first.wait_for_event("started")
        with working(shop.folder, shop.base) as second:
            code, words = second.ended()
        assert code == ExitCode.LEDGER
        assert f"process {first.process.pid}" in words
        with working(shop.folder, shop.base, "--wait") as third:
            third.wait_for_event("waiting")
            first.end()
            third.wait_for_event("started")
            shop.bring(2)
            assert third.wait_for_event("round")["accepted"] == 2
            third.end()
    shop.check_everything_counted_once()


def test_stripe_is_down_for_a_while(shop: Shop) -> None:
    """The worker says that it failed, goes on when Stripe is back, and nothing counts twice."""
    shop.bring(5)
    with working(shop.folder, shop.base) as worker:
        worker.wait_for_event("round")
        shop.simulator.stop(signal.SIGKILL)
        shop.bring(5)
        failed = worker.wait_for_event("failed")
        assert failed["again_in_seconds"] > 0
        assert failed["message"]
        shop.restart()
        worker.wait_for(lambda line: line["event"] == "round" and line["pending"] == 0)
        assert worker.process.poll() is None
        worker.end()
    shop.check_everything_counted_once()


def test_a_worker_may_begin_before_stripe_can_be_reached(shop: Shop) -> None:
    """A machine that starts without a network starts its worker all the same."""
    shop.simulator.stop()
    with working(shop.folder, shop.base) as worker:
        worker.wait_for_event("failed")
        shop.bring(1)
        shop.restart()
        worker.wait_for(lambda line: line["event"] == "round" and line["accepted"] == 1)
        worker.end()
    shop.check_everything_counted_once()


def test_a_revoked_key_ends_it_with_a_clear_line(shop: Shop) -> None:
    """401 in mid-run is exit code 5, named in the log and for people, and without the key."""
    shop.bring(2)
    with working(shop.folder, shop.base) as worker:
        worker.wait_for_event("round")
        shop.simulator.stop()
        shop.restart("--key", "sk_test_another")
        shop.bring(2)
        ended = worker.wait_for_event("ended")
        code, words = worker.ended()
    assert code == ExitCode.STRIPE
    assert "401" in ended["message"]
    assert "401" in words
    assert "sk_test_x" not in words + json.dumps(worker.lines)
    assert shop.select("SELECT COUNT(*) FROM delivery_attempts WHERE outcome IS NULL") == [(0,)]


def test_a_ledger_that_is_replaced_ends_the_worker(shop: Shop) -> None:
    """It would go on with a file that nobody imports into any more, and say that all is well."""
    copy = shop.folder / "copy.db"
    copy.write_bytes(shop.settings.ledger_path.read_bytes())
    with working(shop.folder, shop.base) as worker:
        worker.wait_for_event("started")
        copy.rename(shop.settings.ledger_path)
        code, words = worker.ended()
    assert code == ExitCode.LEDGER
    assert "was replaced or removed" in words
    shop.bring(2)
    with working(shop.folder, shop.base) as worker:
        assert worker.wait_for_event("round")["accepted"] == 2
        worker.end()
    shop.check_everything_counted_once()
