"""The simulator as a process of its own, and its control pages: the other side, and the judge."""

import contextlib
import http.client
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from meterledger.domain.instant import SECOND, Instant, to_text
from meterledger.errors import StripeError

KEY = "sk_test_prove"
"""What every history pushes with."""

_LISTENING = "meterledger simulator listening on "
_OK = 200
_MOST_DAYS = 60
_DAY_SECONDS = 86_400
_STOP_SECONDS = 10
_REQUEST_SECONDS = 30
_OWN_VARIABLES = ("METERLEDGER_", "STRIPE_")


class LocalStripe:
    """A running simulator, by its control pages; ``base`` is its address."""

    def __init__(self, base: str) -> None:
        self.base = base
        parts = urlsplit(base)
        self._host, self._port = parts.hostname or "", parts.port

    def reset(self, now: Instant) -> None:
        """Forget everything but the meters, and let the clock stand at an instant."""
        self._asked("reset", {"now": to_text(now), "mode": "frozen"})
        self.plan_faults(())

    def set_clock(self, now: Instant) -> None:
        """Let the clock stand at an instant."""
        self._asked("clock", {"now": to_text(now)})

    def plan_faults(self, faults: Sequence[Mapping[str, object]]) -> None:
        """Put faults in the place of those that are planned."""
        self._asked("faults", {"faults": list(faults)})

    def faults_struck(self) -> int:
        """Return how many times faults of the present plan struck."""
        return sum(fault["struck"] for fault in self._asked("faults?limit=1")["faults"])

    def page(self) -> dict[str, Any]:
        """Return what was counted, with every identifier."""
        return self._asked("ledger?identifiers=1")

    def day_totals(self, event_name: str, customer: str, first: int, last: int) -> dict[int, Decimal]:
        """Return what Stripe's own summaries say of each UTC day of a span, by the day's number."""
        [meter] = [one["id"] for one in self._read("meters?limit=100") if one["event_name"] == event_name]
        found: dict[int, Decimal] = {}
        for day in range(first, last + 1, _MOST_DAYS):
            until = min(last + 1, day + _MOST_DAYS)
            query = (
                f"customer={customer}&start_time={day * _DAY_SECONDS}&end_time={until * _DAY_SECONDS}"
                "&value_grouping_window=day&limit=100"
            )
            for one in self._read(f"meters/{meter}/event_summaries?{query}"):
                found[one["start_time"] // _DAY_SECONDS] = Decimal(str(one["aggregated_value"]))
        return found

    def _read(self, path: str) -> list[dict[str, Any]]:
        headers = {"Authorization": f"Bearer {KEY}"}
        data: list[dict[str, Any]] = self._request(f"/v1/billing/{path}", None, headers)["data"]
        return data

    def _asked(self, page: str, document: Mapping[str, object] | None = None) -> dict[str, Any]:
        return self._request(f"/_simulator/{page}", document, {})

    def _request(
        self, path: str, document: Mapping[str, object] | None, headers: Mapping[str, str]
    ) -> dict[str, Any]:
        connection = http.client.HTTPConnection(self._host, self._port, timeout=_REQUEST_SECONDS)
        try:
            body = None if document is None else json.dumps(document)
            connection.request("GET" if body is None else "POST", path, body, dict(headers))
            answer = connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise StripeError(f"the simulator does not answer any more: {error}") from error
        finally:
            connection.close()
        if answer.status != _OK:
            raise StripeError(f"the simulator refused {path}: {text.decode(errors='replace')}")
        found: dict[str, Any] = json.loads(text)
        return found


@contextlib.contextmanager
def local_stripe(config: Path, now: Instant) -> Iterator[LocalStripe]:
    """Run a simulator with the meters of a config, its clock standing, until the block ends."""
    options = ("--clock", str(now // SECOND), "--freeze", "--report-samples", "100")
    with simulator_process(config, *options) as base:
        yield LocalStripe(base)


@contextlib.contextmanager
def simulator_process(config: Path, *options: str) -> Iterator[str]:
    """Run a simulator with the meters of a config on a free port, and yield its address."""
    environment = {key: text for key, text in os.environ.items() if not key.startswith(_OWN_VARIABLES)}
    command = ["--port", "0", "--seed-from", config.name, *options]
    # What it says to people is for those who start it themselves; here it is told only where it fails.
    with (config.parent / "simulator.log").open("w+", encoding="utf-8") as said:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "meterledger", "simulator", *command],
            cwd=config.parent,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
        )
        try:
            line = process.stdout.readline() if process.stdout else ""
            if not line.startswith(_LISTENING):
                said.seek(0)
                raise StripeError(f"the simulator did not start: {said.read().strip()}")
            yield line.removeprefix(_LISTENING).split()[0]
        finally:
            _stop(process)


def _stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout:
        process.stdout.close()
