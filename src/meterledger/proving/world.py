"""One history as it is lived: a ledger on disk, a local Stripe, the model, and what is done to them."""

import asyncio
import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import assert_never

from meterledger.config import Settings, Source, load_settings
from meterledger.domain.instant import DAY, HOUR, MINUTE, Instant
from meterledger.errors import LedgerError, MeterledgerError, StripeError
from meterledger.ledger import Ledger, open_ledger
from meterledger.ledger.opening import ledger_over
from meterledger.proving.at_stripe import pushing, reading_reports
from meterledger.proving.backup import Backup, backed_up
from meterledger.proving.crashes import Crash, CrashPoints, MortalDatabase, until_death
from meterledger.proving.history import (
    NOTICE,
    START,
    BackUp,
    Configure,
    History,
    ImportCustomers,
    ImportFile,
    PlanFaults,
    Push,
    Restore,
    Row,
    SetClockBack,
    Settle,
    Step,
    Wait,
    WriteOff,
    config_text,
)
from meterledger.proving.invariants import Broken, Invariant
from meterledger.proving.local_stripe import LocalStripe
from meterledger.proving.model import Model
from meterledger.proving.second_pusher import SecondPusher
from meterledger.usecases.door import PushGateway
from meterledger.usecases.import_customers import CustomersOptions, import_customers
from meterledger.usecases.import_usage import ImportOptions, import_usage
from meterledger.usecases.push import PushReport
from meterledger.usecases.write_off import WriteOffOptions, write_off

AFTER_A_CRASH = 3 * MINUTE
"""Longer than a lease: this process goes on living, so that its lease has to run out."""

_MONTH = 29 * DAY
_READS = 9
"""More than a plan has faults that strike reads."""
_SOURCE = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What is proved; others in their places show that the proof finds what is wrong with them."""

    gateway: Callable[[PushGateway], PushGateway] = lambda gateway: gateway
    ledger: Callable[[Ledger], Ledger] = lambda ledger: ledger


@dataclass(slots=True, kw_only=True)
class Tally:
    """What was done and checked, over all histories."""

    checked: Counter[Invariant] = field(default_factory=Counter)
    imports: int = 0
    pushes: int = 0
    crashes: int = 0
    requests: int = 0
    faults_struck: int = 0


@dataclass(slots=True, kw_only=True)
class World:
    """Everything a history happens to; ``folder`` is its own, with a config and an empty ledger."""

    folder: Path
    stripe: LocalStripe
    parts: Parts
    tally: Tally
    chance: random.Random
    now: Instant = START
    model: Model = field(default_factory=Model)
    settings: Settings = field(init=False)
    harmed: bool = False
    """Whether a crash or a fault has struck: before, nothing can be in doubt."""
    reads_may_fail: bool = False
    """Whether a fault is planned for what a push reads before it sends."""
    wrote_off: bool = False
    """Whether a person closed what was blocked."""
    restored: bool = False
    """Whether an old copy took the ledger's place: of what was sent before it knows by Stripe alone."""
    rollup: str = "none"
    """How the config rolls usage up now."""
    calendar: bool = False
    """Whether it says that periods are calendar months."""
    handed: list[tuple[Row, ...]] = field(default_factory=list)
    """Each file that was handed over, in order."""
    _backup: Backup | None = None

    def __post_init__(self) -> None:
        self._load()

    def _load(self) -> None:
        self.settings = load_settings(self.folder / "meterledger.toml", folder=self.folder)

    def live(self, step: Step) -> None:  # noqa: C901 # one case for each kind of step
        """Do one step; raises Broken where something turns out that must not be."""
        match step:
            case ImportFile():
                self._import(step)
            case Push():
                self._push_in_bad_weather(step)
            case PlanFaults():
                self.plan_faults(step.faults)
            case Wait():
                self.wait(step.span)
            case SetClockBack():
                self._set_clock_back()
            case Settle():
                self._settle()
            case Configure():
                self._configure(step)
            case ImportCustomers():
                self._import_customers(step)
            case WriteOff():
                self._write_off()
            case BackUp():
                self._back_up()
            case Restore():
                self._restore()
            case _:
                assert_never(step)

    def check(self, invariant: Invariant, holds: bool, detail: str) -> None:  # noqa: FBT001 # as assert
        """Count a check; raises Broken if it does not hold."""
        self.tally.checked[invariant] += 1
        if not holds:
            raise Broken(invariant, detail)

    @contextmanager
    def ledger(self, points: CrashPoints | None = None) -> Iterator[Ledger]:
        """Open the ledger, as a process does at its start."""
        with open_ledger(self.settings.ledger_path) as ledger:
            mortal = ledger_over(MortalDatabase(ledger.database, points), ledger.path) if points else ledger
            yield self.parts.ledger(mortal)

    def wait(self, span: int) -> None:
        """Let time pass; once a month somebody reads the error reports, as Stripe keeps them no longer."""
        while span > _MONTH:
            self._set_clock(self.now + _MONTH)
            span -= _MONTH
            self._read_reports()
        self._set_clock(self.now + span)

    def _read_reports(self) -> None:
        for _ in range(_READS):
            try:
                with self.ledger() as ledger:
                    asyncio.run(reading_reports(self, ledger))
            except StripeError:
                continue  # a fault that strikes reads
            return

    def plan_faults(self, faults: tuple[Mapping[str, object], ...] = ()) -> None:
        """Put these faults in the place of those that are planned."""
        self._count_faults()
        self.stripe.plan_faults(faults)
        self.reads_may_fail = any("on" in fault for fault in faults)

    def push(
        self, step: Push, points: CrashPoints | None = None, second: SecondPusher | None = None
    ) -> PushReport | None:
        """
        Push; None where the process died. Raises what push raises.

        Args:
            step: How.
            points: Where it dies, if not at the step's own point.
            second: Who comes while it is held.
        """
        self.tally.pushes += 1
        points = points or CrashPoints(step.crash_at)
        try:
            with self.ledger(points) as ledger:
                dying = until_death(pushing(self, ledger, step, points, second or SecondPusher()), points)
                return asyncio.run(dying)
        except Crash:
            self._die()
            return None
        finally:
            self._count_faults(keep=True)

    def _push_in_bad_weather(self, step: Push) -> None:
        second = SecondPusher()
        try:
            self.push(step, second=second)
            ended_well = True
        except MeterledgerError as error:
            ended_well = False
            # A fault that strikes a read at the door may end a push, before anything is sent; so may another.
            if not (second.took_over if isinstance(error, LedgerError) else self._may_refuse(error)):
                raise Broken(Invariant.ENDS_IN_ORDER, f"push ended with: {error.message}") from error
        self.check(Invariant.ENDS_IN_ORDER, holds=True, detail="")
        if second.came:
            self.harmed = self.harmed or second.took_over
            second.check(self, ended_well=ended_well)

    def _may_refuse(self, error: MeterledgerError) -> bool:
        return isinstance(error, StripeError) and self.reads_may_fail

    def _import(self, step: ImportFile) -> None:
        self.handed.append(step.rows)
        file = self.folder / f"usage-{len(self.handed)}.jsonl"
        file.write_text("".join(f"{row.line()}\n" for row in step.rows), encoding="utf-8")
        expected = self.model.hand_over(step.rows)
        try:
            found, died = self._import_once(file, CrashPoints(step.crash_at)), False
        except Crash:
            self._die()
            found, died = self._import_once(file), True
        if died:
            # What the dead process had committed comes as duplicates now.
            for counts in (expected, found):
                counts["duplicates"] += counts.pop("accepted", 0)
        self.check(
            Invariant.ROWS_ACCOUNTED_FOR,
            +found == +expected,
            f"{file.name}: import says {dict(+found)}, the model {dict(+expected)}",
        )

    def _import_once(self, file: Path, points: CrashPoints | None = None) -> Counter[str]:
        self.tally.imports += 1
        options = ImportOptions(files=[str(file)], source=Source(name=_SOURCE))
        with self.ledger(points) as ledger:
            report = import_usage(ledger, self.settings, options, clock=lambda: self.now)
        counts = report.counts
        self.check(
            Invariant.ENDS_IN_ORDER,
            not report.failed,
            f"import: {[error.message for error in report.failed]}",
        )
        found = Counter(
            accepted=counts.accepted,
            duplicates=counts.duplicates,
            conflicts=counts.conflicts,
            rejected=counts.rejected,
        )
        self.check(
            Invariant.ROWS_ACCOUNTED_FOR,
            counts.rows_read == found.total(),
            f"{file.name}: {counts.rows_read} rows read, {dict(found)}",
        )
        return found

    def _set_clock_back(self) -> None:
        right = self.now
        before = self.stripe.page()["identifier_totals"]
        with self.ledger() as ledger:
            latest = ledger.outbox.latest_own_instant()
        self._set_clock(right - DAY)
        try:
            self.push(Push())
            refused = False
        except LedgerError:
            refused = True
        except StripeError:
            refused = False
        self._set_clock(right)
        after = self.stripe.page()["identifier_totals"]
        if latest is not None and latest > right - DAY + HOUR:
            self.check(
                Invariant.CLOCK_SET_BACK_STOPS,
                refused and before == after,
                "the clock was a day behind what the ledger holds, and push went on",
            )

    def _settle(self) -> None:
        counted = self.stripe.page()["identifiers"]
        with self.ledger() as ledger:
            for row in ledger.reports.in_doubt():
                identifier = row["identifier"]
                sent = counted.get(identifier, {"counted": 0})["counted"] > 0
                ledger.outbox.resolve(identifier, sent=sent, note="seen at Stripe", now=self.now)

    def _configure(self, step: Configure) -> None:
        self.rollup, self.calendar = step.rollup, step.calendar
        text = config_text(step.rollup, calendar=step.calendar)
        (self.folder / "meterledger.toml").write_text(text, encoding="utf-8")
        self._load()

    def _import_customers(self, step: ImportCustomers) -> None:
        file = self.folder / "customers.jsonl"
        file.write_text("".join(f"{line.line()}\n" for line in step.lines), encoding="utf-8")
        options = CustomersOptions(files=[str(file)], effective=self.now + NOTICE)
        with self.ledger() as ledger:
            report = import_customers(ledger, self.settings, options, clock=lambda: self.now)
        told = [problem.message for problem in report.problems]
        self.check(Invariant.ENDS_IN_ORDER, report.committed, f"customers import: {told}")
        self.model.tell_customers(step.lines, self.now + NOTICE)

    def _write_off(self) -> None:
        with self.ledger() as ledger:
            options = WriteOffOptions(note="too late")
            write_off(ledger, self.settings, options, clock=lambda: self.now)
        self.wrote_off = True

    def _back_up(self) -> None:
        page = self.stripe.page()["identifier_totals"]
        with self.ledger() as ledger:
            counts = ledger.outbox.counts()
        # Else a surplus may hide behind what the ledger takes for sent: that is said to be no promise.
        if counts["accepted"] == page["counted"] and not any(
            counts[state] for state in ("sending", "in_doubt", "rejected")
        ):
            self._backup = backed_up(self.settings.ledger_path, self.model, len(self.handed))

    def _restore(self) -> None:
        if self._backup is None:
            return
        path = self.settings.ledger_path
        latest = backed_up(path, self.model, len(self.handed))
        customers = self.model.customers
        self.model = self._backup.put_back(path)
        if customers != self.model.customers:
            # Who is billed came since: nobody would know that from the usage alone.
            self.model = latest.put_back(path)
            return
        for rows in self.handed[self._backup.files : latest.files]:
            self._import(ImportFile(rows=rows))
        counted = self.stripe.page()["identifier_totals"]["counted"]
        try:
            report = self.push(Push())
            stopped = report is not None and report.stopped_at_door
        except MeterledgerError as error:
            if not self._may_refuse(error):
                raise Broken(Invariant.ENDS_IN_ORDER, f"push ended with: {error.message}") from error
            stopped = True
        new = self.stripe.page()["identifier_totals"]["counted"] - counted
        if stopped:
            self.check(Invariant.OLD_COPY_STOPS, new == 0, f"it stopped, and {new} were counted")
        if new:
            self.restored = True
        else:
            self.model = latest.put_back(path)

    def _set_clock(self, now: Instant) -> None:
        self.now = now
        self.stripe.set_clock(now)

    def _die(self) -> None:
        self.tally.crashes += 1
        self.harmed = True
        self.wait(AFTER_A_CRASH)

    def _count_faults(self, *, keep: bool = False) -> None:
        struck = self.stripe.faults_struck()
        self.harmed = self.harmed or struck > 0
        if not keep:
            self.tally.faults_struck += struck


@contextmanager
def world(
    history: History, template: Path, stripe: LocalStripe, parts: Parts, tally: Tally
) -> Iterator[World]:
    """Make the world of a history: a copy of the template beside it, and a Stripe that has seen nothing."""
    folder = template.with_name("history")
    shutil.copytree(template, folder)
    try:
        stripe.reset(START)
        chance = random.Random(history.seed)  # noqa: S311 # it is to be drawn again, not to be a secret
        yield World(folder=folder, stripe=stripe, parts=parts, tally=tally, chance=chance)
        tally.requests += sum(row["count"] for row in stripe.page()["requests"])
    finally:
        shutil.rmtree(folder)
