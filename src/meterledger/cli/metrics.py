"""The metrics file of a push or a worker: written with care, and never what ends either."""

from contextlib import contextmanager
from typing import TYPE_CHECKING

from meterledger.cli.output import say
from meterledger.errors import InUseError, MeterledgerError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from meterledger.config import Settings
    from meterledger.ledger import Ledger
    from meterledger.usecases.metrics import Figures, MetricsFile
    from meterledger.usecases.push import PushReport
    from meterledger.usecases.sending import Surroundings


def publisher(metrics: "MetricsFile | None") -> "Callable[[Figures], None]":
    """Return what writes the metrics file; where that fails, it says so once, and the work goes on."""
    is_failing = False

    def publish(figures: "Figures") -> None:
        nonlocal is_failing
        if metrics is None:
            return
        try:
            metrics.write(figures)
        except MeterledgerError as error:
            if not is_failing:
                say(f"Warning: {error.message}", style="yellow")
            is_failing = True
        else:
            is_failing = False

    return publish


@contextmanager
def measured(
    metrics: "MetricsFile | None",
    ledger: "Ledger",
    settings: "Settings",
    around: "Surroundings",
    requests: "Callable[[], int]",
) -> "Iterator[Callable[..., None]]":
    """
    Write the figures at the end of a single push, however it ends; yield what takes its report.

    Where another process has the ledger, the figures are that one's to tell.
    """
    from meterledger.usecases.metrics import figures_of
    from meterledger.usecases.push import PushReport

    begun, ended = around.monotonic(), (PushReport(), True)

    def measure(report: "PushReport", *, failed: bool) -> None:
        nonlocal ended
        ended = report, failed

    is_ours = True
    try:
        yield measure
    except InUseError:
        is_ours = False
        raise
    finally:
        if metrics and is_ours:
            try:
                figures = figures_of(ledger, settings, around.clock())
                report, failed = ended
                figures.count(report, failed=failed)
                figures.up, figures.requests = not failed, requests()
                figures.last_round_seconds = around.monotonic() - begun
                figures.last_success_at = metrics.last_success() if failed else figures.at
                metrics.write(figures)
            except MeterledgerError as error:
                say(f"Warning: {error.message}", style="yellow")
