"""A ledger with usage of four customers, pushed by real processes through a proxy that meddles."""

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from meterledger.config import Source, load_settings
from meterledger.ledger import create_ledger, open_ledger
from meterledger.usecases.import_usage import ImportOptions, import_usage
from meterledger.usecases.verify import verify
from support.meddling_proxy import MeddlingProxy, lets_through
from support.simulator_process import SimulatorProcess

KEY = "sk_test_4eC39HqLyjWDarjtT1zdp7dc"
RUN_SECONDS = 120.0
CUSTOMERS = 4
CONFIG = '[meters.calls]\nfeatures = ["calls"]\n'
_HASTY = """
import ctypes, os, sys, time
header, held = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
libc = ctypes.CDLL(None)
libc.capget(header, held)
held[:2] = [one & ~0b110 for one in held[:2]]
libc.capset(header, held)
from meterledger.domain import delivery
from meterledger.stripe_gateway import transport
delivery.MIN_BACKOFF_SECONDS = delivery.MAX_BACKOFF_SECONDS = 0.01
transport.TOTAL_TIMEOUT_SECONDS = float(os.environ["REQUEST_SECONDS"])
machine = time.time_ns
def told():
    with open("seconds_ahead") as file:
        return machine() + int(file.read()) * 10**9
time.time_ns = told
from meterledger.cli.main import run
sys.exit(run(sys.argv[1:]))
"""
"""
The command without its long waits, by a clock that can be set while it runs, and without the right of root
to write what is read-only.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The one JSON document on stdout."""
        return json.loads(self.out)


def make_ledger(folder: Path, epoch: int) -> None:
    """Write a config, and a ledger with one usage event of an hour ago for each customer."""
    (folder / "meterledger.toml").write_text(CONFIG, encoding="utf-8")
    rows = [
        {
            "request_id": f"r{number}",
            "customer_id": f"cus_{number}",
            "feature": "calls",
            "quantity": number + 1,
            "event_time": epoch - 3600,
        }
        for number in range(CUSTOMERS)
    ]
    (folder / "usage.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    settings = load_settings(folder / "meterledger.toml", folder=folder)
    create_ledger(settings.ledger_path)
    with open_ledger(settings.ledger_path) as ledger:
        options = ImportOptions(files=[str(folder / "usage.jsonl")], source=Source(name="default"))
        import_usage(ledger, settings, options, clock=lambda: epoch * 1_000_000)


class Till:
    """A folder with a ledger of its own, a simulator, and the proxy between them."""

    def __init__(
        self, template: Path, folder: Path, simulator: SimulatorProcess, proxy: MeddlingProxy
    ) -> None:
        shutil.copytree(template, folder, dirs_exist_ok=True)
        self.folder, self.simulator, self.proxy = folder, simulator, proxy
        self.request_seconds = 30
        self.set_clock_ahead(0)
        simulator.reset()
        proxy.meddle = lets_through
        proxy.requests.clear()

    @property
    def ledger_path(self) -> Path:
        """The ledger's file."""
        return self.folder / "meterledger.db"

    def set_clock_ahead(self, seconds: int) -> None:
        """Set the clock of the commands, running ones too, against the real one."""
        (self.folder / "ahead").write_text(str(seconds), encoding="utf-8")
        (self.folder / "ahead").replace(self.folder / "seconds_ahead")

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command as a process of its own."""
        environment = {
            "PATH": os.environ.get("PATH", ""),
            "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
            "STRIPE_API_KEY": KEY,
            "STRIPE_API_BASE": self.proxy.url,
            "NO_COLOR": "1",
            "REQUEST_SECONDS": str(self.request_seconds),
        }
        return subprocess.Popen(
            [sys.executable, "-c", _HASTY, *arguments],
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def ended(self, process: subprocess.Popen[str]) -> Ended:
        """Wait for a command; whatever happened, it says no key, and no words of a bug."""
        try:
            out, err = process.communicate(timeout=RUN_SECONDS)
        finally:
            process.kill()
        for word in (KEY, "Traceback", "this is a bug", "BMES_"):
            assert word not in out + err, out + err
        return Ended(code=process.returncode, out=out, err=err)

    def run(self, *arguments: str) -> Ended:
        """Run a command to its end."""
        return self.ended(self.start(*arguments))

    def push(self, way: str, *arguments: str) -> Ended:
        """Push by a way in."""
        return self.run("push", "--api", way, "--format", "json", *arguments)

    def states(self) -> dict[str, int]:
        """Return how many meter events are in which state."""
        with open_ledger(self.ledger_path) as ledger:
            return {str(state): count for state, count in ledger.outbox.counts().items() if count}

    def status(self) -> dict[str, int]:
        """Return the same as `status` has it."""
        found = self.run("status", "--format", "json").document["meter_events"]
        return {state: count for state, count in found.items() if count and state != "canceled"}

    def mended(self, way: str) -> None:
        """Take the cause away and push again: everything is counted once, and the ledger is sound."""
        self.proxy.meddle = lets_through
        self.request_seconds = 30
        ended = self.push(way)
        assert ended.code == 0, ended.out + ended.err
        self.check_counted_once()

    def check_counted_once(self) -> None:
        """Compare what the simulator counted with the usage, to the unit, and verify the ledger."""
        page = self.simulator.ledger(identifiers=True)
        assert page["identifier_totals"]["counted_more_than_once"] == 0
        totals = Counter({row["customer"]: int(row["total"]) for row in page["usage"]})
        assert totals == {f"cus_{number}": number + 1 for number in range(CUSTOMERS)}
        with open_ledger(self.ledger_path) as ledger:
            assert [check.name for check in verify(ledger) if not check.ok] == []
            assert ledger.outbox.counts()["accepted"] == CUSTOMERS
        for file in self.folder.iterdir():
            assert KEY.encode() not in file.read_bytes()


@contextmanager
def open_tills(folder: Path, *options: str) -> Iterator[Callable[[Path], Till]]:
    """Start a simulator by the real clock and a proxy before it; yield what makes a till in a folder."""
    seed = folder / "seed"
    seed.mkdir()
    (seed / "meterledger.toml").write_text(CONFIG, encoding="utf-8")
    header = "customer_id,stripe_customer_id\n"
    lines = (f"cus_{number},cus_{number}\n" for number in range(CUSTOMERS))
    (seed / "customers.csv").write_text(header + "".join(lines), encoding="utf-8")
    with (
        SimulatorProcess("--seed-from", str(seed / "meterledger.toml"), *options) as simulator,
        MeddlingProxy(simulator.url) as proxy,
    ):
        template = folder / "template"
        template.mkdir()
        make_ledger(template, int(simulator.ledger()["epoch"]))
        yield lambda to: Till(template, to, simulator, proxy)
