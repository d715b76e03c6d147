"""
Kill and lose: the command line against a Stripe of the test's own, and a count of what came of each row.

Rows are told apart at Stripe by meter, customer and second, never by identifiers: how those are made is the
product's affair.
"""

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.independent_stripe import DAY, HOUR, IndependentStripe

START = 1_793_664_000
"""2026-11-03T00:00:00Z."""
LATEST = START + 24 * DAY
"""Before the month's end, so that no period closes."""

METERS = {"calls": "sum", "seats": "last", "bulk": "sum"}
CONFIG = """
[meters.calls]
features = ["calls"]
[meters.seats]
features = ["seats"]
aggregation = "last"
[meters.bulk]
features = ["bulk"]
rollup = "hour"
settle = "0s"
[invoicing]
anchors = "calendar"
"""
CUSTOMERS = tuple(f"cus_{number}" for number in range(7))
GONE = "cus_gone"
WAYS = ("v1", "v2", "stream")
FEW_OR_MANY = (2, 3, 4, 5, 6, 7, 8, 10, 14, 20, 35)
"""After how many requests something happens to a push; the first ones are reads."""
RUN_SECONDS = 120.0
MAX_LOOKS = 200_000
MAX_PUSHES = 12
NOTICED_SECONDS = 0.3
"""A process that heard nothing for so long asks the server for the time before it goes on."""
_LOOK_SECONDS = 0.001
DONE, NEEDS_A_PERSON, IN_USE, STRIPE_TROUBLE, INTERRUPTED = 0, 1, 4, 5, 130

Spot = tuple[str, str, int]
"""Meter, customer and second: of each row another one."""

_STATES = """
SELECT u.request_id, m.state FROM usage_events AS u
JOIN meter_event_usage AS l ON l.usage_event = u.id AND l.unlinked_at IS NULL
JOIN meter_events AS m ON m.id = l.meter_event
"""


@dataclass(slots=True)
class Job:
    """A folder with a ledger, its Stripe, and the rows that were handed over."""

    folder: Path
    stripe: IndependentStripe
    chance: random.Random
    rows: dict[str, Spot] = field(default_factory=dict)
    values: dict[str, int] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)
    killed: int = 0
    paused: int = 0

    def prepare(self) -> None:
        """Make the config and the ledger."""
        (self.folder / "meterledger.toml").write_text(CONFIG, encoding="utf-8")
        assert self.run("init")[0] == DONE

    # Processes.

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        """Start a command."""
        environment = {
            "PATH": os.environ.get("PATH", ""),
            "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
            "STRIPE_API_KEY": "sk_test_x",
            "STRIPE_API_BASE": self.stripe.url,
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

    def end(self, process: "subprocess.Popen[str]") -> tuple[int, str, str]:
        """Wait for a command to end, and look at its manners."""
        try:
            out, err = process.communicate(timeout=RUN_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise
        self.told.append(f"  {process.returncode} {err.strip()[-200:]} {out.strip()[-400:]}")
        assert "Traceback" not in err, err
        assert process.returncode != 70, err  # a bug
        return process.returncode, out, err

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """Run a command to its end."""
        self.told.append(f"{' '.join(arguments)[:100]} at {self.stripe.now - START:.0f}")
        return self.end(self.start(*arguments))

    def run_and_kill(self, requests: int, delay: float, *arguments: str) -> bool:
        """Kill a command after so many more requests and a little; tell whether it still ran."""
        process = self.start(*arguments)
        self._wait(process, requests)
        time.sleep(delay)  # a real process takes a real time
        is_at_work = process.poll() is None
        process.kill()
        process.communicate()
        self.killed += is_at_work
        self.told.append(f"{' '.join(arguments)} {'killed' if is_at_work else 'ended'} after {requests}")
        return is_at_work

    def _wait(self, process: "subprocess.Popen[str]", requests: int) -> None:
        goal = self.stripe.requests + requests
        for _ in range(MAX_LOOKS):
            if self.stripe.requests >= goal or process.poll() is not None:
                return
            time.sleep(_LOOK_SECONDS)
        raise AssertionError("it neither ended nor got that far")

    # What happens.

    def round(self) -> None:
        """Perhaps import, push in one way or another, and let time pass."""
        if self.chance.random() < 0.5:
            self.import_some()
        (push,) = self.chance.choices((self.kill, self.pause, self.interrupt, self.push), (6, 3, 1, 1))
        push()
        self.check_nothing_twice()
        spans = (0, 0, 60, HOUR, 7 * HOUR, 22 * HOUR, 25 * HOUR)
        self.pass_time(self.chance.choice(spans))

    def pass_time(self, seconds: int) -> None:
        """Let time pass, but not beyond the month."""
        if self.stripe.now + seconds < LATEST:
            self.stripe.advance(seconds)

    def import_some(self) -> None:
        """Hand over a file, sometimes again after the first reading was killed."""
        lines = []
        for _ in range(self.chance.randint(1, 150)):
            number = len(self.rows)
            feature = self.chance.choice(("calls", "calls", "calls", "seats", "bulk"))
            customer = self.chance.choice(CUSTOMERS)
            if feature == "calls" and self.chance.random() < 0.1:
                customer = GONE
            spot = (feature, customer, int(self.stripe.now) - 2 * HOUR + number % 3000)
            while spot in self.rows.values():
                spot = (feature, customer, spot[2] + 1)
            key = f"r{number}"
            self.rows[key], self.values[key] = spot, self.chance.randint(1, 1000)
            lines.append(
                json.dumps(
                    {
                        "request_id": key,
                        "customer_id": customer,
                        "feature": feature,
                        "quantity": str(self.values[key]),
                        "event_time": spot[2],
                    }
                )
            )
        file = self.folder / f"usage-{len(self.rows)}.jsonl"
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
        if self.chance.random() < 0.4:
            self.run_and_kill(0, self.chance.random() * 0.8, "import", file.name)
        # Its first step is to ask the time, and that may be lost too.
        assert DONE in (self.run("import", file.name)[0] for _ in range(9))

    def kill(self) -> None:
        """Kill a push somewhere."""
        self.run_and_kill(self.chance.choice(FEW_OR_MANY), self.chance.random() * 0.02, *self._push())

    def push(self) -> None:
        """Push to its end."""
        assert self.run(*self._push())[0] in {DONE, NEEDS_A_PERSON, STRIPE_TROUBLE}

    def interrupt(self) -> None:
        """Ask a push to end."""
        process = self.start(*self._push())
        self._wait(process, self.chance.choice(FEW_OR_MANY))
        process.send_signal(self.chance.choice((signal.SIGINT, signal.SIGTERM)))
        assert self.end(process)[0] in {DONE, NEEDS_A_PERSON, STRIPE_TROUBLE, INTERRUPTED}

    def pause(self) -> None:
        """Hold a push in its middle, let another one come, and let the first go on."""
        arguments = self._push()
        self.told.append(f"{' '.join(arguments)} is held")
        process = self.start(*arguments)
        try:
            self._wait(process, self.chance.choice(FEW_OR_MANY))
            process.send_signal(signal.SIGSTOP)
            if process.returncode is None:  # it stands only a little later, or has ended by then
                os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
            held = process.poll() is None
            span = self.chance.choice((1, 180, HOUR, 22 * HOUR, 25 * HOUR))
            self.pass_time(span)
            if self.chance.random() < 0.3:
                self.kill()
            elif self.chance.random() < 0.8:
                code = self.run(*self._push())[0]
                if span == 1 and held:
                    assert code in {IN_USE, DONE, NEEDS_A_PERSON, STRIPE_TROUBLE}
            self.paused += held
            time.sleep(NOTICED_SECONDS)  # the hold is one by its own clock too
            process.send_signal(signal.SIGCONT)
            if self.chance.random() < 0.3:
                time.sleep(self.chance.random() * 0.3)  # a real process takes a real time
                process.kill()
                process.communicate()
            else:
                assert self.end(process)[0] != 2
        finally:
            if process.poll() is None:
                process.kill()
                process.communicate()

    def _push(self) -> tuple[str, ...]:
        way, at_once = self.chance.choice(WAYS), str(self.chance.choice((1, 4, 32)))
        return ("push", "--api", way, "--concurrency", at_once, "--max-duration", "20s", "--format", "json")

    # What has to hold.

    def check_nothing_twice(self) -> None:
        """Check that Stripe counted nothing twice, and of nothing more than there is."""
        self.stripe.settle()
        names = Counter(one.identifier for one in self.stripe.counted)
        twice = [name for name, count in names.items() if count > 1]
        assert not twice, [one for one in self.stripe.counted if one.identifier in twice]
        found = self.counts()
        assert (again := [spot for spot, count in found.items() if count > 1]) == [], again
        assert found.keys() <= set(self.rows.values())
        given = self.sums()
        assert all(total <= given[lane] for lane, total in self.sums_at_stripe().items())

    def finish(self) -> None:
        """Let the weather clear, push to the end, and check each row; then settle what is open, and again."""
        self.stripe.mishaps = 0.0
        for _ in range(MAX_PUSHES):
            code, out, _ = self.run("push", "--format", "json")
            assert code in {DONE, NEEDS_A_PERSON, STRIPE_TROUBLE}
            self.check_nothing_twice()
            document: dict[str, Any] = json.loads(out)
            if document.get("pending") == 0 or (document.get("in_doubt") and not self.select(_OPEN)):
                break
            self.stripe.advance(DAY)
        else:
            raise AssertionError("it never comes to an end")
        self.check_each_row()
        self.settle_the_rest()

    def check_each_row(self) -> None:
        """Each row is counted once, listed as in doubt or rejected, waits behind doubt, or is superseded."""
        listed = self.listed()
        counted, states = self.counts(), dict(self.select(_STATES))
        for key, spot in self.rows.items():
            if spot[0] == "bulk":
                continue
            match states.get(key, "unsealed"):
                case "accepted":
                    assert (counted[spot], spot[1]) == (1, spot[1]), (key, spot, counted[spot])
                case "in_doubt":
                    assert counted[spot] <= 1
                case "rejected":
                    assert (counted[spot], spot[1]) == (0, GONE)
                case "unsealed":
                    assert spot[0] == "seats"
                    assert counted[spot] == 0
                    assert ("seats", spot[1]) in listed.values() or self.is_superseded(spot)
                case other:
                    raise AssertionError(f"{key} is {other}")
        self._check_sums()
        for customer in CUSTOMERS:
            order = [
                one.timestamp
                for one in self.stripe.counted
                if (one.event_name, one.customer) == ("seats", customer)
            ]
            assert order == sorted(order)

    def _check_sums(self) -> None:
        """Of rolled-up usage nothing is missing but what is in doubt, and that to the unit."""
        there: Counter[str] = Counter()
        for one in self.stripe.counted:
            if one.event_name == "bulk":
                there[one.identifier] += int(one.value)
        doubtful: Counter[str] = Counter()
        for identifier, customer, quantity in self.select(_DOUBTFUL_BULK):
            doubtful[customer] += 0 if identifier in there else quantity
        sums, given = self.sums_at_stripe(), self.sums()
        assert {lane: sums[lane] + doubtful[lane[1]] for lane in given} == given

    def settle_the_rest(self) -> None:
        """Let a person settle what is in doubt by the truth, mend what was rejected, and count once more."""
        self.stripe.refused_later.clear()
        for _ in range(MAX_PUSHES):
            known = {one.identifier for one in self.stripe.counted}
            sent: defaultdict[str, list[str]] = defaultdict(list)
            for identifier in self.listed():
                sent["sent" if identifier in known else "not-sent"].append(identifier)
            for verdict, identifiers in sent.items():
                assert self.run("resolve", *identifiers, "--as", verdict, "--note", "counted")[0] == DONE
            code = self.run("push", "--retry-rejected", "--format", "json")[0]
            superseded = self.superseded()
            if code == (NEEDS_A_PERSON if superseded else DONE) and not self.listed():
                break
            self.stripe.advance(25 * HOUR)
        else:
            self.run("preview")
        self.check_nothing_twice()
        assert all(self.is_superseded(spot) for spot in superseded)
        wanted = Counter(spot for spot in self.rows.values() if spot[0] != "bulk" and spot not in superseded)
        assert self.counts() == wanted
        assert self.sums_at_stripe() == self.sums()
        assert self.run("verify")[0] == DONE

    def superseded(self) -> set[Spot]:
        """
        Return the rows that are left out for good, if `status` says so of each that is not sealed.

        It was not taken, and then a push was killed that had claimed later ones too: they may have left.
        """
        document = json.loads(self.run("status", "--format", "json")[1])
        spots = {self.rows[key] for (key,) in self.select(_UNSEALED)}
        return spots if document["blocked"] == [{"reason": "superseded", "count": len(spots)}] else set()

    def is_superseded(self, spot: Spot) -> bool:
        """Tell whether Stripe counted a later value of its customer."""
        later = (one for one in self.stripe.counted if one.timestamp > spot[2])
        return spot[0] == "seats" and any((one.event_name, one.customer) == spot[:2] for one in later)

    def listed(self) -> dict[str, tuple[str, str]]:
        """Return what `status` lists as in doubt: its meter and customer, by identifier."""
        document = json.loads(self.run("status", "--format", "json")[1])
        return {
            one["identifier"]: (one["event_name"], one["stripe_customer_id"]) for one in document["in_doubt"]
        }

    def counts(self) -> Counter[Spot]:
        """Return how often each row was counted that goes by itself."""
        return Counter(
            (one.event_name, one.customer, one.timestamp)
            for one in self.stripe.counted
            if one.event_name != "bulk"
        )

    def sums(self) -> Counter[tuple[str, str]]:
        """Return what was handed over of rolled-up usage."""
        sums: Counter[tuple[str, str]] = Counter()
        for key, (feature, customer, _) in self.rows.items():
            if feature == "bulk":
                sums[feature, customer] += self.values[key]
        return sums

    def sums_at_stripe(self) -> Counter[tuple[str, str]]:
        """Return what Stripe counted of it."""
        sums: Counter[tuple[str, str]] = Counter()
        for one in self.stripe.counted:
            if one.event_name == "bulk":
                sums[one.event_name, one.customer] += int(one.value)
        return sums

    def select(self, sql: str) -> list[Any]:
        """Read from the ledger's file."""
        connection = sqlite3.connect(self.folder / "meterledger.db")
        try:
            return connection.execute(sql).fetchall()
        finally:
            connection.close()


_OPEN = "SELECT 1 FROM meter_events WHERE state IN ('pending', 'sending') AND dissolved_at IS NULL"
_UNSEALED = "SELECT u.request_id FROM unsealed AS n JOIN usage_events AS u ON u.id = n.usage_event"
_DOUBTFUL_BULK = """
SELECT identifier, stripe_customer_id, quantity FROM meter_events
WHERE state = 'in_doubt' AND event_name = 'bulk' AND scale = 0
"""
