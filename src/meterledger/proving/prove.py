"""Prove: live many histories, and find the smallest that fails."""

import tempfile
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from meterledger.config import load_settings
from meterledger.errors import MeterledgerError, StripeError
from meterledger.ledger import create_ledger
from meterledger.proving.checks import check_at_any_time, check_the_end
from meterledger.proving.drawing import draw
from meterledger.proving.history import START, History, Push, Restore, config_text
from meterledger.proving.invariants import Broken, Invariant
from meterledger.proving.local_stripe import LocalStripe, local_stripe
from meterledger.proving.shrinking import shrunk
from meterledger.proving.world import Parts, Tally, World, world


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A history that broke an invariant, made as small as could be."""

    history: History
    broken: Broken
    first_steps: int
    """How many steps the history had as it was drawn."""


@dataclass(slots=True, kw_only=True)
class ProofReport:
    """What was lived and checked; ``failure`` is None where everything held."""

    seed: int
    runs: int = 0
    tally: Tally = field(default_factory=Tally)
    failure: Failure | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Watcher:
    """Called while it runs; ``is_over`` before each history but the first, to end early."""

    lived: Callable[[int], None] = lambda _runs: None
    failed: Callable[[Broken], None] = lambda _broken: None
    is_over: Callable[[], bool] = lambda: False


def prove(seed: int, runs: int, *, watcher: Watcher | None = None, parts: Parts | None = None) -> ProofReport:
    """
    Live the histories of ``runs`` seeds from ``seed`` on, until one fails.

    Args:
        seed: The first seed; the next history has the next one.
        runs: How many.
        watcher: Is told how it goes, and says when to end.
        parts: What is proved, unless it is the program as it is.

    Raises:
        StripeError: The simulator could not be started, or died.
    """
    watcher, parts = watcher or Watcher(), parts or Parts()
    report = ProofReport(seed=seed)
    with tempfile.TemporaryDirectory(prefix="meterledger-prove-") as name:
        template = template_in(Path(name) / "template")
        with local_stripe(template / "meterledger.toml", START) as stripe:

            def lived(history: History, tally: Tally) -> Broken | None:
                return _live(history, template, stripe, parts, tally)

            for number in range(runs):
                if number and watcher.is_over():
                    break
                history = draw(seed + number)
                broken = lived(history, report.tally)
                report.runs += 1
                watcher.lived(report.runs)
                if broken is not None:
                    watcher.failed(broken)
                    report.failure = _smallest(history, broken, lambda tried: lived(tried, Tally()))
                    break
    return report


def template_in(folder: Path) -> Path:
    """Make what each history begins with: a config, and an empty ledger."""
    folder.mkdir()
    config = folder / "meterledger.toml"
    config.write_text(config_text(), encoding="utf-8")
    create_ledger(load_settings(config, folder=folder).ledger_path)
    return folder


def _live(history: History, template: Path, stripe: LocalStripe, parts: Parts, tally: Tally) -> Broken | None:
    with world(history, template, stripe, parts, tally) as made:
        try:
            _live_steps(history, made)
        except Broken as broken:
            return broken
        except StripeError:
            raise  # from the simulator itself: those of a push are caught where it is called
        except MeterledgerError as error:
            return Broken(Invariant.ENDS_IN_ORDER, error.message)
        except Exception as error:  # noqa: BLE001 # a bug is what is looked for
            place = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{Path(place.filename).name}:{place.lineno}"
            return Broken(Invariant.ENDS_IN_ORDER, f"{type(error).__name__} in {where}: {error}")
    return None


def _live_steps(history: History, made: World) -> None:
    for step in history.steps:
        made.live(step)
        if isinstance(step, Push | Restore):
            check_at_any_time(made)
    check_the_end(made)


def _smallest(history: History, broken: Broken, lived: Callable[[History], Broken | None]) -> Failure:
    """Leave out what the failure does not need; another failure on the way is not this one."""
    latest = broken

    def still_fails(tried: History) -> bool:
        nonlocal latest
        found = lived(tried)
        if found is None or found.invariant is not broken.invariant:
            return False
        latest = found
        return True

    smallest = shrunk(history, still_fails)
    return Failure(history=smallest, broken=latest, first_steps=len(history.steps))
