"""The simulator as a process of its own, for tests that need a Stripe to talk to."""

import json
import signal
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

STOP_SECONDS = 10.0
REQUEST_SECONDS = 10.0

_PROGRAM = (sys.executable, "-m", "meterledger.simulator")
_LISTENING = "meterledger simulator listening on "


class SimulatorProcess:
    """
    A running simulator on a free port of this machine.

    Args:
        extra: Further options of the program.
        program: What to run; `python -m meterledger.simulator` unless told otherwise.

    Attributes:
        url: Where it listens, without a slash at the end.
        process: The process itself.
        stderr: All it wrote there, once it was stopped.

    Raises:
        RuntimeError: It did not start; the message holds its stderr.
    """

    def __init__(self, *extra: str, program: Sequence[str] = _PROGRAM) -> None:
        self.stderr = ""
        command = [*program, "--port", "0", *extra]
        # A file, not a pipe: a pipe that nobody reads would in the end hold the simulator up.
        self._stderr = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115 - closed by stop()
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=self._stderr, text=True, encoding="utf-8"
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line.startswith(_LISTENING):
            self.stop()
            raise RuntimeError(f"the simulator did not start: {line}{self.stderr}")
        self.url = line.removeprefix(_LISTENING).split()[0]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def ledger(self, *, identifiers: bool = False) -> dict[str, Any]:
        """Return the ledger page; with `identifiers`, the map of every identifier too."""
        return self._request(f"/_simulator/ledger?identifiers={int(identifiers)}")

    def set_clock(self, text: str) -> dict[str, Any]:
        """Set the clock to an instant such as `2026-11-01T00:00:00Z` and let it stand there."""
        return self._request("/_simulator/clock", {"now": text})

    def advance(self, text: str) -> dict[str, Any]:
        """Let the clock jump ahead by a span such as `90s`, `15m`, `1h` or `3d`."""
        return self._request("/_simulator/clock", {"advance": text})

    def set_faults(self, *faults: dict[str, object]) -> dict[str, Any]:
        """Put a plan of faults in force."""
        return self._request("/_simulator/faults", {"faults": list(faults)})

    def faults(self) -> dict[str, Any]:
        """Return the faults in force and what they hit."""
        return self._request("/_simulator/faults")

    def reset(self) -> None:
        """Forget everything but what the simulator was started with."""
        self._request("/_simulator/reset", {})

    def status(self, path: str, *, body: bytes | None = None, **headers: str) -> int:
        """Return the status of a request with these headers."""
        request = urllib.request.Request(self.url + path, data=body, headers=headers)  # noqa: S310 - as below
        try:
            with urllib.request.urlopen(request, timeout=REQUEST_SECONDS) as response:  # noqa: S310 - as below
                status: int = response.status
        except urllib.error.HTTPError as refusal:
            with refusal:
                return refusal.code
        return status

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End the process, if it has not ended, and return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            self.process.communicate(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
        if not self._stderr.closed:
            self._stderr.seek(0)
            self.stderr = self._stderr.read()
            self._stderr.close()
        return self.process.returncode

    def _request(self, path: str, document: dict[str, object] | None = None) -> dict[str, Any]:
        data = None if document is None else json.dumps(document).encode()
        request = urllib.request.Request(self.url + path, data=data)  # noqa: S310 - always our own loopback URL
        with urllib.request.urlopen(request, timeout=REQUEST_SECONDS) as response:  # noqa: S310 - as above
            answer: dict[str, Any] = json.load(response)
        return answer
