"""
Seal and claim unsealed usage as a push does, and send nothing: the seconds it takes.

With ``--accept`` every meter event is recorded as accepted besides, which fills a ledger.
"""

import argparse
import asyncio
import json
import time
from collections.abc import Iterable
from pathlib import Path

from meterledger import __version__
from meterledger.cli.counterpart import rare_collections
from meterledger.config import load_settings
from meterledger.domain.delivery import Outcome, Result
from meterledger.domain.way import Way
from meterledger.ledger import open_ledger
from meterledger.usecases.door import lease_held
from meterledger.usecases.draining import Drain, drain
from meterledger.usecases.planning import Planner
from meterledger.usecases.rolling_up import RollUp
from meterledger.usecases.sending import Parcel, Surroundings
from meterledger.usecases.streaming import WaySender

OUTCOMES_AT_ONCE = 2_000


class Taking(WaySender):
    """Takes every claim, and sends none."""

    def add(self, parcels: Iterable[Parcel]) -> None:
        """Leave them in flight."""

    async def wait_until_below(self, count: int) -> None:  # there is nothing to wait for
        """Go on at once: nothing is being delivered."""


class Accepting(Taking):
    """Takes every claim, and has it accepted at once."""

    def add(self, parcels: Iterable[Parcel]) -> None:
        """Record an outcome for each."""
        for parcel in parcels:
            for claimed in parcel.claims:
                now = self.around.clock()
                self._record(claimed, Outcome(result=Result.ACCEPTED, at=now, answered=True, http_status=200))


def main() -> None:
    """Seal what was asked for, and print how much it was and how long it took."""
    parser = argparse.ArgumentParser()
    parser.add_argument("config", type=Path)
    parser.add_argument("ledger", type=Path)
    parser.add_argument("--api", type=Way, default=Way.V1)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--accept", action="store_true")
    options = parser.parse_args()
    settings = load_settings(options.config, folder=options.config.parent).by_way(options.api)
    with open_ledger(options.ledger) as ledger, lease_held(ledger, _now) as token:
        begun, cpu = time.perf_counter(), time.process_time()
        planner = Planner(ledger, settings, _now())
        push = ledger.outbox.begin_push(options.api, __version__, token, _now())
        sender = (Accepting if options.accept else Taking)(
            gateway=_Nobody(),
            ledger=ledger,
            push=push,
            token=token,
            around=Surroundings(
                clock=_now, monotonic=time.monotonic, sleep=asyncio.sleep, chance=lambda: 0.5
            ),
            concurrency=1,
            flush_outcomes=OUTCOMES_AT_ONCE,
        )
        run = Drain(
            ledger=ledger,
            limit=options.limit,
            around=sender.around,
            planner=planner,
            sender=sender,
            push=push,
            token=token,
            rollup=RollUp(planner) if planner.rolls_up else None,
        )
        with rare_collections():
            asyncio.run(drain(run, lambda _sender, _work: None))
        print(
            json.dumps(
                {
                    "sealed": sender.tally.sealed,
                    "seconds": time.perf_counter() - begun,
                    "cpu_seconds": time.process_time() - cpu,
                }
            )
        )


class _Nobody:
    """Is never asked to send anything."""

    async def send(self, body: dict[str, object], idempotency_key: str) -> Outcome:
        raise NotImplementedError

    async def send_v2(self, body: dict[str, object], idempotency_key: str) -> Outcome:
        raise NotImplementedError

    async def send_batch(self, events: object, idempotency_key: str) -> Outcome:
        raise NotImplementedError


def _now() -> int:
    return time.time_ns() // 1000  # noqa: TID251 # usage of the last days is to be sent today


if __name__ == "__main__":
    main()
