"""A worker as a process of its own, and what it says line by line."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, Queue
from typing import Any

PROGRAM = Path(sys.executable).with_name("meterledger")
PATIENCE_SECONDS = 60.0


@dataclass(slots=True)
class WorkerProcess:
    """A running `meterledger push --watch --log-format json`."""

    process: subprocess.Popen[str]
    lines: list[dict[str, Any]] = field(default_factory=list)
    """What it has said so far, as far as somebody waited for it."""
    _said: "Queue[str | None]" = field(default_factory=Queue)

    def __post_init__(self) -> None:
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        with contextlib.suppress(ValueError):
            for line in self.process.stdout:
                self._said.put(line)
        self._said.put(None)

    def wait_for(self, reached: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Wait for a line of the log."""
        while True:
            try:
                line = self._said.get(timeout=PATIENCE_SECONDS)
            except Empty:
                raise AssertionError(f"it says no more than {self.lines}") from None
            assert line is not None, f"it ended: {self.lines}"
            self.lines.append(json.loads(line))
            if reached(self.lines[-1]):
                return self.lines[-1]

    def wait_for_event(self, event: str) -> dict[str, Any]:
        """Wait for a line about something."""
        return self.wait_for(lambda line: line["event"] == event)

    def end(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        """Send a signal, and return exit code and stderr."""
        self.process.send_signal(number)
        return self.ended()

    def ended(self) -> tuple[int, str]:
        """Wait until it has ended, and return exit code and stderr."""
        code = self.process.wait(timeout=PATIENCE_SECONDS)
        assert self.process.stderr is not None
        return code, self.process.stderr.read()


@contextmanager
def working(folder: Path, base: str, *arguments: str) -> Iterator[WorkerProcess]:
    """Start a worker in a folder; whatever is left of it at the end is killed."""
    environment = {
        "PATH": os.environ.get("PATH", ""),
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
        "STRIPE_API_KEY": "sk_test_x",
        "STRIPE_API_BASE": base,
        "METERLEDGER_DEBUG": "1",
    }
    command = [str(PROGRAM), "push", "--watch", "--interval", "100ms", "--log-format", "json", *arguments]
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield WorkerProcess(process)
        finally:
            if process.poll() is None:
                process.kill()
