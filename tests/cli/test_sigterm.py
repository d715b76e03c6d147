"""SIGTERM, wherever it comes."""

import asyncio
import signal
from collections.abc import Iterator

import pytest

from meterledger.cli.main import end_as_by_ctrl_c


@pytest.fixture(autouse=True)
def _as_the_program_does() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, end_as_by_ctrl_c)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_sigterm_cancels_the_task_of_an_event_loop() -> None:
    """It does not break into the task, whose failure would be told with a traceback when the loop ends."""
    steps: list[str] = []

    async def work() -> None:
        signal.raise_signal(signal.SIGTERM)
        steps.append("went on")
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            steps.append("was canceled")
            raise

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(work())
    assert steps == ["went on", "was canceled"]


@pytest.mark.parametrize("at_ctrl_c", [signal.default_int_handler, signal.SIG_IGN])
def test_sigterm_interrupts_what_is_no_event_loop(at_ctrl_c: signal.Handlers) -> None:
    """Elsewhere it is a Ctrl-C, and even where Ctrl-C is ignored, as in the background of a shell."""
    signal.signal(signal.SIGINT, at_ctrl_c)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGTERM)
